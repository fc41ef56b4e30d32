#!/bin/sh
# Proves, in a container of a new image, that the tools are there and work; then prints one "name=version" a line.
set -eu
cd /tmp
getent hosts localhost "$(hostname)" >/dev/null
export HOME=/tmp
git init -q probe
cd probe
printf '{"name": "probe", "version": "1.0.0", "scripts": {"test": "node --test"}}\n' > package.json
printf 'const assert = require("assert");\nrequire("node:test")("one", () => assert.equal(1 + 1, 2));\n' > one.test.js
node -e 'if (Number(process.versions.node.split(".")[0]) < 18) process.exit(1)'
npm test --offline >/dev/null
git add package.json
patch --version >/dev/null
date --version >/dev/null
test -f "$(find /usr/lib -name libfaketime.so.1 | head -n 1)"
dpkg-query -W -f '${Package}=${Version}\n'
