#!/bin/sh
# Takes out of a root file system what a sandbox has no use for, and what differs between two builds of the same packages.
# Runs inside the new root, as root, after the packages are installed; for both ways of building.
set -eu

# Nothing in a sandbox may change its user; the supervisor has its own means.
find / -xdev -type f -perm /6000 -exec chmod ug-s {} +

find /usr/share/doc -mindepth 1 -not -type d -not -name copyright -delete
find /usr/share/doc -mindepth 1 -type d -empty -delete
rm -rf /usr/share/man /usr/share/info /usr/share/locale /usr/share/lintian /usr/share/bug /usr/share/doc-base
rm -rf /var/lib/apt/lists /var/cache/apt /var/cache/debconf /var/cache/ldconfig
mkdir -p /var/lib/apt/lists/partial /var/cache/apt/archives/partial /var/cache/debconf
rm -f /var/lib/dpkg/*-old /var/lib/dpkg/lock* /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/machine-id
find /var/log -type f -delete

# The days on which the passwords of the system's users were "changed" are the day of the build.
sed -i -E 's/^([^:]*:[^:]*):[0-9]*:/\1:19000:/' /etc/shadow

# A workspace belongs to another user than the one who looks at it; a sandbox holds nothing of anybody else's.
printf '[safe]\n\tdirectory = *\n' > /etc/gitconfig
mkdir -p /workspace
