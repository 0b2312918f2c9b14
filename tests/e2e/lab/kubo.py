"""A private Kubo, which tests/install.sh builds from its Go module."""

import json
import os
import subprocess
import urllib.request
from pathlib import Path

from .process import Failure, Process, command, wait_for

VERSION = "0.43.1"


def program():
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = Path(os.environ.get("KUBO") or cache / "ipcs" / "peers" / f"kubo-{VERSION}" / "ipfs")
    if not path.exists():
        raise Failure(f"{path} is missing; tests/install.sh builds it")
    return path


class Kubo:
    """On free loopback ports; knows no other unless connect() tells it."""

    def __init__(self, directory: Path):
        directory.mkdir()
        self.directory = directory
        self.repository = directory / "repo"
        self._environment = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "IPFS_PATH": str(self.repository),
                             "IPFS_TELEMETRY": "off", "GOMAXPROCS": "2"}
        self.ipfs("init", "--profile=test")
        self.process = Process("kubo", [program(), "daemon"], directory / "log", self._environment)
        wait_for("kubo", lambda: (self.repository / "api").exists()
                 and self.ipfs("id", check=False).returncode == 0, alive=self.process)
        self.api = (self.repository / "api").read_text().strip()

    def ipfs(self, *arguments, check=True, stdin=None):
        return command([program(), *arguments], self._environment, 120, check, stdin)

    def cat(self, cid):
        done = subprocess.run([str(program()), "cat", cid], env=self._environment, capture_output=True, timeout=120)
        if done.returncode != 0:
            raise Failure(f"ipfs cat {cid}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def add(self, data, *flags):
        """As nerdctl adds what it publishes; returns the CID."""
        return self.ipfs("add", "-Q", "--cid-version=1", "--pin=true", *flags, stdin=data).stdout.strip()

    def connect(self, other):
        address = json.loads(other.ipfs("id").stdout)["Addresses"][0]
        self.ipfs("swarm", "connect", address)

    def received(self):
        """Bytes of blocks that came from other nodes."""
        return int(json.loads(self._call("bitswap/stat"))["DataReceived"])

    def _call(self, name):
        host, port = self.api.split("/")[2], self.api.split("/")[4]
        request = urllib.request.Request(f"http://{host}:{port}/api/v0/{name}", data=b"")
        return urllib.request.urlopen(request, timeout=60).read()
