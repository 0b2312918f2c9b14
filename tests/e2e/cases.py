"""The end-to-end cases. Each is a function that takes a Lab; its docstring says what it proves."""

import hashlib
import os
import random
import signal

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


def pull_unpack_run(lab):
    """An image is pulled into ipcsd, unpacked with overlayfs and run."""
    layers = (3 * MIB, 1000)
    registry, ipcsd = lab.registry(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    made = image.make("hello", layers)
    reference = registry.push("hello:1", made)
    containerd.pull(reference)
    expect_runs(containerd, reference, "hello", layers)
    expect_equal("blobs on disk", set(ipcsd.blob_files()), made.digests)
    ipcsd.check_blobs(made.digests)
    expect_equal("ingests left", ipcsd.ingest_bytes(), 0)
    plugins = [line.split() for line in containerd.ctr("plugins", "ls").stdout.splitlines()]
    content = [words for words in plugins if words and words[0] == "io.containerd.content.v1"]
    expect_equal("content plugins", [(words[1], words[-1]) for words in content], [("ipcs", "ok")])


def example_config(lab):
    """containerd starts with the example configuration for its version, and an image is pulled and run."""
    registry, ipcsd = lab.registry(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket, example=True)
    made = image.make("example")
    reference = registry.push("example:1", made)
    containerd.pull(reference)
    expect_runs(containerd, reference, "example")
    ipcsd.check_blobs(made.digests)


def image_gc_frees_bytes(lab):
    """Removing an image frees its bytes, but not those that another image has too."""
    registry, ipcsd = lab.registry(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    one, two = image.make("one", (MIB,)), image.make("two", (MIB, 2 * MIB))
    first, second = registry.push("one:1", one), registry.push("two:1", two)
    containerd.pull(first)
    containerd.pull(second)
    expect(one.digests & two.digests, "the images share layers")
    containerd.remove(second)
    wait_until_freed(ipcsd, two.digests - one.digests)
    ipcsd.check_blobs(one.digests)
    expect_runs(containerd, first, "one", (MIB,))
    containerd.remove(first)
    wait_until_freed(ipcsd, one.digests)
    expect_equal("blobs left", ipcsd.blob_files(), {})


def export_import(lab):
    """An exported image, removed and imported again, is whole."""
    registry, ipcsd = lab.registry(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    made = image.make("travelled", (2 * MIB,))
    reference = registry.push("travelled:1", made)
    containerd.pull(reference)
    archive = lab.directory / "image.tar"
    containerd.export(archive, reference)
    containerd.remove(reference)
    wait_until_freed(ipcsd, made.digests)
    containerd.ctr("images", "import", "--snapshotter", containerd.snapshotter, archive)
    expect(reference in containerd.images(), f"{reference} is not among {containerd.images()}")
    ipcsd.check_blobs(made.digests)
    expect_runs(containerd, reference, "travelled", (2 * MIB,))


def push(lab):
    """An image is pushed from ipcsd to another registry, byte for byte."""
    source, target, ipcsd = lab.registry(), lab.registry(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    made = image.make("pushed", (2 * MIB,))
    reference = source.push("pushed:1", made)
    containerd.pull(reference)
    containerd.ctr("images", "push", "--plain-http", f"{target.host}/copy:2", reference)
    expect_equal("manifest at the target", target.manifest("copy:2"), made.manifest)
    for digest in made.blobs:
        expect(target.has_blob("copy", digest), f"{digest} is not at the target")


def content_commands(lab):
    """ctr content ingest, get, ls, label, rm work on ipcsd."""
    ipcsd = lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    data = random.Random("content").randbytes(5 * MIB + 17)
    digest = image.digest_of(data)
    containerd.ctr("content", "ingest", "--expected-digest", digest, "--expected-size", len(data), "a-ref", stdin=data)
    expect_equal("content ls", containerd.contents(), {digest})
    expect(containerd.get(digest) == data, "content get gave other bytes")
    ipcsd.check_blobs([digest])
    containerd.ctr("content", "label", digest, "colour=red")
    expect("colour=red" in containerd.ctr("content", "ls").stdout, "the label is not listed")
    wrong = containerd.ctr("content", "ingest", "--expected-digest", image.digest_of(b"other"), "b-ref", stdin=data, check=False)
    expect(wrong.returncode != 0, "an ingest under a wrong digest was committed")
    expect_equal("content ls", containerd.contents(), {digest})
    containerd.ctr("content", "rm", digest)
    wait_until_freed(ipcsd, [digest])


def several_images_at_once(lab):
    """Images with layers in common, pulled at the same time, are all whole."""
    registry, ipcsd = lab.registry(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    wanted = {}
    for number in range(4):
        layers = (MIB, (number + 1) * MIB, 2 * MIB)
        made = image.make(f"image {number}", layers)
        wanted[registry.push(f"many{number}:1", made)] = (f"image {number}", layers, made)
    pulls = {r: containerd.ctr_in_background(*containerd.pull_arguments(r)) for r in wanted}
    for reference, pull in pulls.items():
        output, _ = pull.communicate(timeout=100)
        expect_equal(f"exit code of the pull of {reference}\n{output}", pull.returncode, 0)
    for reference, (text, layers, made) in wanted.items():
        ipcsd.check_blobs(made.digests)
        expect_runs(containerd, reference, text, layers)


def present_content_moves_no_bytes(lab):
    """Under the shared policy a pull of what ipcsd has already gets no blob from the registry."""
    registry, ipcsd = lab.registry(), lab.ipcsd(sockets=("a", "b"))
    first, second = lab.containerd(ipcsd.sockets["a"]), lab.containerd(ipcsd.sockets["b"])
    made = image.make("once", (2 * MIB, MIB))
    reference = registry.push("once:1", made)
    first.pull(reference)
    before = len(registry.blob_gets())
    expect(before >= len(made.blobs), "the first pull moved the blobs")
    second.pull(reference)
    expect_equal("GETs of blobs by the second pull", gets_of(registry, made.digests, before), [])
    expect_runs(second, reference, "once", (2 * MIB, MIB))
    first.pull(reference, namespace="other")
    expect_equal("GETs of blobs by a pull into another namespace", gets_of(registry, made.digests, before), [])
    expect_runs(first, reference, "once", (2 * MIB, MIB), namespace="other")


def isolated_policy(lab):
    """Under the isolated policy content that is there already is downloaded again, and the pull is whole."""
    registry, ipcsd = lab.registry(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket, policy="isolated")
    made = image.make("twice", (2 * MIB,))
    reference = registry.push("twice:1", made)
    containerd.pull(reference)
    before = len(registry.blob_gets())
    containerd.pull(reference, namespace="other")
    again = {digest for digest, _ in gets_of(registry, made.digests, before)}
    expect(set(made.layers) <= again, f"only {again} were downloaded again")
    expect_runs(containerd, reference, "twice", (2 * MIB,), namespace="other")
    containerd.remove(reference)
    ipcsd.check_blobs(made.digests)
    expect_runs(containerd, reference, "twice", (2 * MIB,), namespace="other")
    containerd.remove(reference, namespace="other")
    wait_until_freed(ipcsd, made.digests)


def seed(directory, blobs):
    """Lays blobs out as an existing content directory."""
    target = directory / "blobs" / "sha256"
    target.mkdir(parents=True)
    for digest, data in blobs.items():
        (target / digest.removeprefix("sha256:")).write_bytes(data)
    return directory


def operators_blobs_survive_gc(lab):
    """What lay in the directory that ipcsd was pointed at, and what ipcsctl stored, survives containerd's GC."""
    found = {image.digest_of(data): data for data in (b"operator's", random.Random("found").randbytes(MIB))}
    registry, ipcsd = lab.registry(), lab.ipcsd(store=seed(lab.directory / "store", found))
    stored = random.Random("stored").randbytes(MIB)
    ipcsd.ctl("content", "ingest", "a-ref", stdin=stored)
    own = {*found, image.digest_of(stored)}
    containerd = lab.containerd(ipcsd.socket)
    made = image.make("passing", (MIB,))
    reference = registry.push("passing:1", made)
    containerd.pull(reference)
    containerd.remove(reference)
    wait_until_freed(ipcsd, made.digests)
    expect_equal("blobs left", set(ipcsd.blob_files()), own)
    ipcsd.process.stop()
    ipcsd.start()
    containerd.pull(reference)
    containerd.remove(reference)
    wait_until_freed(ipcsd, made.digests)
    expect_equal("blobs left after a restart", set(ipcsd.blob_files()), own)
    ipcsd.check_blobs(own)


def operators_blob_in_an_image(lab):
    """A layer that the operator had is not downloaded; unpinned, it stays while the image is there, and goes with it."""
    layers = (2 * MIB, MIB)
    made = image.make("adopted", layers)
    known = {digest: made.blobs[digest] for digest in made.layers}
    registry, ipcsd = lab.registry(), lab.ipcsd(store=seed(lab.directory / "store", known))
    containerd = lab.containerd(ipcsd.socket)
    reference = registry.push("adopted:1", made)
    containerd.pull(reference)
    expect_equal("GETs of the layers", gets_of(registry, known), [])
    expect_equal("Writes and their bytes", ipcsd.writes(), (2, len(made.manifest) + len(made.blobs[made.config])))
    for digest in known:
        ipcsd.ctl("pin", "rm", digest)
    ipcsd.check_blobs(made.digests)
    for digest in known:
        expect(containerd.get(digest) == known[digest], f"{digest} has other bytes after pin rm")
    expect_runs(containerd, reference, "adopted", layers)
    containerd.remove(reference)
    wait_until_freed(ipcsd, made.digests)


def existing_directory(lab):
    """The content directory of containerd's own store goes to ipcsd and back, and the image stays whole and runs."""
    layers = (2 * MIB, MIB)
    registry, made = lab.registry(), image.make("kept", layers)
    containerd = lab.containerd(None)
    reference = registry.push("kept:1", made)
    containerd.pull(reference)
    expect_runs(containerd, reference, "kept", layers)
    before = len(registry.blob_gets())
    containerd.process.stop()

    ipcsd = lab.ipcsd(store=containerd.content_directory)
    expect_equal("blobs that ipcsd has found", set(ipcsd.blob_files()), made.digests)
    containerd.use(ipcsd.socket)
    expect_runs(containerd, reference, "kept", layers)
    containerd.pull(reference)
    # Another namespace has no snapshots: each layer is read.
    containerd.pull(reference, namespace="other")
    expect_runs(containerd, reference, "kept", layers, namespace="other")
    expect_equal("GETs of blobs since ipcsd has them", gets_of(registry, made.digests, before), [])
    expect_equal("Writes and their bytes", ipcsd.writes(), (0, 0))
    containerd.process.stop()
    ipcsd.process.stop()

    containerd.use(None)
    expect_runs(containerd, reference, "kept", layers)
    containerd.pull(reference, namespace="third")
    expect_runs(containerd, reference, "kept", layers, namespace="third")
    expect_equal("GETs of blobs at the end", gets_of(registry, made.digests, before), [])
    ipcsd.check_blobs(made.digests)


def two_containerds(lab):
    """Of two containerds on two sockets, one's GC takes nothing from the other."""
    registry, ipcsd = lab.registry(), lab.ipcsd(sockets=("a", "b"))
    first, second = lab.containerd(ipcsd.sockets["a"]), lab.containerd(ipcsd.sockets["b"])
    common, alone = image.make("common", (MIB,)), image.make("alone", (2 * MIB, 3))
    reference, other = registry.push("common:1", common), registry.push("alone:1", alone)
    first.pull(reference)
    second.pull(reference)
    second.pull(other)
    first.remove(reference)
    wait_until_empty = lambda: not first.contents()
    wait_for("the first containerd's content to go", wait_until_empty)
    ipcsd.check_blobs(common.digests | alone.digests)
    for digest in common.digests | alone.digests:
        expect_equal(f"digest of {digest} read through the second", image.digest_of(second.get(digest)), digest)
    expect_runs(second, reference, "common", (MIB,))
    expect_runs(second, other, "alone", (2 * MIB, 3))
    second.remove(reference)
    second.remove(other)
    wait_until_freed(ipcsd, common.digests | alone.digests)


def restart_between_pulls(lab):
    """ipcsd and containerd, stopped or killed between pulls, keep everything."""
    registry, ipcsd = lab.registry(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    wanted = {}
    for number, how in enumerate((signal.SIGTERM, signal.SIGKILL)):
        layers = (MIB, (number + 2) * MIB)
        made = image.make(f"restart {number}", layers)
        reference = registry.push(f"restart{number}:1", made)
        containerd.pull(reference)
        wanted[reference] = (f"restart {number}", layers, made)
        code = ipcsd.process.stop(how)
        if how == signal.SIGTERM:
            expect_equal("exit code of ipcsd after SIGTERM", code, 0)
        ipcsd.start()
    containerd.process.stop(signal.SIGKILL)
    containerd.start()
    for reference, (text, layers, made) in wanted.items():
        ipcsd.check_blobs(made.digests)
        containerd.pull(reference)
        expect_runs(containerd, reference, text, layers)
        containerd.remove(reference)
    wait_until_freed(ipcsd, set().union(*(made.digests for _, _, made in wanted.values())))


def _wait_for_bytes(ipcsd, pull, count):
    wait_for(f"{count} bytes of the image", lambda: ipcsd.ingest_bytes() > count or pull.poll() is not None)
    expect(pull.poll() is None, f"the pull ended before ipcsd was stopped: exit code {pull.returncode}")


def _restart_during_pull(lab, how):
    registry, ipcsd = lab.registry(), lab.ipcsd()
    road = lab.slow_road(registry, rate=4 * MIB)
    containerd = lab.containerd(ipcsd.socket)
    layers = {"left": (6 * MIB, 5 * MIB, 3 * MIB), "killed": (6 * MIB + 1, 5 * MIB + 1, 3 * MIB + 1)}
    made = {name: image.make(name, sizes) for name, sizes in layers.items()}
    reference, arguments = {}, {}
    for name in made:
        registry.push(f"{name}:1", made[name])
        reference[name] = f"{road.host}/{name}:1"
        arguments[name] = containerd.pull_arguments(reference[name], client_side=True)

    # ipcsd goes away under a pull that nobody disturbs otherwise: containerd decides whether that pull goes on.
    pull = containerd.ctr_in_background(*arguments["left"])
    _wait_for_bytes(ipcsd, pull, 2 * MIB)
    ipcsd.process.stop(how)
    ipcsd.start()
    pull.communicate(timeout=60)

    # The client dies as well. A failed pull gives up its lease, and containerd's GC drops what had arrived; a dead
    # client's lease lasts for a day, so that the next pull goes on where this one ended.
    wait_until_connected(containerd)
    pull = containerd.ctr_in_background(*arguments["killed"])
    _wait_for_bytes(ipcsd, pull, 4 * MIB)
    pull.kill()
    pull.communicate()
    ipcsd.process.stop(how)
    held = ipcsd.ingest_bytes()
    expect(held >= 4 * MIB, f"of more than {4 * MIB} bytes that had arrived only {held} are left")
    ipcsd.start()
    before = len(registry.blob_gets())
    road.rate = None
    for name in ("killed", "left"):
        wait_for(f"a pull of {name}", lambda: containerd.ctr(*arguments[name], check=False).returncode == 0)
    resumed = {digest for digest, code in registry.blob_gets()[before:] if code == 206} & made["killed"].digests
    expect(resumed, f"no download was resumed with a ranged request: {registry.blob_gets()[before:]}")
    for name in made:
        ipcsd.check_blobs(made[name].digests)
        expect_runs(containerd, reference[name], name, layers[name])
    for lease in containerd.ctr("leases", "ls", "-q").stdout.split():
        containerd.ctr("leases", "rm", lease)
    for name in made:
        containerd.remove(reference[name])
    wait_until_freed(ipcsd, made["left"].digests | made["killed"].digests)


def stopped_during_pull(lab):
    """ipcsd is stopped with SIGTERM during pulls: what had arrived is kept, and the image becomes whole."""
    _restart_during_pull(lab, signal.SIGTERM)


def killed_during_pull(lab):
    """As stopped_during_pull, with SIGKILL."""
    _restart_during_pull(lab, signal.SIGKILL)


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


CASES = [pull_unpack_run, example_config, image_gc_frees_bytes, export_import, push, content_commands, several_images_at_once,
         present_content_moves_no_bytes, isolated_policy, operators_blobs_survive_gc, operators_blob_in_an_image,
         existing_directory, two_containerds, restart_between_pulls, stopped_during_pull, killed_during_pull,
         change_of_backend, killed_during_copy, previous_backend_is_needed]
