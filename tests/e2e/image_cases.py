"""The cases of `ipcsctl image`: ipcsd on Kubo, and what goes from one node to another without a registry."""

import json
import re
import shutil
import signal
import urllib.parse

from checks import MIB, collect_garbage, expect, expect_equal, expect_runs, wait_until_connected
from lab import image
from lab.containerd import platform
from lab.process import wait_for

LAYERS = (3 * MIB, 700_000, 1000)


def node(lab, policy="shared"):
    kubo = lab.kubo()
    ipcsd = lab.ipcsd(kubo=kubo)
    return kubo, ipcsd, lab.containerd(ipcsd.socket, policy=policy)


def listed(ipcsd, containerd, name):
    images = ipcsd.ctl_json("image", "--containerd", containerd.socket, "ls")
    return [i for i in images if i["name"] == name]


def expect_no_pins(ipcsd):
    expect_equal("pins left", ipcsd.pins(), {})


def converted_image_on_another_node(lab, policy="shared"):
    """An unmodified image is pulled and converted; another node pulls it by its CID, with no byte from the registry and none of
    its layers before they are unpacked, and runs it. Pulled once more it moves no byte at all. Its content outlives a garbage collection, and goes with the image."""
    registry = lab.registry()
    kubo, ipcsd, containerd = node(lab, policy)
    made = image.make("converted", LAYERS)
    reference = registry.push("hello:1", made)
    containerd.pull(reference)
    cid = ipcsd.image(containerd, "convert", f"containerd:{reference}", "containerd:hello.p2p")
    expect(cid.startswith("ipfs://"), f"the last line is {cid}")
    expect_no_pins(ipcsd)
    expect_runs(containerd, "hello.p2p", "converted", LAYERS)
    fetched = len(registry.blob_gets())

    kubo2, ipcsd2, containerd2 = node(lab, policy)
    kubo2.connect(kubo)
    expect_equal("last line", ipcsd2.image(containerd2, "pull", cid, "hello.p2p"), cid)
    if policy == "shared":
        expect(kubo2.received() < 100_000, f"{kubo2.received()} bytes moved for a registration")
    expect_no_pins(ipcsd2)
    expect_equal("image", listed(ipcsd2, containerd2, "hello.p2p"), listed(ipcsd, containerd, "hello.p2p"))
    collect_garbage(containerd2)
    expect_runs(containerd2, "hello.p2p", "converted", LAYERS)
    # Its blocks are here now.
    moved = kubo2.received()
    expect(moved > sum(LAYERS), f"{moved} bytes are less than the layers have")
    ipcsd2.image(containerd2, "pull", cid, "again.p2p")
    expect_runs(containerd2, "again.p2p", "converted", LAYERS)
    expect_equal("bytes moved by the second pull", kubo2.received() - moved, 0)
    containerd2.remove("again.p2p")
    expect_equal("GETs of blobs", registry.blob_gets()[fetched:], [])
    collect_garbage(containerd2)
    known = containerd2.contents()
    expect_equal("blobs that containerd has", len(known), len(made.digests) + 1)
    expect_equal("blobs that ipcsd has", {b["digest"] for b in ipcsd2.ctl_json("content", "ls")}, known)
    containerd2.remove("hello.p2p")
    wait_for("the image's content to go", lambda: not ipcsd2.ctl_json("content", "ls"))


def converted_image_isolated(lab):
    """The same where namespaces do not share content: containerd wants the bytes, and takes them under p2p digests."""
    converted_image_on_another_node(lab, "isolated")


