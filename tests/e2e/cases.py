"""Images pulled, run, exported, pushed and removed. Each case is a function that takes a Lab; its docstring says what it proves."""

import random

from checks import MIB, expect, expect_equal, expect_runs, gets_of, wait_until_freed
from lab import image
from lab.process import wait_for


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


CASES = [pull_unpack_run, example_config, image_gc_frees_bytes, export_import, push, content_commands,
         several_images_at_once, present_content_moves_no_bytes, isolated_policy, operators_blobs_survive_gc,
         operators_blob_in_an_image, existing_directory, two_containerds]
