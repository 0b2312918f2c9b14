"""One backend takes over from another."""

import random
import signal

from checks import MIB, collect_garbage, expect, expect_equal, expect_runs, wait_until_connected, wait_until_freed
from lab import image
from lab.process import wait_for


def change_of_backend(lab):
    """A second backend takes over: images run from what the first one has, are copied over, and run without it."""
    layers = (3 * MIB, 1000)
    registry, ipcsd = lab.registry(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    made, passing = image.make("moved", layers), image.make("passing", (MIB,))
    reference, gone = registry.push("moved:1", made), registry.push("passing:1", passing)
    containerd.pull(reference)
    containerd.pull(gone)
    own = random.Random("own").randbytes(MIB)
    ipcsd.ctl("content", "ingest", "own", stdin=own)
    held = made.digests | {image.digest_of(own)}
    first, second = ipcsd.store, lab.directory / "second"
    old = sorted((path, path.stat().st_mtime_ns) for path in ipcsd.blob_files().values())
    pulled = len(registry.blob_gets())

    ipcsd.change_backend("local-two", second, previous="local")
    expect_equal("blobs of the new store", ipcsd.blob_files(), {})
    expect_equal("plugins in use", {plugin["name"]: (plugin["selected"], plugin["previous"]) for plugin in
                                    ipcsd.ctl_json("plugin", "ls") if plugin["selected"] or plugin["previous"]},
                 {"local-two": (True, False), "local": (False, True)})
    wait_until_connected(containerd)
    containerd.pull(reference, namespace="other")  # unpacks what nobody has unpacked in that namespace
    expect_equal("GETs of blobs", registry.blob_gets()[pulled:], [])
    expect_runs(containerd, reference, "moved", layers)
    expect_runs(containerd, reference, "moved", layers, namespace="other")

    # What containerd deletes now is not copied and does not come back.
    containerd.remove(gone)
    wait_for("the deleted blobs to go", lambda: containerd.contents() == made.digests)
    wait_until_freed(ipcsd, [image.digest_of(b"probe")])
    expect_equal("blobs to copy", ipcsd.ctl_json("backend", "status")["previous"]["to_copy"]["count"], len(held))
    copied = ipcsd.ctl_json("backend", "copy")
    expect_equal("the copy", (copied["copied"]["count"], copied["complete"], copied["findings"]), (len(held), True, []))
    expect_equal("blobs of the new store", set(ipcsd.blob_files()), held)
    ipcsd.check_blobs(held)
    expect_equal("blobs of the old store", sorted((p, p.stat().st_mtime_ns) for p in (first / "blobs/sha256").iterdir()), old)

    first.rename(lab.directory / "away")
    ipcsd.change_backend("local-two", second)
    wait_until_connected(containerd)
    expect_runs(containerd, reference, "moved", layers)
    for digest in made.digests:
        expect(containerd.get(digest) == made.blobs.get(digest, made.manifest), f"{digest} has other bytes")
    containerd.pull(reference)
    expect_equal("GETs of blobs", registry.blob_gets()[pulled:], [])
    for namespace in ("default", "other"):
        containerd.remove(reference, namespace=namespace)
    wait_until_freed(ipcsd, made.digests)
    expect_equal("blobs left", set(ipcsd.blob_files()), {image.digest_of(own)})


def killed_during_copy(lab):
    """ipcsd is killed again and again while it copies: what was copied stays, a blob goes on where it was, all becomes whole."""
    ipcsd = lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    # One large blob, so that there is an "in the middle of it", and many small ones.
    blobs = [random.Random(n).randbytes(size) for n, size in enumerate([96 * MIB] + [20_000] * 80)]
    for number, data in enumerate(blobs):
        ipcsd.ctl("content", "ingest", "-q", f"r{number}", stdin=data)
    held = {image.digest_of(data) for data in blobs}
    second = lab.directory / "second"
    ipcsd.change_backend("local-two", second, previous="local")
    kills, went_on = 0, False
    while True:
        copied, bytes_held = len(ipcsd.blob_files()), ipcsd.ingest_bytes()
        copy = ipcsd.ctl_in_background("backend", "copy", "--no-progress")
        enough = lambda: (ipcsd.ingest_bytes() > bytes_held + 16 * MIB or len(ipcsd.blob_files()) >= copied + 25
                          or copy.poll() is not None)
        wait_for("some of the copy", enough)
        if copy.poll() is not None:
            break
        ipcsd.process.stop(signal.SIGKILL)
        copy.communicate(timeout=60)
        kills += 1
        files, partly = len(ipcsd.blob_files()), ipcsd.ingest_bytes()
        ipcsd.start()
        expect(len(ipcsd.blob_files()) >= files, "copied blobs are gone after a kill")
        # A small blob's commit may have reached the journal and not yet its place: the start then finishes it.
        partly -= 20_000 * (len(ipcsd.blob_files()) - files)
        expect_equal("bytes of the blob that was being copied", ipcsd.ingest_bytes(), partly)
        if partly > 0 and not went_on:
            went_on = True
            expect_equal("ingests that are shown", ipcsd.ctl_json("content", "active"), [])
            collect_garbage(containerd)
            expect_equal("bytes after containerd's garbage collection", ipcsd.ingest_bytes(), partly)
    output, _ = copy.communicate(timeout=60)
    expect_equal(f"exit code of the last copy\n{output}", copy.returncode, 0)
    expect("nothing is left to copy" in output, output)
    expect(kills >= 3 and went_on, f"{kills} kills, within a blob: {went_on}")
    ipcsd.check_blobs(held)
    expect_equal("blobs of the new store", set(ipcsd.blob_files()), held)
    expect_equal("ingests left", ipcsd.ingest_bytes(), 0)
    ipcsd.change_backend("local-two", second)
    expect_equal("missing blobs", ipcsd.ctl_json("status")["missing"], 0)


def previous_backend_is_needed(lab):
    """Without the store that still has blobs ipcsd refuses to start, says how many they are, and changes nothing."""
    ipcsd = lab.ipcsd()
    data = random.Random("needed").randbytes(MIB)
    digest = image.digest_of(data)
    ipcsd.ctl("content", "ingest", "r", stdin=data)
    second = lab.directory / "second"
    ipcsd.change_backend("local-two", second, previous="local")
    ipcsd.ctl("verify", digest)
    ipcsd.process.stop()
    ipcsd.configure("local-two", None)
    code, line = ipcsd.refusal()
    expect(code == 2 and "lacks 1 of the 1 blobs in use" in line and "`previous`" in line, f"exit code {code}: {line}")
    ipcsd.configure("local-two", "nosuch")
    code, line = ipcsd.refusal()
    expect(code == 2 and 'previous \\"nosuch\\": no such plugin' in line, f"exit code {code}: {line}")
    ipcsd.configure("local-two", "local")
    ipcsd.stores["local"].rename(lab.directory / "away")
    code, line = ipcsd.refusal()
    expect(code == 1 and "previous backend: plugin local: " in line and "no such directory" in line, f"exit code {code}: {line}")
    (lab.directory / "away").rename(ipcsd.stores["local"])
    ipcsd.start()
    ipcsd.ctl("verify", digest)


CASES = [change_of_backend, killed_during_copy, previous_backend_is_needed]
