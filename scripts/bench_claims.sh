#!/usr/bin/env bash
# assay-bench: every case with every verifier, or a stratified sample. It goes on where it was stopped.
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
"$ROOT/scripts/setup.sh" test
exec "$PYTHON_RUN" -m benchmarks.assay_bench "$@"
