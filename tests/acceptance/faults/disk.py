"""Disks for simulated hosts: separate file systems that can be full and that lose unsynced data on a power cut."""

import contextlib
import itertools
import shutil
import subprocess
from pathlib import Path

_SIZE = "96m"


class MemoryDirectory:
    """A directory in memory, so that syncing is fast and this machine's disk is not used."""

    def __init__(self, mount_point: Path) -> None:
        self.mount_point = mount_point
        mount_point.mkdir(parents=True)
        _run("mount", "-t", "tmpfs", "tmpfs", str(mount_point))

    def unmount(self) -> None:
        """Unmount the directory and lose its content."""
        _run("umount", "--lazy", str(self.mount_point))


class Disk:
    """An ext4 file system on an image in memory.

    The image has what a real disk would have after a power cut: unsynced writes are only in the kernel's cache of the
    file system.

    Args:
        images: directory of the images; see `MemoryDirectory`.
        mount_point: where the file system is mounted.
    """

    def __init__(self, images: Path, mount_point: Path) -> None:
        self.mount_point = mount_point
        self._images = images
        self._names = (f"{mount_point.parent.name}.{number}" for number in itertools.count())
        self._image = images / next(self._names)
        mount_point.mkdir(parents=True)
        _run("truncate", "--size", _SIZE, str(self._image))
        _run("mkfs.ext4", "-q", "-m", "0", str(self._image))
        self._mount()

    def fill_up(self) -> None:
        """Write until the disk is full."""
        with self._filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(65536)):
                pass

    def free_space(self) -> None:
        """Remove what `fill_up` wrote."""
        self._filler.unlink()

    def erase(self) -> None:
        """Remove all files, as if the disk were replaced by an empty one."""
        for path in self.mount_point.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def drop_unsynced(self) -> None:
        """Lose all unsynced writes. Kill all programs that use the disk first."""
        saved = self._images / next(self._names)
        _run("cp", "--sparse=always", str(self._image), str(saved))
        # Later writes of the kernel go to the old image, which is no longer used.
        self.unmount()
        self._image.unlink()
        self._image = saved
        self._mount()

    def unmount(self) -> None:
        """Unmount the disk."""
        _run("umount", "--lazy", str(self.mount_point))

    @property
    def _filler(self) -> Path:
        return self.mount_point / "filler"

    def _mount(self) -> None:
        _run("mount", "-t", "ext4", "-o", "loop,noatime", str(self._image), str(self.mount_point))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
