"""Cases in which ipcsd unpacks: containerd 2.x with both of its proxy plugins. 1.6 unpacks by itself."""

import json
import os
import signal

from checks import MIB, expect, expect_equal, expect_runs, wait_until_connected, wait_until_freed
from cri_cases import PAUSE, expect_prints
from lab import image
from lab.cri import REGISTRY
from lab.process import command, wait_for

PLAIN = "application/vnd.oci.image.layer.v1.tar"


def _unpacking(lab):
    registry, ipcsd = lab.registry(), lab.ipcsd(diff=True)
    return registry, ipcsd, lab.containerd(ipcsd.socket, diff=ipcsd.diff)


def _layers(containerd, made):
    return [layer["digest"] for layer in containerd.manifest(made.digest)["layers"]]


def unpacked_by_ipcsd(lab):
    """Images pulled through the transfer service and by ctr itself are unpacked by ipcsd, and run."""
    registry, ipcsd, containerd = _unpacking(lab)
    wanted = []
    for name, client_side in (("transfer", False), ("local", True)):
        layers = (3 * MIB + client_side, 1000 + client_side)
        made = image.make(name, layers)
        reference = registry.push(f"{name}:1", made)
        containerd.pull(reference, client_side=client_side)
        expect_runs(containerd, reference, name, layers)
        wanted += _layers(containerd, made)
    expect_equal("layers that ipcsd applied", sorted(ipcsd.applied_layers()), sorted(set(wanted)))
    plugins = [line.split() for line in containerd.ctr("plugins", "ls").stdout.splitlines()]
    expect_equal("differs", [words[-1] for words in plugins if "ipcs-diff" in words], ["ok"])


def layers_of_all_kinds(lab):
    """Layers of every kind that registries hold are unpacked by ipcsd into overlay and native snapshots, and run."""
    registry = lab.registry()
    layers = tuple(MIB + i for i in range(len(image.KINDS)))
    made = image.make("kinds", layers, kinds=image.KINDS)
    reference = registry.push("kinds:1", made)
    for snapshotter in ("overlayfs", "native"):
        ipcsd = lab.ipcsd(diff=True)
        containerd = lab.containerd(ipcsd.socket, diff=ipcsd.diff, snapshotter=snapshotter)
        containerd.pull(reference)
        expect_runs(containerd, reference, "kinds", layers)
        expect_equal(f"layers that ipcsd applied ({snapshotter})", sorted(ipcsd.applied_layers()), sorted(made.layers))


def unpacked_from_peers(lab):
    """A converted image is pulled by its CID on a second node: ipcsd unpacks layers whose blocks come from the first one
    meanwhile, and it runs. On the first node, layers are unpacked from what containerd has just written to Kubo."""
    registry = lab.registry()
    layers = (6 * MIB, 700_000)
    made = image.make("peers", layers)
    reference = registry.push("peers:1", made)
    kubo, kubo2 = lab.kubo(), lab.kubo()
    ipcsd, ipcsd2 = lab.ipcsd(kubo=kubo, diff=True), lab.ipcsd(kubo=kubo2, diff=True)
    containerd, containerd2 = (lab.containerd(one.socket, diff=one.diff) for one in (ipcsd, ipcsd2))
    containerd.pull(reference)
    expect_equal("layers that ipcsd applied", sorted(ipcsd.applied_layers()), sorted(made.layers))
    cid = ipcsd.image(containerd, "convert", f"containerd:{reference}", "containerd:peers.p2p")
    kubo2.connect(kubo)
    ipcsd2.image(containerd2, "pull", cid, "peers.p2p")
    expect_runs(containerd2, "peers.p2p", "peers", layers)
    expect_equal("layers that the second ipcsd applied", len(ipcsd2.applied_layers()), len(made.layers))
    expect(kubo2.received() > sum(layers), f"{kubo2.received()} bytes are less than the layers have")


FOUR_AT_ONCE = """
[plugins."io.containerd.transfer.v1.local"]
  max_concurrent_unpacks = 4
"""


