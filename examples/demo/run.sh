#!/usr/bin/env bash
# Takes the example ticket through assay, with the scripted model and real sandboxes. Arguments go to `assay run`.
# At a terminal it asks; elsewhere it takes the answers from decisions.yaml. Its exit code is assay's.
#   SCRIPT=script-without-fix.yaml   the coder never mends its mistake: ends with exit 1
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="$(mktemp -d "${TMPDIR:-/tmp}/assay-demo.XXXXXX")/splitbill"
"$here/repository.sh" "$target"
echo "The ticket is examples/demo/ticket.md; the repository that it is about is in $target" >&2
decisions=()
if ! [[ -t 0 && -t 1 ]] && ! [[ " $* " == *" --decisions "* || " $* " == *" --decisions="* ]]; then
  decisions=(--decisions "$here/decisions.yaml")
fi
exec assay run "$here/ticket.md" --repo "$target" --model "scripted:$here/${SCRIPT:-script.yaml}" "${decisions[@]}" "$@"
