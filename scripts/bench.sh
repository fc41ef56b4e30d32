#!/usr/bin/env bash
# Runs each benchmark; each prints a table, and says on what it ran.
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
"$ROOT/scripts/setup.sh" test
for program in benchmarks/*.py; do
    say "$program"
    "$PYTHON_RUN" -m "benchmarks.$(basename "$program" .py)" "$@"
done
