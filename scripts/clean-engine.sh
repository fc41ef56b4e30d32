#!/usr/bin/env bash
# Stops the Docker engine that make started, and no other.
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
if [ ! -x "$PYTHON_RUN" ]; then
    PYTHON_RUN=python3 # the environment may have been removed since; stopping needs no package
fi
exec "$PYTHON_RUN" -P scripts/engine.py clean
