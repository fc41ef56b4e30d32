#!/usr/bin/env bash
# Sets up what is missing, then takes the example ticket through the whole of assay. Arguments go to `assay run`.
# Its exit code is assay's: 0 proven and delivered, 1 refuted, 75 parked at a checkpoint, ...
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
"$ROOT/scripts/setup.sh" demo
export PATH="$ASSAY_VENV/bin:$PATH"
exec bash "$ROOT/examples/demo/run.sh" "$@"
