"""What cases of every kind look at and wait for."""

import hashlib
import os

from lab import image
from lab.process import Failure, wait_for

MIB = 1 << 20


def expect(condition, message):
    if not condition:
        raise Failure(message)


def expect_equal(what, got, wanted):
    if got != wanted:
        raise Failure(f"{what}: got\n{got}\ninstead of\n{wanted}")


def expect_runs(containerd, reference, text, layers=(), **options):
    name = f"c{hashlib.sha256(os.urandom(8)).hexdigest()[:12]}"
    expect_equal(f"output of {reference}", containerd.run(reference, name, **options), image.expected_output(text, layers))


def wait_until_freed(ipcsd, digests, seconds=30):
    wait_for("the bytes to be freed", lambda: not set(digests) & set(ipcsd.blob_files()), seconds)


def wait_until_connected(containerd):
    wait_for("containerd to find ipcsd again",
             lambda: containerd.ctr("content", "ingest", "probe", stdin=b"probe", check=False).returncode == 0)
    containerd.ctr("content", "rm", image.digest_of(b"probe"), check=False)


def collect_garbage(containerd):
    """Makes containerd collect, and waits for it."""
    wait_until_connected(containerd)
    containerd.ctr("leases", "create", "--id", "for-the-collector")
    containerd.ctr("leases", "rm", "--sync", "for-the-collector")


def gets_of(registry, digests, before=0):
    return [(digest, code) for digest, code in registry.blob_gets()[before:] if digest in digests]
