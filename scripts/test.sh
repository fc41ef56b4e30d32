#!/usr/bin/env bash
# Sets up what is missing, then runs every check and every test. Arguments go to pytest; its summary is the last line.
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
"$ROOT/scripts/setup.sh" test
"$ROOT/scripts/check.sh" --no-setup
export PATH="$ASSAY_VENV/bin:$PATH"
export ASSAY_FORBID_SKIPS=1
say "pytest $*"
exec pytest "$@" </dev/null
