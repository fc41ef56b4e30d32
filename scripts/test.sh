#!/usr/bin/env bash
# Sets up what is missing, then runs every check and every test. Arguments go to pytest; its summary is the last line.
# A worker a processor, since tests wait much for the engine. A file's tests stay together, in their order, and files
# are begun in the order in which pytest collects them (tests/conftest.py).
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
"$ROOT/scripts/setup.sh" test
"$ROOT/scripts/check.sh" --no-setup
export PATH="$ASSAY_VENV/bin:$PATH"
export ASSAY_FORBID_SKIPS=1
workers=$(nproc)
parallel=(--numprocesses "${ASSAY_TEST_WORKERS:-$((workers < 8 ? workers : 8))}" --dist loadfile --no-loadscope-reorder)
say "pytest ${parallel[*]} $*"
exec pytest "${parallel[@]}" "$@" </dev/null
