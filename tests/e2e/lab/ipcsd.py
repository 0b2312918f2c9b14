"""ipcsd and ipcsctl as built."""

import hashlib
import json
import re
import socket
import urllib.request
from pathlib import Path

from .process import Failure, Process, command, command_in_background, command_on_terminal, wait_for
from .registry import free_port


class Ipcsd:
    """A daemon with the local backend, or with ipfs-http on a Kubo, started at once. Where flags are enough it runs without a
    config file."""

    def __init__(self, directory: Path, program: Path, sockets=(), store: Path | None = None, kubo=None, diff=False):
        """`sockets`: names of clients, each with a socket of its own; `store`: the directory of an existing store, and with it
        there are metrics; `diff`: it unpacks layers."""
        directory.mkdir()
        self.directory, self._program = directory, Path(program)
        self.root = directory / "root"
        self.socket = directory / "content.sock"
        self.control = self.root / "control.sock"
        self.store = store or self.root / "local"
        self.sockets = {name: directory / f"{name}.sock" for name in sockets}
        self.stores = {"local": self.store}
        self.tables = {}  # of plugins, beside their stores
        self._metrics = f"127.0.0.1:{free_port()}" if store else None
        if kubo:
            self.stores = {}
            self._use(kubo)
            self.configure("ipfs-http", None)
        elif sockets or store:
            self.configure("local", None)
        else:
            self._arguments = ["--root", self.root, "--address", self.socket, "--backend", "local"]
        self.diff = directory / "diff.sock" if diff else None
        if diff:
            self._arguments += ["--diff-address", self.diff]
        self.start()

    def _use(self, kubo):
        self.store = self.root / "ipfs-http"
        self.tables = {"ipfs-http": f'state = "{self.store}"\napi = "{kubo.api}"\n'}

    def applied_layers(self):
        """Digests of the layers that it has unpacked, in their order."""
        lines = (self.directory / "log").read_text(errors="replace").splitlines()
        return [line.split("digest=")[1].split()[0] for line in lines if 'msg="layer applied"' in line]

    def workers(self):
        """Process ids of the layers that it unpacks now."""
        found = []
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            try:
                found += [int(pid) for pid in children.read_text().split()]
            except OSError:
                continue  # that thread has ended
        return found

    def configure(self, backend, previous, keys=""):
        """Writes the configuration for the next start; the backends' directories are self.stores, `keys` more lines."""
        config = self.directory / "config.toml"
        listen = self.sockets or {"containerd": self.socket}  # the name that it has without a configuration
        plugins = self._program.absolute().parents[1] / "lib/ipcs"
        config.write_text(
            f'version = 1\nroot = "{self.root}"\nbackend = "{backend}"\n'
            + (f'previous = "{previous}"\n' if previous else "")
            + keys + f'plugin_dirs = ["{plugins}/plugins", "{plugins}/test-plugins"]\n\n'
            + "".join(f'[[grpc]]\nname = "{n}"\naddress = "{s}"\n\n' for n, s in listen.items())
            + f'[control]\naddress = "{self.control}"\n'
            + (f'\n[metrics]\naddress = "{self._metrics}"\n' if self._metrics else "")
            + "".join(f'\n[plugins.{n}]\npath = "{s}"\n' for n, s in self.stores.items())
            + "".join(f"\n[plugins.{n}]\n{table}" for n, table in self.tables.items()))
        self._arguments = ["--config", config]

    def change_backend(self, backend, store, previous=None, keys=""):
        """Stops the daemon and starts it with another backend, whose blobs lie in `store`: a directory, or a Kubo for
        ipfs-http. A backend that it had before may be its `previous` one."""
        self.process.stop()
        if backend == "ipfs-http":
            self._use(store)
        else:
            self.stores[backend] = self.store = store  # what blob_files() and the like look at
        self.configure(backend, previous, keys)
        self.start()

    def refusal(self, *flags):
        """Starts the daemon, which must refuse; returns its exit code and the last line that it wrote."""
        done = command([self._program, *self._arguments, *flags], check=False, seconds=30)
        return done.returncode, done.stderr.strip().splitlines()[-1]

    def ctl_in_background(self, *arguments):
        return command_in_background([self._program.parent / "ipcsctl", "-a", self.control, *arguments])

    def start(self):
        self.process = Process("ipcsd", [self._program, *self._arguments], self.directory / "log")
        for path in (*(self.sockets.values() or [self.socket]), self.control):
            wait_for(f"ipcsd on {path}", lambda p=path: _accepts(p), alive=self.process)

    def ctl(self, *arguments, check=True, stdin=None, seconds=120.0):
        """Runs ipcsctl on the control socket."""
        return command([self._program.parent / "ipcsctl", "-a", self.control, *arguments], None, seconds, check, stdin)

    def ctl_on_terminal(self, *arguments, columns=120):
        """Runs ipcsctl on the control socket with a terminal for standard error; returns what appeared there."""
        return command_on_terminal([self._program.parent / "ipcsctl", "-a", self.control, *arguments], columns)

    def image(self, containerd, *arguments, check=True, seconds=120.0):
        """Runs `ipcsctl image` with that containerd; returns its last line, or the CompletedProcess unless `check`."""
        done = self.ctl("image", "--containerd", containerd.socket, *arguments, check=check, seconds=seconds)
        return done.stdout.strip().split("\n")[-1] if check else done

    def pins(self):
        """digest → note of the operator's pins."""
        return {pin["digest"]: pin["note"] for pin in self.ctl_json("pin", "ls")}

    def ctl_json(self, *arguments):
        return json.loads(self.ctl("--format", "json", *arguments).stdout)

    def writes(self):
        """How many Write calls it has served since its start, and their bytes."""
        text = urllib.request.urlopen(f"http://{self._metrics}/metrics", timeout=10).read().decode()
        calls = re.findall(r'^grpc_server_handled_total\{.*grpc_method="Write".*\} (\d+)$', text, re.MULTILINE)
        [size] = re.findall(r"^ipcs_written_bytes_total (\d+)$", text, re.MULTILINE)
        return sum(map(int, calls)), int(size)

    def blob_files(self):
        """digest → path of every sha256 blob on disk."""
        directory = self.store / "blobs" / "sha256"
        return {"sha256:" + path.name: path for path in directory.iterdir()} if directory.exists() else {}

    def check_blobs(self, digests):
        """Fails unless all of `digests` are on disk with the right bytes."""
        files = self.blob_files()
        for digest in digests:
            if digest not in files:
                raise Failure(f"{digest} is not on disk")
            with open(files[digest], "rb") as blob:
                if "sha256:" + hashlib.file_digest(blob, "sha256").hexdigest() != digest:
                    raise Failure(f"{files[digest]} has wrong bytes")

    def ingest_bytes(self):
        """Bytes that have arrived of blobs not committed yet."""
        directory, total = self.store / "ipcs-ingest", 0
        for path in directory.iterdir() if directory.exists() else ():
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue  # it has just become a blob
        return total


def _accepts(path):
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
            return True
        except OSError:
            return False
