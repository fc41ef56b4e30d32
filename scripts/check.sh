#!/usr/bin/env bash
# The checks that need no engine. Each one runs, so that all findings are seen at once.
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
[ "${1:-}" = --no-setup ] || "$ROOT/scripts/setup.sh" check
export PATH="$ASSAY_VENV/bin:$PATH"
failed=()
run() {
    say "$*"
    "$@" || failed+=("$*")
}
run ruff check .
run ruff format --check .
run mypy -p assay
# mypy refuses a folder without Python of its own, as examples/ is while it holds target repositories only.
typed=()
for folder in tests benchmarks examples scripts; do
    [ -z "$(git ls-files --cached --others --exclude-standard "$folder/*.py" ":!examples/*/repo/*")" ] || typed+=("$folder")
done
run mypy "${typed[@]}"
run lint-imports
run python -P scripts/lengths.py
[ ${#failed[@]} = 0 ] || die 1 "failed: $(printf '%s; ' "${failed[@]}")" "mend what they name, then: make check"