def unpacked_in_parallel(lab):
    """Ten images are pulled at once, and one of many layers of which containerd gives four at a time."""
    registry, ipcsd = lab.registry(), lab.ipcsd(diff=True)
    containerd = lab.containerd(ipcsd.socket, diff=ipcsd.diff, keys=FOUR_AT_ONCE)
    layers = tuple(MIB // 4 + i for i in range(10))
    many = registry.push("many:1", image.make("many", layers))
    containerd.pull(many)
    expect_runs(containerd, many, "many", layers)
    made = {f"p{i}": image.make(f"p{i}", (MIB + i, 2000 + i)) for i in range(10)}
    references = {name: registry.push(f"{name}:1", one) for name, one in made.items()}
    pulls = {name: containerd.ctr_in_background(*containerd.pull_arguments(r)) for name, r in references.items()}
    for name, pull in pulls.items():
        out, error = pull.communicate(timeout=120)
        expect_equal(f"exit code of the pull of {name} ({error or out})", pull.returncode, 0)
    for name in made:
        expect_runs(containerd, references[name], name, (MIB + int(name[1:]), 2000 + int(name[1:])))
    expect_equal("workers left", ipcsd.workers(), [])


def _killed(lab, kill):
    registry, ipcsd, containerd = _unpacking(lab)
    layers = (48 * MIB, 5000)
    made = image.make("killed", layers)
    reference = registry.push("killed:1", made)
    pull = containerd.ctr_in_background(*containerd.pull_arguments(reference))

    def large_layer_is_written():
        written = containerd.directory.glob("root/io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/data/0")
        return ipcsd.workers() and any(path.stat().st_size > 0 for path in written) or pull.poll() is not None

    wait_for("a layer to be written", large_layer_is_written)
    expect(pull.poll() is None, "the pull ended before anything was killed")
    kill(ipcsd)
    pull.communicate(timeout=60)
    expect(pull.returncode != 0, "the pull went well although its layer was cut off")
    expect_equal("workers left", ipcsd.workers(), [])
    mounts = open("/proc/self/mountinfo").read()
    expect(str(ipcsd.root) not in mounts, "something is left mounted")
    wait_until_connected(containerd)
    wait_for("the pull", lambda: containerd.ctr(*containerd.pull_arguments(reference), check=False).returncode == 0)
    expect_runs(containerd, reference, "killed", layers)


def worker_killed(lab):
    """A worker is killed in the middle of a layer: that pull fails, the next one goes well."""
    def kill(ipcsd):
        for pid in ipcsd.workers():
            os.kill(pid, signal.SIGKILL)
    _killed(lab, kill)


def killed_while_unpacking(lab):
    """ipcsd is killed in the middle of a layer: its worker ends too, and after a restart the next pull goes well."""
    def kill(ipcsd):
        workers = ipcsd.workers()
        ipcsd.process.stop(signal.SIGKILL)
        wait_for("the workers to end", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
        ipcsd.start()
    _killed(lab, kill)


def example_diff_config(lab):
    """containerd starts with the example configuration for an ipcsd that unpacks, and an image is unpacked by it and runs."""
    registry, ipcsd = lab.registry(), lab.ipcsd(diff=True)
    containerd = lab.containerd(ipcsd.socket, diff=ipcsd.diff, example=True)
    layers = (MIB, 1000)
    made = image.make("example", layers)
    reference = registry.push("example:1", made)
    containerd.pull(reference)
    expect_runs(containerd, reference, "example", layers)
    expect_equal("layers that ipcsd applied", sorted(ipcsd.applied_layers()), sorted(_layers(containerd, made)))
    ipcsd.check_blobs(made.digests)


def _cri(lab, discard):
    registry, ipcsd = lab.registry(), lab.ipcsd(diff=True)
    registry.push("pause:1", PAUSE)
    return registry, ipcsd, lab.kubelet(ipcsd.socket, registry, "pause:1", diff=ipcsd.diff, discard_unpacked_layers=discard)


def cri_unpacked_by_ipcsd(lab):
    """What a kubelet pulls is unpacked by ipcsd, the sandbox's image too, and containers in a pod run from it."""
    registry, ipcsd, kubelet = _cri(lab, discard=False)
    layers = (3 * MIB, 1000)
    made = image.make("pulled", layers)
    registry.push("pulled:1", made)
    reference = f"{REGISTRY}/pulled:1"
    expect_equal("id of the image", kubelet.pull(reference), made.config)
    expect_equal("layers that ipcsd applied", sorted(ipcsd.applied_layers()), sorted(made.layers))
    pod = kubelet.run_pod("pod")
    expect_prints(kubelet, pod, "container", reference, "pulled", layers)
    expect_equal("layers that ipcsd applied", set(ipcsd.applied_layers()), {*made.layers, *PAUSE.layers})
    kubelet.remove_pod(pod)
    expect_equal("workers left", ipcsd.workers(), [])


def cri_unpacked_and_discarded(lab):
    """With discard_unpacked_layers the layers' bytes go once ipcsd has unpacked them, and containers run."""
    registry, ipcsd, kubelet = _cri(lab, discard=True)
    layers = (3 * MIB, 1000)
    made = image.make("discarded", layers)
    registry.push("discarded:1", made)
    reference = f"{REGISTRY}/discarded:1"
    pod = kubelet.run_pod("pod")
    kubelet.pull(reference)
    expect_equal("layers that ipcsd applied", set(ipcsd.applied_layers()), {*made.layers, *PAUSE.layers})
    wait_until_freed(ipcsd, made.layers)
    kept = {made.digest, made.config, PAUSE.digest, PAUSE.config}
    expect_equal("blobs on disk", set(ipcsd.blob_files()), kept)
    ipcsd.check_blobs(kept)
    expect_prints(kubelet, pod, "container", reference, "discarded", layers)
    kubelet.remove_pod(pod)


def _chain_id(containerd, made):
    """The name of the snapshot that holds all of an image's layers."""
    diff_ids = json.loads(containerd.get(made.config))["rootfs"]["diff_ids"]
    chain = diff_ids[0]
    for diff_id in diff_ids[1:]:
        chain = image.digest_of(f"{chain} {diff_id}".encode())
    return chain


def _change(root):
    """New, changed and removed files, with times that do not depend on when."""
    (root / "data/0").write_bytes(b"changed")
    (root / "data/1").unlink()
    (root / "bin/sh").unlink()
    (root / "new").mkdir()
    (root / "new/file").write_bytes(b"new" * 1000)
    os.symlink("file", root / "new/link")
    os.chmod(root / "tmp", 0o1777)
    os.setxattr(root / "new/file", "user.note", b"value")
    for path in ("data/0", "new/file", "new/link", "new", "data", "bin", "tmp", "."):
        os.utime(root / path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)


def _digest_of_changes(containerd, made, work, media_type):
    """Changes a snapshot on top of an image; returns the digests of what `ctr snapshots diff` makes of it, and of the image's
    own topmost layer."""
    top, key = _chain_id(containerd, made), "on-top"
    snapshots = ["snapshots", "--snapshotter", containerd.snapshotter]
    containerd.ctr(*snapshots, "prepare", key, top)
    work.mkdir()
    script = containerd.ctr(*snapshots, "mounts", work, key).stdout
    command(["sh", "-ec", script])
    try:
        _change(work)
    finally:
        command(["umount", work])
    return [image.digest_of(containerd.output(*snapshots, "diff", "--media-type", media_type, snapshot))
            for snapshot in (key, top)]


def diff_of_snapshots(lab):
    """`ctr snapshots diff` on an image that ipcsd has unpacked gives what it gives on one that containerd has: ipcsd leaves it
    to containerd's own differ."""
    registry = lab.registry()
    made = image.make("committed", (2 * MIB, 1000))
    reference = registry.push("committed:1", made)
    found = {}
    for unpacks in (True, False):
        ipcsd = lab.ipcsd(diff=unpacks)
        containerd = lab.containerd(ipcsd.socket, diff=ipcsd.diff)
        containerd.pull(reference)
        expect_equal("layers that ipcsd applied", len(ipcsd.applied_layers()), len(made.layers) if unpacks else 0)
        for number, kind in enumerate((PLAIN, image.LAYER)):
            containerd.ctr("snapshots", "--snapshotter", containerd.snapshotter, "rm", "on-top", check=False)
            found[unpacks, kind] = _digest_of_changes(
                containerd, made, lab.directory / f"work-{unpacks}-{number}", kind)
        if unpacks:
            log = (ipcsd.directory / "log").read_text()
            expect("level=error" not in log, f"leaving it to another is no error:\n{log}")
    for kind in (PLAIN, image.LAYER):
        expect_equal(f"digests of {kind}", found[True, kind], found[False, kind])
        expect(len(set(found[True, kind])) == 2, "the changes are the layer")


def wrong_diff_id(lab):
    """An image whose config names another layer's diff id is refused, by the transfer service and by ctr itself, as when
    containerd unpacks."""
    registry, ipcsd, containerd = _unpacking(lab)
    without = lab.containerd(lab.ipcsd().socket)
    for name, client_side in (("transfer", False), ("local", True)):
        def claimed(right, name=name):
            return [*right[:-1], image.digest_of(name.encode())]
        made = image.make(name, (MIB + client_side,), diff_ids=claimed)
        reference = registry.push(f"{name}:1", made)
        said = []
        for one in (containerd, without):
            # In a namespace of its own: what a failed pull leaves is collected while the next one finds it.
            done = one.pull(reference, namespace=name, client_side=client_side, check=False)
            expect(done.returncode != 0, "an image with a wrong diff id was unpacked")
            said.append((done.stderr or done.stdout).strip().splitlines()[-1].replace(made.layers[-1], "LAYER"))
            expect("wrong diff id" in said[-1], said[-1])
        expect_equal("what is said about it", said[0], said[1])
    expect(ipcsd.applied_layers() != [], "ipcsd has applied nothing")
    expect_equal("workers left", ipcsd.workers(), [])


def damaged_layer(lab):
    """A layer whose stored bytes are damaged is not unpacked, and the error names it; once it was found by `verify` and the
    image removed, the image is pulled again and runs."""
    registry, ipcsd, containerd = _unpacking(lab)
    layers = (3 * MIB,)
    made = image.make("damaged", layers)
    reference = registry.push("damaged:1", made)
    containerd.ctr("content", "fetch", "--plain-http", reference)
    bad = made.layers[-1]
    path = ipcsd.blob_files()[bad]
    path.chmod(0o600)
    with open(path, "r+b") as blob:
        blob.seek(path.stat().st_size // 2)
        blob.write(b"damaged")
    done = containerd.pull(reference, check=False)
    expect(done.returncode != 0, "a damaged layer was unpacked")
    expect(bad in done.stdout + done.stderr, f"the layer is not named: {done.stdout}{done.stderr}")
    done = ipcsd.ctl("verify", check=False)
    expect(done.returncode != 0 and bad in done.stdout + done.stderr, f"verify: {done.stdout}{done.stderr}")
    containerd.remove(reference)
    containerd.pull(reference)
    expect_runs(containerd, reference, "damaged", layers)
    ipcsd.check_blobs(made.digests)


def encrypted_layers(lab):
    """Layers of a media type that a stream processor of containerd decrypts: clients of the diff service get them from its next
    differ; the transfer service, which has no next one, fails, ipcsd's log says why, and where `differ` is left out they are unpacked."""
    registry, ipcsd = lab.registry(), lab.ipcsd(diff=True)
    kind = image.LAYER + "+encrypted"
    processor = f"""
[stream_processors."io.containerd.ocicrypt.decoder.v1.tar.gzip"]
  accepts = ["{kind}"]
  returns = "{image.LAYER}"
  path = "/bin/cat"
  args = []
"""
    containerd = lab.containerd(ipcsd.socket, diff=ipcsd.diff, keys=processor)
    made = {name: image.make(name, (MIB + i,), layer_type=kind) for i, name in enumerate(("local", "transfer", "left-out"))}
    references = {name: registry.push(f"{name}:1", one) for name, one in made.items()}

    containerd.pull(references["local"], client_side=True)
    expect_runs(containerd, references["local"], "local", (MIB,))
    done = containerd.pull(references["transfer"], check=False)
    said = (done.stdout + done.stderr).strip().splitlines()[-1]
    expect(done.returncode != 0, "the transfer service has unpacked an encrypted layer with ipcsd")
    expect("method Transfer not implemented" in said, f"the error is another one: {said}")  # what it takes Unimplemented for
    log = (ipcsd.directory / "log").read_text()
    expect("layer left to the next differ" in log and f'layers of type \\"{kind}\\" are not known' in log,
           f"ipcsd's log does not say why:\n{log}")

    other = lab.containerd(lab.ipcsd().socket, diff=ipcsd.diff, keys=processor, differ=False)
    other.pull(references["left-out"])
    expect_runs(other, references["left-out"], "left-out", (MIB + 2,))
    expect_equal("layers that ipcsd applied", ipcsd.applied_layers(), [])


CASES = [unpacked_by_ipcsd, layers_of_all_kinds, unpacked_from_peers, unpacked_in_parallel, worker_killed, killed_while_unpacking, example_diff_config,
         cri_unpacked_by_ipcsd, cri_unpacked_and_discarded, diff_of_snapshots, wrong_diff_id, damaged_layer, encrypted_layers]
