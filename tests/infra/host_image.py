"""Fake programs of a simulated host, in place of Amazon Linux's disks, packages and kernel settings."""

from collections.abc import Mapping
from pathlib import Path

MOUNT = """#!/bin/bash
# A volume is a directory that outlives the host.
if [ "$1" = /var/lib/workmanager ]; then
    device=$(awk '$2 == "/var/lib/workmanager" { print $1 }' /etc/fstab | tail -n 1)
    exec /usr/bin/mount --bind "VOLUMES/$(basename "$device")" "$1"
fi
exec /usr/bin/mount "$@"
"""
BLKID = """#!/bin/bash
# Like blkid --probe: exits with 2 if there is no file system.
[ -d "VOLUMES/$(basename "${!#}")" ] || exit 2
"""
MKFS = """#!/bin/bash
mkdir -m 0755 "VOLUMES/$(basename "${!#}")"
"""
NOTHING = "#!/bin/bash\n"
SERVER = """#!/bin/bash
# Debian's redis-tools has the server under another name.
exec -a valkey-server /usr/bin/redis-check-rdb "$@"
"""
JOURNAL = "#!/bin/bash\n# The console has everything.\n"


def commands(volumes: Path) -> Mapping[str, str]:
    """Return programs by their path on the host. Volumes are directories in `volumes`, which all hosts must share."""
    local = "usr/local/bin/"
    return {
        f"{local}mount": MOUNT.replace("VOLUMES", str(volumes)),
        f"{local}blkid": BLKID.replace("VOLUMES", str(volumes)),
        f"{local}mkfs.xfs": MKFS.replace("VOLUMES", str(volumes)),
        f"{local}udevadm": NOTHING,
        f"{local}xfs_growfs": NOTHING,
        f"{local}sysctl": NOTHING,
        f"{local}journalctl": JOURNAL,
        f"{local}valkey-server": SERVER,
    }
