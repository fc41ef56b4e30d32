#!/usr/bin/env bash
# Runs each benchmark; each prints a table, and says on what it ran. One that misses a goal (exit 1) or cannot run here
# (3) does not keep the others from running.
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
"$ROOT/scripts/setup.sh" test
failed=()
for program in benchmarks/*.py; do
    say "$program"
    code=0
    "$PYTHON_RUN" -m "benchmarks.$(basename "$program" .py)" "$@" || code=$?
    # A person's Ctrl-C ends all of them.
    [ "$code" != 130 ] || exit 130
    [ "$code" = 0 ] || failed+=("$program (exit $code)")
done
[ ${#failed[@]} = 0 ] || die 1 "failed: $(printf '%s; ' "${failed[@]}")" "look at what they say above"
