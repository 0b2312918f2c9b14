"""End-to-end cases with containerd's CRI plugin, as a kubelet uses it. Each is a function that takes a Lab."""

from checks import MIB, expect, expect_equal, gets_of, wait_until_freed
from lab import image
from lab.cri import REGISTRY
from lab.process import wait_for

# What the sandbox runs; SIGKILL ends it.
PAUSE = image.make("pause", command=["/bin/busybox", "sleep", "3600"])
SLEEP = ("/bin/busybox", "sleep", "3600")


def _start(lab, **options):
    registry, ipcsd = lab.registry(), lab.ipcsd()
    registry.push("pause:1", PAUSE)
    return registry, ipcsd, lab.kubelet(ipcsd.socket, registry, "pause:1", **options)


def expect_prints(kubelet, pod, name, of, text, layers=()):
    expect_equal(f"output of container {name}", kubelet.run(pod, name, of), image.expected_output(text, layers))


def cri_pod(lab):
    """Images are pulled by tag and by digest, and containers in a pod run from them; the sandbox's image, too, lies in
    ipcsd."""
    registry, ipcsd, kubelet = _start(lab)
    tagged, bare = image.make("tagged", (3 * MIB, 1000)), image.make("bare", (2 * MIB,))
    registry.push("tagged:1", tagged)
    registry.push("bare:1", bare)
    by_tag, by_digest = f"{REGISTRY}/tagged:1", f"{REGISTRY}/bare@{bare.digest}"
    expect_equal("id of the image pulled by tag", kubelet.pull(by_tag), tagged.config)
    expect_equal("id of the image pulled by digest", kubelet.pull(by_digest), bare.config)
    expect_equal("blobs on disk", set(ipcsd.blob_files()), tagged.digests | bare.digests)
    ipcsd.check_blobs(tagged.digests | bare.digests)
    expect_equal("ingests left", ipcsd.ingest_bytes(), 0)

    before = len(registry.blob_gets())
    expect_equal("id of the image by its digest", kubelet.pull(f"{REGISTRY}/tagged@{tagged.digest}"), tagged.config)
    expect_equal("GETs of blobs for what is there", registry.blob_gets()[before:], [])
    names = {i: (set(listed["repoTags"]), set(listed["repoDigests"])) for i, listed in kubelet.images().items()}
    expect_equal("images", names, {tagged.config: ({by_tag}, {f"{REGISTRY}/tagged@{tagged.digest}"}),
                                   bare.config: (set(), {by_digest})})
    status = kubelet.call("image", by_tag)["image"]
    expect_equal("image status", (status["id"], set(status["repoTags"])), (tagged.config, {by_tag}))

    pod = kubelet.run_pod("pod")
    expect_equal("pod's state", kubelet.call("pod", pod)["status"]["state"], "SANDBOX_READY")
    ipcsd.check_blobs(PAUSE.digests)
    expect_prints(kubelet, pod, "by-tag", by_tag, "tagged", (3 * MIB, 1000))
    expect_prints(kubelet, pod, "by-digest", by_digest, "bare", (2 * MIB,))
    expect_prints(kubelet, pod, "by-id", bare.config, "bare", (2 * MIB,))
    long = kubelet.start(pod, "long", by_tag, *SLEEP)
    expect_equal("state of a container that sleeps", kubelet.container_state(long), "CONTAINER_RUNNING")
    kubelet.call("stop", long)
    expect_equal("state of a container that was stopped", kubelet.container_state(long), "CONTAINER_EXITED")
    kubelet.call("remove", long)
    expect_equal("containers left", kubelet.call("containers")["containers"], [])
    kubelet.remove_pod(pod)
    expect_equal("pods left", kubelet.call("pods")["items"], [])


