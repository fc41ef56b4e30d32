#!/bin/sh
# Proves, in a container of a new image, that the tools are there and work; then prints one "name=version" a line.
set -eu
cd /tmp
getent hosts localhost "$(hostname)" >/dev/null
python3 -c 'import sys; assert sys.version_info >= (3, 11), sys.version'
python -c 'import ssl, sqlite3, ctypes, lzma, bz2, zlib'
git init -q probe
cd probe
printf 'def test_one():\n    assert 1 + 1 == 2\n' > test_probe.py
python3 -B -m pytest -q -p no:cacheprovider --junitxml=junit.xml >/dev/null
grep -q 'name="test_one"' junit.xml
git add test_probe.py
patch --version >/dev/null
date --version >/dev/null
test -f "$(find /usr/lib -name libfaketime.so.1 | head -n 1)"
dpkg-query -W -f '${Package}=${Version}\n'
