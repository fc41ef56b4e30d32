#!/bin/sh
# Proves, in a container of a new image, that the tools are there and work; then prints one "name=version" a line.
set -eu
cd /tmp
getent hosts localhost "$(hostname)" >/dev/null
git init -q probe
cd probe
echo one > file
git add file
printf -- '--- file\n+++ file\n@@ -1 +1 @@\n-one\n+two\n' | patch -s file
test "$(cat file)" = two
sha256sum file | grep -q '^[0-9a-f]'
date --version >/dev/null
test -f "$(find /usr/lib -name libfaketime.so.1 | head -n 1)"
dpkg-query -W -f '${Package}=${Version}\n'