def cri_image_gc(lab):
    """An image removed through CRI frees its bytes, but not those that another image has too; a container that runs
    from it goes on; pulled again, it is whole."""
    registry, ipcsd, kubelet = _start(lab)
    one, two = image.make("one", (MIB,)), image.make("two", (MIB, 2 * MIB))
    registry.push("one:1", one)
    registry.push("two:1", two)
    first, second = f"{REGISTRY}/one:1", f"{REGISTRY}/two:1"
    pod = kubelet.run_pod("pod")
    kubelet.pull(first)
    snapshots = kubelet.snapshots()
    kubelet.pull(second)
    expect(one.digests & two.digests, "the images share layers")
    expect_equal("blobs on disk", set(ipcsd.blob_files()), one.digests | two.digests | PAUSE.digests)

    running = kubelet.start(pod, "running", second, *SLEEP)
    kubelet.call("remove-image", second)
    wait_until_freed(ipcsd, two.digests - one.digests)
    expect_equal("images", set(kubelet.images()), {one.config, PAUSE.config})
    expect_equal("blobs left", set(ipcsd.blob_files()), one.digests | PAUSE.digests)
    ipcsd.check_blobs(one.digests | PAUSE.digests)
    expect_equal("state of the container", kubelet.container_state(running), "CONTAINER_RUNNING")
    expect_prints(kubelet, pod, "one", first, "one", (MIB,))
    kubelet.call("stop", running)
    kubelet.call("remove", running)

    # A pull fetches no layer whose snapshot is there: only now is nothing left of the image.
    wait_for("the removed image's snapshots to go", lambda: kubelet.snapshots() == snapshots)
    before = len(registry.blob_gets())
    kubelet.pull(second)
    expect_equal("what was fetched again", {digest for digest, _ in gets_of(registry, two.digests, before)},
                 set(two.blobs) - one.digests)
    ipcsd.check_blobs(two.digests)
    expect_prints(kubelet, pod, "two", second, "two", (MIB, 2 * MIB))
    kubelet.remove_pod(pod)
    for image_id in (one.config, two.config, PAUSE.config):
        kubelet.call("remove-image", image_id)
    wait_until_freed(ipcsd, one.digests | two.digests | PAUSE.digests)
    expect_equal("blobs left", ipcsd.blob_files(), {})
    expect_equal("content that containerd knows", kubelet.containerd.contents("k8s.io"), set())


def cri_discard_unpacked_layers(lab):
    """With discard_unpacked_layers the layers' bytes go once they are unpacked, manifest and config stay, containers run;
    what was discarded can be pulled again, by CRI after the image was removed and by another namespace at once."""
    registry, ipcsd, kubelet = _start(lab, discard_unpacked_layers=True)
    layers = (3 * MIB, 1000)
    made = image.make("discarded", layers)
    direct = registry.push("discarded:1", made)
    reference = f"{REGISTRY}/discarded:1"
    own_layers = set(made.layers) - set(PAUSE.layers)
    kept = {made.digest, made.config, PAUSE.digest, PAUSE.config}

    def expect_discarded():
        wait_until_freed(ipcsd, made.layers)
        expect_equal("blobs on disk", set(ipcsd.blob_files()), kept)
        ipcsd.check_blobs(kept)
        expect_equal("content that containerd knows", kubelet.containerd.contents("k8s.io"), kept)

    pod = kubelet.run_pod("pod")
    snapshots = kubelet.snapshots()
    kubelet.pull(reference)
    expect_equal("layers that were fetched", {digest for digest, _ in gets_of(registry, made.layers)}, set(made.layers))
    expect_discarded()
    expect_prints(kubelet, pod, "first", reference, "discarded", layers)

    # The image is still one for CRI after a restart, and pulling it again needs no layer: the snapshots are there.
    kubelet.containerd.process.stop()
    kubelet.containerd.start()
    kubelet.wait()
    expect_equal("images", set(kubelet.images()), {made.config, PAUSE.config})
    before = len(registry.blob_gets())
    expect_equal("id of the image pulled again", kubelet.pull(reference), made.config)
    expect_equal("GETs of layers that are unpacked", gets_of(registry, made.layers, before), [])
    expect_prints(kubelet, pod, "second", reference, "discarded", layers)

    # Another namespace has no snapshots: it needs the layers, gets them all and keeps them.
    kubelet.containerd.pull(direct, namespace="other")
    expect_equal("layers fetched for another namespace", {d for d, _ in gets_of(registry, made.layers, before)},
                 set(made.layers))
    ipcsd.check_blobs(made.digests)
    expect_equal("output in another namespace", kubelet.containerd.run(direct, "other", namespace="other"),
                 image.expected_output("discarded", layers))
    kubelet.containerd.remove(direct, namespace="other")
    expect_discarded()

    kubelet.call("remove-image", reference)
    wait_until_freed(ipcsd, {made.digest, made.config})
    wait_for("the removed image's snapshots to go", lambda: kubelet.snapshots() == snapshots)
    before = len(registry.blob_gets())
    kubelet.pull(reference)
    expect_equal("layers fetched again", {digest for digest, _ in gets_of(registry, made.layers, before)}, own_layers)
    expect_discarded()
    expect_prints(kubelet, pod, "third", reference, "discarded", layers)
    kubelet.remove_pod(pod)
    for image_id in (made.config, PAUSE.config):
        kubelet.call("remove-image", image_id)
    wait_until_freed(ipcsd, made.digests | PAUSE.digests)
    expect_equal("blobs left", ipcsd.blob_files(), {})


CASES = [cri_pod, cri_image_gc, cri_discard_unpacked_layers]
