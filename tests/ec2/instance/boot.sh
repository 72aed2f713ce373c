#!/usr/bin/env bash
# Boot a simulated instance in its own namespaces: mount a disk over this machine's files, then run process 1.
#   boot.sh DIRECTORY PYTHON SHARED...
# DIRECTORY/seed is copied to the disk before the boot; each SHARED directory is shared with this machine.
# Waits for a line on standard input: the instance's network is ready.
set -euo pipefail
directory=$1 python=$2
shift 2

disk=$directory/disk
mkdir -p "$disk"
mount -t tmpfs disk "$disk"
mkdir "$disk"/{changes,work,root}
cp -a "$directory/seed/." "$disk/changes/"
mount -t overlay root -o "lowerdir=/,upperdir=$disk/changes,workdir=$disk/work" "$disk/root"
root=$disk/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs run "$root/run"
for shared in "$@"; do
  mkdir -p "$root$shared"
  mount --bind "$shared" "$root$shared"
done
# Users on the instance may reach the shared directories and Python.
for path in "$python" "$@"; do
  while [ "$path" != / ]; do
    path=$(dirname "$path")
    chmod a+x "$root$path"
  done
done
read -r _
exec chroot "$root" "$python" -SE /usr/lib/instance/init.py
