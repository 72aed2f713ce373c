"""Fake programs of a simulated host, in place of Amazon Linux's disks, packages and kernel settings."""

from collections.abc import Mapping
from pathlib import Path

_MOUNT = """#!/bin/bash
# A volume is a directory that outlives the host.
if [ "$1" = /var/lib/workmanager ]; then
    device=$(awk '$2 == "/var/lib/workmanager" { print $1 }' /etc/fstab | tail -n 1)
    exec /usr/bin/mount --bind "VOLUMES/$(basename "$device")" "$1"
fi
exec /usr/bin/mount "$@"
"""
_BLKID = """#!/bin/bash
# Like blkid --probe: exits with 2 if there is no file system.
[ -d "VOLUMES/$(basename "${!#}")" ] || exit 2
"""
_MKFS = """#!/bin/bash
mkdir -m 0755 "VOLUMES/$(basename "${!#}")"
"""
_NOTHING = "#!/bin/bash\n"
_SERVER = """#!/bin/bash
# Debian's redis-tools has the server under another name.
exec -a valkey-server /usr/bin/redis-check-rdb "$@"
"""
_JOURNAL = "#!/bin/bash\n# The console has everything.\n"


def commands(volumes: Path) -> Mapping[str, str]:
    """Return programs by their path on the host. Volumes are directories in `volumes`, which all hosts must share."""
    local = "usr/local/bin/"
    return {
        f"{local}mount": _MOUNT.replace("VOLUMES", str(volumes)),
        f"{local}blkid": _BLKID.replace("VOLUMES", str(volumes)),
        f"{local}mkfs.xfs": _MKFS.replace("VOLUMES", str(volumes)),
        f"{local}udevadm": _NOTHING,
        f"{local}sysctl": _NOTHING,
        f"{local}journalctl": _JOURNAL,
        f"{local}valkey-server": _SERVER,
    }
