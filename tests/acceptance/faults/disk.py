"""Disks of hosts: file systems of their own, which can be full, and which forget what was not synced."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import subprocess
from pathlib import Path

_SIZE = "96m"


class MemoryDirectory:
    """A directory in memory: what is synced to it is synced at once, and this machine's disk is left alone."""

    def __init__(self, place: Path) -> None:
        self.mount_point = place
        place.mkdir(parents=True)
        _run("mount", "-t", "tmpfs", "tmpfs", str(place))

    def unmount(self) -> None:
        """All in it is gone."""
        _run("umount", "--lazy", str(self.mount_point))


class Disk:
    """An ext4 file system on an image in memory.

    The image is what a real disk would have when the power fails: what programs wrote and did not sync stands in the
    kernel's cache of the file system, and is not in the image.

    Args:
        images: see `Memory`.
        place: where it is mounted.
    """

    def __init__(self, images: Path, place: Path) -> None:
        self.mount_point = place
        self._images = images
        self._names = (f"{place.parent.name}.{number}" for number in itertools.count())
        self._image = images / next(self._names)
        place.mkdir(parents=True)
        _run("truncate", "--size", _SIZE, str(self._image))
        _run("mkfs.ext4", "-q", "-m", "0", str(self._image))
        self._mount()

    def fill_up(self) -> None:
        """Until nothing goes on it any more."""
        with self._filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(65536)):
                pass

    def free_space(self) -> None:
        """There is room again."""
        self._filler.unlink()

    def erase(self) -> None:
        """Another disk, with nothing on it."""
        for path in self.mount_point.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def drop_unsynced(self) -> None:
        """What was not synced is gone. Whoever used it must have been killed."""
        saved = self._images / next(self._names)
        _run("cp", "--sparse=always", str(self._image), str(saved))
        # Whatever the kernel writes later goes to the old image, which nobody looks at any more.
        self.unmount()
        self._image.unlink()
        self._image = saved
        self._mount()

    def unmount(self) -> None:
        """Takes it out of its place."""
        _run("umount", "--lazy", str(self.mount_point))

    @property
    def _filler(self) -> Path:
        return self.mount_point / "filler"

    def _mount(self) -> None:
        _run("mount", "-t", "ext4", "-o", "loop,noatime", str(self._image), str(self.mount_point))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
