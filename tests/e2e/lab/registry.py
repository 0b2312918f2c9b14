"""docker-registry on a free loopback port, and a slow road to it."""

import re
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from .image import MANIFEST
from .process import Process, wait_for


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Registry:
    """A private docker-registry. Its access log tells what was asked of it."""

    def __init__(self, directory: Path):
        directory.mkdir()
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        config = directory / "config.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: info}}\nhttp: {{addr: '{self.host}'}}\n"
            f"storage: {{filesystem: {{rootdirectory: '{directory}/data'}}, delete: {{enabled: true}}}}\n")
        self.process = Process("docker-registry", ["docker-registry", "serve", config], directory / "log")
        wait_for("docker-registry", self._answers, alive=self.process)

    def _answers(self):
        try:
            return urllib.request.urlopen(f"http://{self.host}/v2/", timeout=5).status == 200
        except OSError:
            return False

    def _request(self, method, url, data=None, kind=None):
        headers = {"Content-Type": kind} if kind else {}
        return urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=60)

    def push(self, name, image):
        """Stores an image as `name` ("repository:tag"); returns its reference."""
        repository, tag = name.split(":")
        base = f"http://{self.host}/v2/{repository}"
        for digest, data in image.blobs.items():
            upload = self._request("POST", f"{base}/blobs/uploads/", b"").headers["Location"]
            separator = "&" if "?" in upload else "?"
            self._request("PUT", f"{upload}{separator}digest={digest}", data, "application/octet-stream")
        for digest, data in image.manifests.items():
            self._request("PUT", f"{base}/manifests/{digest}", data, MANIFEST)
        self._request("PUT", f"{base}/manifests/{tag}", image.manifest, image.media_type)
        return f"{self.host}/{name}"

    def manifest(self, name):
        repository, tag = name.split(":")
        request = urllib.request.Request(f"http://{self.host}/v2/{repository}/manifests/{tag}", headers={"Accept": MANIFEST})
        return urllib.request.urlopen(request, timeout=60).read()

    def blob(self, repository, digest):
        return self._request("GET", f"http://{self.host}/v2/{repository}/blobs/{digest}").read()

    def answer_to_manifest(self, repository, manifest):
        """Puts a manifest; returns HTTP status and body."""
        try:
            done = self._request("PUT", f"http://{self.host}/v2/{repository}/manifests/try", manifest, MANIFEST)
        except urllib.error.HTTPError as error:
            done = error
        return done.status, done.read().decode(errors="replace")

    def has_blob(self, repository, digest):
        try:
            return self._request("HEAD", f"http://{self.host}/v2/{repository}/blobs/{digest}").status == 200
        except urllib.error.HTTPError:
            return False

    def _logged(self, request):
        """(what the pattern's group found, HTTP status) of every such request so far."""
        log = self.process.log.read_text(errors="replace")
        return [(m[1], int(m[2])) for m in re.finditer(rf'"{request}\S* HTTP/1\.1" (\d+)', log)]

    def blob_gets(self):
        """(digest, HTTP status) of every GET of a blob so far."""
        return self._logged(r"GET /v2/\S+/blobs/(sha256:[0-9a-f]{64})")

    def uploads(self, repository):
        """(method, HTTP status) of every request so far that sent bytes of a blob into the repository."""
        return self._logged(rf"(PATCH|PUT) /v2/{repository}/blobs/uploads/")

    def mounts(self, repository):
        """(digest, HTTP status) of every wish so far to have a blob in the repository from another one; 201: granted."""
        return self._logged(rf"POST /v2/{repository}/blobs/uploads/\?mount=(sha256(?::|%3A)[0-9a-f]{{64}})")


class SlowRoad:
    """A TCP relay to the registry that lets `rate` bytes a second through to the client, over all connections; rate can
    be changed at any time, None: as fast as it goes."""

    def __init__(self, registry, rate):
        self.rate = rate
        self._one_at_a_time = threading.Lock()
        self._target = ("127.0.0.1", registry.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            threading.Thread(target=self._copy, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, True), daemon=True).start()

    def _copy(self, source, target, slow):
        try:
            while data := source.recv(16384):
                target.sendall(data)
                if slow and self.rate:
                    with self._one_at_a_time:
                        time.sleep(len(data) / (self.rate or float("inf")))
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