def converted_from_registry_and_by_car(lab):
    """An image goes from a registry through ipcsd into containerd and into a CAR, and from there to a node that knows nobody."""
    registry = lab.registry()
    _, ipcsd, containerd = node(lab)
    made = image.make("by car", LAYERS)
    reference = registry.push("car:1", made)
    cid = ipcsd.image(containerd, "--plain-http", "convert", reference, "containerd:car.p2p")
    expect_no_pins(ipcsd)
    archive = lab.directory / "image.car"
    expect_equal("CID", ipcsd.image(containerd, "export", "car.p2p", f"car:{archive}"), cid)
    direct = lab.directory / "direct.car"
    expect_equal("CID", ipcsd.image(containerd, "--plain-http", "convert", reference, f"car:{direct}"), cid)
    _, ipcsd2, containerd2 = node(lab)
    expect_equal("CID", ipcsd2.image(containerd2, "import", f"car:{archive}", "car.p2p"), cid)
    expect_no_pins(ipcsd2)
    collect_garbage(containerd2)
    expect_runs(containerd2, "car.p2p", "by car", LAYERS)
    # Back to the digests that registries and layouts take: the image as it was.
    expect_equal("digest", ipcsd2.image(containerd2, "export", "car.p2p", f"oci:{lab.directory / 'plain'}:x"), made.digest)
    target = f"{registry.host}/back:1"
    ipcsd2.image(containerd2, "--plain-http", "convert", "containerd:car.p2p", target, "--digests", "oci")
    expect_equal("manifest", registry.manifest("back:1"), made.manifest)
    expect_equal("pins that are not of something published",
                 [note for note in ipcsd2.pins().values() if not note.startswith("published as ipfs://")], [])

    cut = lab.directory / "cut.car"
    cut.write_bytes(archive.read_bytes()[:-1000])
    _, ipcsd3, containerd3 = node(lab)
    done = ipcsd3.image(containerd3, "import", f"car:{cut}", "cut", check=False)
    expect_equal("exit code", done.returncode, 1)
    expect_equal("images", containerd3.images(), set())
    expect_no_pins(ipcsd3)


def published_as_nerdctl_does(lab):
    """push lays an image out as nerdctl's push does, and one laid out so by others can be pulled."""
    kubo, ipcsd, containerd = node(lab)
    registry = lab.registry()
    made = image.make("published", LAYERS)
    reference = registry.push("pub:1", made)
    expect_equal("digest", ipcsd.image(containerd, "--plain-http", "pull", reference), made.digest)
    expect_no_pins(ipcsd)
    expect_runs(containerd, reference, "published", LAYERS)

    cid = ipcsd.image(containerd, "push", f"ipfs://{reference}")
    # Independently, with `ipfs add` alone.
    other = lab.kubo()
    manifest = json.loads(made.manifest)
    for descriptor in (manifest["config"], *manifest["layers"]):
        descriptor["urls"] = ["ipfs://" + other.add(made.blobs[descriptor["digest"]])]
    ours = json.loads(kubo.cat(cid.removeprefix("ipfs://")))
    published = kubo.cat(ours["urls"][0].removeprefix("ipfs://"))
    expect_equal("manifest", json.loads(published), manifest)
    expect_equal("digest", ours["digest"], image.digest_of(published))
    root = {"mediaType": image.MANIFEST, "digest": ours["digest"], "size": len(published),
            "urls": ["ipfs://" + other.add(published)]}
    expect_equal("descriptor", ours, root)
    theirs = "ipfs://" + other.add(json.dumps(root, separators=(",", ":")).encode())
    expect_equal("CID", cid, theirs)

    kubo2, ipcsd2, containerd2 = node(lab)
    kubo2.connect(other)
    ipcsd2.image(containerd2, "pull", theirs, "from.others")
    expect_runs(containerd2, "from.others", "published", LAYERS)
    expect_no_pins(ipcsd2)


