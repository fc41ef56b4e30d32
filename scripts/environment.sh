# Sourced by the other scripts: where things are, and how they speak. Settings come from the environment:
#   ASSAY_STATE, XDG_CACHE_HOME       instead of the user's own state and cache directory
#   ASSAY_VENV                        instead of .venv in the checkout
#   ASSAY_ENGINE_ROOT                 an engine of its own, with socket and data below this directory and no network
#   DOCKER=no-install                 neither install nor start an engine
#   ASSAY_TEST_WORKERS                tests at a time, instead of one a processor; 0 means in pytest's own process
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME
export SETUP_STATE=${ASSAY_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/assay}
export SETUP_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/assay
export ASSAY_VENV=${ASSAY_VENV:-$ROOT/.venv}
export DOCKER=${DOCKER:-install}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
PYTHON_RUN="$ASSAY_VENV/bin/python"
if [ -n "${ASSAY_ENGINE_ROOT:-}" ]; then
    export DOCKER_HOST="unix://$ASSAY_ENGINE_ROOT/docker.sock"
fi

say() { printf '==> %s\n' "$*" >&2; }

# die EXIT_CODE MESSAGE NEXT_STEP
die() {
    printf 'error: %s\n  next: %s\n' "$2" "$3" >&2
    exit "$1"
}

# apt_install PACKAGE...: announced; only as root on a Debian-like machine. What apt says is kept in a log.
apt_install() {
    local log="$SETUP_STATE/apt.log"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die 2 "this machine lacks: $*" "install them: sudo apt-get install $*"
    fi
    say "installing from apt: $* (log: $log)"
    mkdir -p -m 700 "$SETUP_STATE"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q </dev/null >"$log" 2>&1 || say "apt-get update failed; going on with the lists that are there"
    if ! apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1; then
        tail -n 15 "$log" >&2
        die 3 "apt-get install $* failed" "run it by hand, and look at what it says above"
    fi
}
