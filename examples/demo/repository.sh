#!/usr/bin/env bash
# repository.sh TARGET: makes a git repository of repo/ in the new folder TARGET. The commit has a fixed author and
# date and nobody's own git settings, so that it has the same id on every machine.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="${1:?where to?}"
mkdir -p "$(dirname "$target")"
cp -R "$here/repo" "$target"
find "$target" -name __pycache__ -prune -exec rm -rf {} +
find "$target" -type f -exec chmod 644 {} +
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=Ana GIT_AUTHOR_EMAIL=ana@example.org GIT_AUTHOR_DATE=2026-01-05T09:00:00+00:00
export GIT_COMMITTER_NAME=Ana GIT_COMMITTER_EMAIL=ana@example.org GIT_COMMITTER_DATE=2026-01-05T09:00:00+00:00
git -C "$target" init -q -b main
git -C "$target" add -A
git -C "$target" commit -q -m "splitbill 0.3.0"