def oci_digests_everywhere(lab):
    """With --digests oci, a registry and a layout take the result, and a containerd without ipcsd pulls it. A layout gets the
    ipfs:// urls, a registry, which would refuse them, does not. Within one registry no bytes are sent."""
    registry = lab.registry()
    _, ipcsd, containerd = node(lab)
    made = image.make("everywhere", LAYERS)
    reference = registry.push("oci:1", made)
    target = f"{registry.host}/converted:1"
    done = ipcsd.image(containerd, "--plain-http", "convert", reference, target, "--digests", "oci", check=False)
    expect(done.returncode == 0 and f"is {made.digest} in the registry, which refuses ipfs:// urls" in done.stderr, done.stderr)
    expect_equal("manifest", registry.manifest("converted:1"), made.manifest)
    # The registry has the blobs in the other repository.
    expect_equal("mounts", {(urllib.parse.unquote(digest), status) for digest, status in registry.mounts("converted")},
                 {(digest, 201) for digest in made.blobs})
    expect_equal("uploads", registry.uploads("converted"), [])
    plain = lab.containerd(None)
    plain.pull(target)
    expect_runs(plain, target, "everywhere", LAYERS)
    layout = lab.directory / "layout"
    ipcsd.image(containerd, "--plain-http", "convert", target, f"oci:{layout}:v1", "--digests", "oci")
    root = json.loads((layout / "index.json").read_text())["manifests"][0]
    manifest = json.loads((layout / "blobs/sha256" / root["digest"].removeprefix("sha256:")).read_text())
    expect_equal("layers", [l["digest"] for l in manifest["layers"]], made.layers)
    expect(all(l["urls"][0].startswith("ipfs://") for l in (*manifest["layers"], manifest["config"])), f"urls: {manifest}")
    # It is the urls alone that the registry refuses. One that takes them can have them.
    status, words = registry.answer_to_manifest("converted", json.dumps(manifest).encode())
    expect(status >= 400, f"the registry takes ipfs:// urls now: {status} {words}")
    bare = {**manifest, "layers": [{k: v for k, v in l.items() if k != "urls"} for l in manifest["layers"]]}
    expect_equal("answer without them", registry.answer_to_manifest("converted", json.dumps(bare).encode())[0], 201)
    ipcsd.image(containerd, "import", f"oci:{layout}:v1", "from.layout")
    expect_runs(containerd, "from.layout", "everywhere", LAYERS)
    small = lab.directory / "small"
    ipcsd.image(containerd, "--plain-http", "convert", target, f"oci:{small}:v1", "--digests", "oci", "--chunker", "size-65536")
    root = json.loads((small / "index.json").read_text())["manifests"][0]
    manifest = json.loads((small / "blobs/sha256" / root["digest"].removeprefix("sha256:")).read_text())
    other = lab.kubo()
    for layer in manifest["layers"]:
        cid = other.add(made.blobs[layer["digest"]], "--chunker=size-65536")
        expect_equal("urls of a layer cut elsewhere", layer["urls"], [f"ipfs://{cid}"])
    for place in (target, f"oci:{layout}:v2"):
        done = ipcsd.image(containerd, "--plain-http", "convert", reference, place, check=False)
        expect(done.returncode == 1 and "--digests oci" in done.stderr and done.stderr.count("\n") == 1, done.stderr)


def compared_images(lab):
    """Buckets over blocks of images that share layers."""
    registry = lab.registry()
    _, ipcsd, containerd = node(lab)
    references = [registry.push(f"compare:{i}", image.make(f"version {i}", (2 * MIB, 1000 + i))) for i in range(2)]
    picture = lab.directory / "plot.svg"
    result = json.loads(ipcsd.ctl("--format", "json", "image", "--containerd", containerd.socket, "--plain-http", "compare",
                                  *references, "--plot", picture).stdout)
    buckets = {tuple(b["images"]): b for b in result["blocks"]["buckets"]}
    both = tuple(references)
    expect_equal("buckets", len(buckets), 3)
    expect(buckets[both]["bytes"] > 2 * MIB and buckets[both]["count"] > 10, f"in both: {buckets[both]}")
    for i, reference in enumerate(references):
        only = buckets[(reference,)]
        expect(0 < only["bytes"] < 10_000, f"only in {reference}: {only}")
        total = result["blocks"]["totals"][i]
        expect_equal("total", total["bytes"], only["bytes"] + buckets[both]["bytes"])
    expect(picture.read_text().startswith("<svg"), "no picture")
    # The second layers' files differ, everything else is the same; whatever the backend is.
    local = lab.ipcsd()
    for daemon in (ipcsd, local):
        result = json.loads(daemon.ctl("--format", "json", "image", "--containerd", containerd.socket, "--plain-http", "compare",
                                       *references, "--by", "files").stdout)
        expect_equal("what was counted", set(result), {"images", "files"})
        buckets = {tuple(b["images"]): b for b in result["files"]["buckets"]}
        shared = image.BUSYBOX.stat().st_size + 2 * MIB
        expect_equal("files", {names: (b["count"], b["bytes"]) for names, b in buckets.items()},
                     {both: (2, shared), (references[0],): (1, 1000), (references[1],): (1, 1001)})
        expect_no_pins(daemon)


