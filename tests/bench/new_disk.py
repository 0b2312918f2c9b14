"""A new file system for each sample that unpacks."""

import contextlib
import tempfile
from pathlib import Path

from lab.process import command

_BYTES = 6 << 30  # of a sparse file: what is never written takes no room
_INODES = 200_000


@contextlib.contextmanager
def new_disk():
    """Where labs make their directories until the end: an empty ext4 in a file of the directory where they would, on a loop
    device. Its tables are written before, so that the kernel does not do it meanwhile."""
    outside = Path(tempfile.gettempdir())
    image, here = outside / "disk.ext4", outside / "disk"
    here.mkdir()
    with open(image, "wb") as file:
        file.truncate(_BYTES)
    command(["mkfs.ext4", "-q", "-F", "-N", _INODES, "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", image])
    command(["mount", "-o", "loop", image, here])
    tempfile.tempdir = str(here)
    try:
        yield
    finally:
        tempfile.tempdir = str(outside)
        command(["umount", here])
        here.rmdir()
        image.unlink()
