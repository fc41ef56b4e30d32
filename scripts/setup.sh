#!/usr/bin/env bash
# Sets this checkout up: virtual environment, packages, Docker engine, sandbox image. Fast when nothing changed.
#   scripts/setup.sh demo    the package itself
#   scripts/setup.sh test    with what the tests need (the default)
#   scripts/setup.sh check   with what the tests need, and without an engine
#   scripts/setup.sh image   the image anew, whether or not anything changed
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
kind=${1:-test}
case $kind in
    demo | image) environment=demo ;;
    test | check) environment=test ;;
    *) die 2 "unknown kind of set-up: $kind" "scripts/setup.sh demo|test|check|image" ;;
esac

# The interpreter: 3.11 or newer, with the means to make a virtual environment.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$candidate" -c 'import sys; assert sys.version_info >= (3, 11); import ensurepip, venv' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

stamp_of() { # what an installed environment of a kind was made from
    { printf '%s\n' "$1" "$ROOT" "$("$PYTHON_RUN" -c 'import sys; print(sys.version)')"; cat pyproject.toml; } |
        sha256sum | cut -d' ' -f1
}

installed() { # whether the environment holds what a kind needs, by its stamp
    local stamp="$ASSAY_VENV/assay-$1.stamp"
    [ -x "$ASSAY_VENV/bin/assay" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(stamp_of "$1")" ]
}

pip_install() {
    # One line for every 25 packages: pip is silent for minutes, or says too much.
    "$PYTHON_RUN" -m pip install --progress-bar off "$@" | awk '
        /^Collecting / { if (++n % 25 == 0) { print "    " n " packages found"; fflush() } }
        /^Installing collected/ { print "    installing them"; fflush() }' >&2
}

install_packages() {
    if [ "$environment" = demo ]; then
        pip_install -e .
    else
        pip_install -e '.[openai,anthropic,ollama]' --group dev
    fi
}

set_up_environment() {
    local python
    # pip takes a package whose files were half written for an installed one, so a killed installation is begun again.
    local begun="$ASSAY_VENV/assay-installing"
    if [ ! -e "$begun" ] && "$PYTHON_RUN" -m pip --version >/dev/null 2>&1; then
        if installed "$environment" || installed test; then
            return
        fi
    else
        if [ -e "$ASSAY_VENV" ]; then
            say "removing a virtual environment that is not whole: $ASSAY_VENV"
            rm -rf -- "$ASSAY_VENV"
        fi
        if ! python=$(find_python); then
            command -v python3 >/dev/null && python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
                die 2 "no Python 3.11 or newer was found" "install it, or name it: make demo PYTHON=/path/to/python3.12"
            apt_install python3-venv
            python=$(find_python) || die 2 "python3 cannot make virtual environments" "apt-get install python3-venv"
        fi
        say "making a virtual environment in $ASSAY_VENV ($("$python" --version))"
        "$python" -m venv "$ASSAY_VENV"
    fi
    say "installing Python packages (a minute or two the first time)"
    rm -f "$ASSAY_VENV"/assay-*.stamp
    touch "$begun"
    if ! { pip_install --upgrade 'pip>=25.1' && install_packages; }; then
        rm -f "$begun" # it failed by itself, and left the packages as they were
        die 3 "pip could not install what pyproject.toml names" "look at what it says above, then repeat"
    fi
    stamp_of "$environment" >"$ASSAY_VENV/assay-$environment.stamp"
    rm -f "$begun"
}

set_up_test_extras() {
    local missing=()
    command -v musl-gcc >/dev/null || missing+=(musl-tools)
    command -v chromium >/dev/null || missing+=(chromium)
    [ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
    command -v gcc >/dev/null || missing+=(gcc)
    command -v openssl >/dev/null || missing+=(openssl)
    [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
    # Unpacked and not installed: the package would start a service on a fixed port.
    if ! command -v docker-registry >/dev/null && [ ! -x "$SETUP_CACHE/registry/usr/bin/docker-registry" ]; then
        say "unpacking Debian's docker-registry into $SETUP_CACHE/registry, for the tests"
        local work
        fetch() { apt-get download -q=2 -o APT::Sandbox::User=root docker-registry; }
        work=$(mktemp -d "$SETUP_CACHE/registry.XXXXXX")
        (cd "$work" && { fetch || { apt-get update -q=2 && fetch; }; } &&
            dpkg-deb -x docker-registry_*.deb . && rm docker-registry_*.deb) </dev/null >&2 ||
            die 3 "apt-get download docker-registry failed" "run: apt-get update && apt-get download docker-registry"
        rm -rf -- "$SETUP_CACHE/registry"
        mv "$work" "$SETUP_CACHE/registry"
    fi
    [ -x "$SETUP_CACHE/runsc/usr/bin/runsc" ] || unpack_runsc
}

# gVisor as Debian 13 packages it, from the machine's own mirror; Debian 12's keeps no command's processes together.
# Unpacked and not installed: an engine of the tests' own uses it, and no other.
unpack_runsc() {
    say "unpacking Debian 13's runsc into $SETUP_CACHE/runsc, for the tests"
    local work mirror
    work=$(mktemp -d "$SETUP_CACHE/runsc.XXXXXX")
    mirror=$(apt-get update --print-uris | sed -n "s|^'\(https\?://[^']*\)/dists/.*|\1|p" | head -n 1)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources.list"
    local apt=(apt-get -q=2 -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
    (cd "$work" && "${apt[@]}" update && "${apt[@]}" download runsc/trixie && dpkg-deb -x runsc_*.deb root) </dev/null >&2 ||
        die 3 "runsc could not be fetched from $mirror" "add a mirror of Debian to /etc/apt/sources.list, then repeat"
    rm -rf -- "$SETUP_CACHE/runsc"
    mv "$work/root" "$SETUP_CACHE/runsc"
    rm -rf -- "$work"
}

# Refuse at once what would be refused after minutes; an engine that answers elsewhere is found by engine.py.
if [ "$DOCKER" = no-install ] && [ "$kind" != check ] && [ -z "${DOCKER_HOST:-}${DOCKER_CONTEXT:-}" ] &&
    [ ! -S /var/run/docker.sock ] && [ ! -e "${DOCKER_CONFIG:-$HOME/.docker}/config.json" ]; then
    die 2 "no Docker engine is running here, and DOCKER=no-install forbids to install or start one" \
        "start your engine (as root: systemctl start docker, or dockerd), or repeat without DOCKER=no-install"
fi

mkdir -p -m 700 "$SETUP_STATE" "$SETUP_CACHE"
# One set-up at a time; the lock goes with this process, and no child keeps it.
exec 9>"$SETUP_STATE/setup.lock"
flock -n 9 || { say "waiting for another set-up"; flock 9; }
set_up_environment 9>&-
if [ "$kind" != check ]; then
    "$PYTHON_RUN" -P scripts/engine.py ensure 9>&-
    image_arguments=()
    [ "$kind" != image ] || image_arguments+=(--force)
    "$PYTHON_RUN" -P scripts/image.py "${image_arguments[@]}" 9>&-
fi
if [ "$kind" = test ]; then
    set_up_test_extras 9>&-
fi
say "set up"