def image_verbs_on_local(lab):
    """A backend without DAGs says so in one line; what needs none works."""
    registry, ipcsd = lab.registry(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    made = image.make("local", LAYERS)
    reference = registry.push("local:1", made)
    ipcsd.image(containerd, "--plain-http", "pull", reference)
    expect_runs(containerd, reference, "local", LAYERS)
    expect_equal("digests", {b["digest"] for b in ipcsd.ctl_json("content", "ls")}, made.digests)
    layout = lab.directory / "layout"
    ipcsd.image(containerd, "export", reference, f"oci:{layout}:x")
    containerd.remove(reference)
    ipcsd.image(containerd, "import", f"oci:{layout}:x", "again")
    expect_runs(containerd, "again", "local", LAYERS)
    for arguments in (("convert", "containerd:again", "containerd:p2p"), ("push", "ipfs://again"), ("compare", "containerd:again"),
                      ("export", "again", f"car:{lab.directory / 'x.car'}"), ("import", f"car:{lab.directory / 'x.car'}", "x"),
                      ("pull", "ipfs://bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", "x")):
        done = ipcsd.image(containerd, *arguments, check=False)
        expect(done.returncode == 1 and 'the backend "local" does not offer ipcs.' in done.stderr
               and done.stderr.count("\n") == 1, f"{arguments}: {done.stderr}")
    expect_no_pins(ipcsd)


def interrupted_conversion(lab):
    """Ctrl-C ends a conversion in good order: no pins are left, no image, and the same command goes on behind the bytes that are there.
    Of a run that is killed, the next one drops the pins."""
    registry = lab.registry()
    _, ipcsd, containerd = node(lab)
    made = image.make("interrupted", (4 * MIB,))
    registry.push("slow:1", made)
    road = lab.slow_road(registry, 500_000)
    reference = f"{road.host}/slow:1"
    arguments = ["image", "--containerd", containerd.socket, "--plain-http", "convert", reference, "containerd:slow.p2p"]
    run = ipcsd.ctl_in_background(*arguments)
    wait_for("a blob to be pinned", lambda: ipcsd.pins() and ipcsd.ctl_json("content", "active"))
    notes = set(ipcsd.pins().values()) - {""}  # for a moment after it was written
    expect(notes <= {f"ipcsctl image convert {reference} containerd:slow.p2p"}, f"notes: {notes}")
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    expect(run.returncode == -signal.SIGINT and output == "ipcsctl: interrupted\n", f"ended with {run.returncode}: {output}")
    expect_no_pins(ipcsd)
    expect_equal("images", containerd.images(), set())
    held = sum(i["offset"] for i in ipcsd.ctl_json("content", "active"))
    expect(held > 0, "nothing is left to go on from")
    # A run that is killed can't drop its pins; the next one does.
    run = ipcsd.ctl_in_background(*arguments)
    wait_for("a blob to be pinned", ipcsd.pins)
    run.kill()
    run.communicate(timeout=60)
    expect(ipcsd.pins(), "a killed run has dropped its pins")
    road.rate = None
    ipcsd.ctl(*arguments)
    expect_runs(containerd, "slow.p2p", "interrupted", (4 * MIB,))
    expect_no_pins(ipcsd)
    expect(any(code == 206 for _, code in registry.blob_gets()), "nothing was resumed")


def to_kubo_and_back(lab):
    """local → ipfs-http → local under a running container: it never stops, every image unpacks and reads right after each
    move and without the store before, no byte comes from the registry again, and a garbage collection leaves nothing. One way the operator
    copies, the other way ipcsd does by itself."""
    registry, kubo, ipcsd = lab.registry(), lab.kubo(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    made = {registry.push(f"moved:{i}", m): (text, layers, m) for i, (text, layers) in
            enumerate([("large", LAYERS), ("small", (1000,))]) if (m := image.make(text, layers))}
    for reference in made:
        containerd.pull(reference)
    held = set().union(*(m.digests for _, _, m in made.values()))
    pulled = len(registry.blob_gets())
    containerd.start_container(next(iter(made)), "steady", "/bin/busybox", "sleep", "600")
    checksum = image.expected_output("large", LAYERS).split("\n")[1]

    def check(namespace):
        wait_until_connected(containerd)
        expect_equal("the running container", containerd.exec("steady", "/bin/busybox", "sha256sum", "/data/0").strip(), checksum)
        for reference, (text, layers, m) in made.items():
            containerd.pull(reference, namespace=namespace)  # which has no snapshots yet: all is unpacked
            expect_runs(containerd, reference, text, layers, namespace=namespace)
            for digest in m.digests:
                expect(containerd.get(digest) == m.blobs.get(digest, m.manifest), f"{digest} has other bytes")
        expect_equal("GETs of blobs", registry.blob_gets()[pulled:], [])

    def move(backend, store, previous, by_itself=False):
        ipcsd.change_backend(backend, store, previous=previous, keys='copy_rate = "8MiB"\n' if by_itself else "")
        check(f"beside-{previous}")
        # Now and then a probe of the connection is still on its way out.
        wait_for("the probe to go", lambda: {b["digest"] for b in ipcsd.ctl_json("content", "ls")} == held)
        if by_itself:
            wait_for("the copy", lambda: ipcsd.ctl_json("backend", "status")["previous"]["to_copy"]["count"] == 0)
            wait_for("its line", lambda: "everything that was lacking has been copied" in ipcsd.process.tail())
        else:
            copied = ipcsd.ctl_json("backend", "copy")
            expect_equal("the copy", (copied["copied"]["count"], copied["complete"], copied["findings"]), (len(held), True, []))
        ipcsd.change_backend(backend, store)
        check(f"without-{previous}")

    local = ipcsd.store
    move("ipfs-http", kubo, "local")
    # What the old store has in its directory is not the copy that goes back.
    away = lab.directory / "away"
    local.rename(away)
    move("local", local, "ipfs-http", by_itself=True)
    ipcsd.check_blobs(held)

    containerd.end_container("steady")
    for namespace in ("default", "beside-local", "without-local", "beside-ipfs-http", "without-ipfs-http"):
        for reference in containerd.images(namespace):
            containerd.remove(reference, namespace=namespace)
    wait_for("the garbage collection", lambda: not ipcsd.blob_files())
    expect_equal("content", ipcsd.ctl_json("content", "ls"), [])
    expect_no_pins(ipcsd)


def index_repaired(lab):
    """A store loses its index, and then its directory in Kubo's MFS: `backend repair` makes either anew from the other, and an
    image whose bytes nobody fetches again is unpacked."""
    registry = lab.registry()
    kubo, ipcsd, containerd = node(lab)
    made = image.make("repaired", LAYERS)
    reference = registry.push("repair:1", made)
    containerd.pull(reference)
    fetched = len(registry.blob_gets())
    ipcsd.process.stop()
    shutil.rmtree(ipcsd.store)
    ipcsd.start()
    report = ipcsd.ctl_json("backend", "repair")
    expect_equal("repaired", (report["blobs"]["count"], report["claims"], report["left"]), (len(made.digests), 0, 0))
    kubo.ipfs("files", "rm", "-r", "/ipcs")
    report = ipcsd.ctl_json("backend", "repair")
    expect_equal("repaired", (report["missing"], report["left"]), (len(made.digests) + 1, 0))
    wait_until_connected(containerd)
    collect_garbage(containerd)
    kubo.ipfs("repo", "gc", "-q")
    expect_equal("differences", ipcsd.ctl_json("pin", "audit")["findings"], [])
    containerd.pull(reference, namespace="other")  # unpacks what nobody has unpacked in that namespace
    expect_equal("GETs of blobs", registry.blob_gets()[fetched:], [])
    expect_runs(containerd, reference, "repaired", LAYERS)


def platforms_of(ipcsd, containerd, name):
    """platform → digests of manifest, config and layers: of those parts of an image's index that are there, or None."""
    [entry] = listed(ipcsd, containerd, name)
    present, found = containerd.contents(), {}
    for part in containerd.manifest(entry["digest"])["manifests"]:
        platform = f'{part["platform"]["os"]}/{part["platform"]["architecture"]}'
        found[platform] = None
        if part["digest"] in present:
            manifest = containerd.manifest(part["digest"])
            found[platform] = {part["digest"], manifest["config"]["digest"], *(l["digest"] for l in manifest["layers"])}
    return found


def image_of_two_platforms(lab):
    """An index: converted whole unless a platform is named; another node that pulls it has the whole index and of its parts its own
    platform's, or all, and runs it with no byte from the registry."""
    own = platform()
    other = {"linux/amd64": "linux/arm64", "linux/arm64": "linux/amd64"}[own]
    layers = {own: (300_000, 700_000), other: (300_001, 500_000)}
    parts = {p: image.make(f"made for {p}", layers[p], architecture=p.split("/")[1]) for p in (own, other)}
    foreign = parts[other].digests - parts[own].digests
    registry = lab.registry()
    reference = registry.push("two:1", image.index(parts))
    kubo, ipcsd, containerd = node(lab)

    only = ipcsd.image(containerd, "--plain-http", "convert", reference, "containerd:own.p2p", "--platform", own)
    expect_equal("blobs fetched for the other platform", {d for d, _ in registry.blob_gets()} & foreign, set())
    expect_equal("platforms", list(platforms_of(ipcsd, containerd, "own.p2p")), [own])
    expect_runs(containerd, "own.p2p", f"made for {own}", layers[own])

    whole = ipcsd.image(containerd, "--plain-http", "convert", reference, "containerd:two.p2p")
    expect(whole != only, "a part has the CID of the whole")
    here = platforms_of(ipcsd, containerd, "two.p2p")
    expect_equal("platforms", list(here), [own, other])
    expect_equal("blobs of each platform", [len(here[p] or ()) for p in here], [5, 5])
    collect_garbage(containerd)
    expect((here[own] | here[other]) <= containerd.contents(), "a garbage collection took a part of the index")
    expect_runs(containerd, "two.p2p", f"made for {own}", layers[own])
    expect_no_pins(ipcsd)
    fetched = len(registry.blob_gets())

    kubo2, ipcsd2, containerd2 = node(lab)
    kubo2.connect(kubo)
    expect_equal("last line", ipcsd2.image(containerd2, "pull", whole, "two.p2p"), whole)
    expect_equal("parts of the index", platforms_of(ipcsd2, containerd2, "two.p2p"), {own: here[own], other: None})
    expect_equal("what the other platform has alone", containerd2.contents() & (here[other] - here[own]), set())
    collect_garbage(containerd2)
    expect_runs(containerd2, "two.p2p", f"made for {own}", layers[own])
    ipcsd2.image(containerd2, "pull", only, "own.p2p")
    expect_equal("parts of the converted part", list(platforms_of(ipcsd2, containerd2, "own.p2p")), [own])
    ipcsd2.image(containerd2, "pull", whole, "two.p2p", "--all-platforms")
    expect_equal("parts of the index", platforms_of(ipcsd2, containerd2, "two.p2p"), here)
    for digest in here[other]:
        expect_equal(f"bytes of {digest}", containerd2.get(digest), containerd.get(digest))
    expect_equal("GETs of blobs", registry.blob_gets()[fetched:], [])
    expect_no_pins(ipcsd2)


def tar_layers_in_a_registry(lab):
    """--chunker tar --digests oci: layers of zstd frames in a registry, which a containerd without ipcsd pulls and runs; the config is the
    one that was. The report says what an update moves; --uncompressed makes plain tars."""
    registry = lab.registry()
    _, ipcsd, containerd = node(lab)
    made = image.make("framed", LAYERS)
    reference = registry.push("tar:1", made)
    target = f"{registry.host}/framed:1"
    convert = ("--format", "json", "image", "--containerd", containerd.socket, "--plain-http", "convert")
    report = json.loads(ipcsd.ctl(*convert, reference, target, "--digests", "oci", "--chunker", "tar").stdout)["recut"]
    manifest = json.loads(registry.manifest("framed:1"))
    expect_equal("types", {l["mediaType"] for l in manifest["layers"]}, {"application/vnd.oci.image.layer.v1.tar+zstd"})
    expect_equal("recipes", {l["annotations"]["ipcs.io/zstd"] for l in manifest["layers"]}, {report["zstd"]})
    expect_equal("config", manifest["config"]["digest"], json.loads(made.manifest)["config"]["digest"])
    expect_equal("sizes", report["after_size"], sum(l["size"] for l in manifest["layers"]))
    expect(all(l["blocks"] >= l["frames"] > 0 for l in report["layers"]), f"frames: {report}")
    ipcsd.ctl(*convert, reference, "containerd:framed.p2p")
    ipcsd.ctl(*convert, "containerd:framed.p2p", f"{registry.host}/back:1", "--digests", "oci", "--chunker", "tar")
    expect_equal("made of the image with p2p digests", json.loads(registry.manifest("back:1")), manifest)
    plain = lab.containerd(None)
    plain.pull(target)
    expect_runs(plain, target, "framed", LAYERS)

    changed = (*LAYERS[:-1], 2000)
    second = image.make("framed, a second time", changed)
    newer = registry.push("tar:2", second)
    arguments = (newer, "containerd:newer", "--digests", "oci", "--chunker", "tar", "--since", target)
    update = json.loads(ipcsd.ctl(*convert, *arguments).stdout)["recut"]["update"]
    expect(2000 < update["bytes"] < 10_000, f"update: {update}")
    expect_runs(containerd, "newer", "framed, a second time", changed)
    ipcsd.ctl(*convert, reference, "containerd:plain", "--digests", "oci", "--chunker", "tar", "--uncompressed")
    expect_runs(containerd, "plain", "framed", LAYERS)
    for source, was in ((reference, "gzip"), (target, "zstd"), ("containerd:plain", "tar")):
        arguments = (source, "containerd:labelled", "--digests", "oci", "--chunker", "tar")
        expect_equal("compared with", json.loads(ipcsd.ctl(*convert, *arguments).stdout)["recut"]["ratio_to"], was)
        text = ipcsd.image(containerd, "--plain-http", "convert", *arguments, "--since", target, check=False).stdout
        expect_equal("ratios of layers and all", len(re.findall(rf"\d\.\d{{3}} of {was} ", text)), len(made.layers) + 1)
        expect(f"% of the size before, {was})" in text, text)


def tar_layers_on_another_node(lab):
    """--chunker tar with p2p digests: another node pulls and runs the image block by block, nothing comes from the registry."""
    registry = lab.registry()
    kubo, ipcsd, containerd = node(lab)
    made = image.make("framed p2p", LAYERS)
    reference = registry.push("tar:1", made)
    cid = ipcsd.image(containerd, "--plain-http", "convert", reference, "containerd:tar.p2p", "--chunker", "tar")
    expect_equal("the same again", cid,
                 ipcsd.image(containerd, "--plain-http", "convert", reference, "containerd:again", "--chunker", "tar"))
    fetched = len(registry.blob_gets())
    expect_no_pins(ipcsd)
    kubo2, ipcsd2, containerd2 = node(lab)
    kubo2.connect(kubo)
    ipcsd2.image(containerd2, "pull", cid, "tar.p2p")
    expect_runs(containerd2, "tar.p2p", "framed p2p", LAYERS)
    expect_equal("GETs of blobs", registry.blob_gets()[fetched:], [])


def bars_of_a_pull(lab):
    """On a terminal a pull shows a bar for each layer that says where its bytes come from, and takes the bars away at its end."""
    registry, ipcsd = lab.registry(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    made = image.make("bars", (600_000, 500_000))
    registry.push("bars:1", made)
    road = lab.slow_road(registry, 1_000_000)
    shown = ipcsd.ctl_on_terminal("image", "--containerd", containerd.socket, "--plain-http", "pull", f"{road.host}/bars:1")
    for layer in made.layers[1:]:
        bars = re.findall(rf"registry {layer[:18]}\S* \[[=> ]*\] +(\d+)% ", shown)
        expect(len(set(bars)) > 2 and bars == sorted(bars, key=int), f"bars of {layer}: {bars} in {shown!r}")
    expect(re.search(r"fetch \d/\d blobs", shown), f"no bar for all: {shown!r}")
    expect("%" not in shown.rpartition("\x1b[J")[2], f"bars are left: {shown!r}")
    expect_runs(containerd, f"{road.host}/bars:1", "bars", (600_000, 500_000))


CASES = [converted_image_on_another_node, converted_image_isolated, converted_from_registry_and_by_car,
         published_as_nerdctl_does, oci_digests_everywhere, compared_images, image_verbs_on_local, interrupted_conversion,
         to_kubo_and_back, index_repaired, image_of_two_platforms, tar_layers_in_a_registry, tar_layers_on_another_node,
         bars_of_a_pull]
