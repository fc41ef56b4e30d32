#!/usr/bin/env bash
# Installs packages from the machine's own apt, announced, and only as root on a Debian-like machine.
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
apt_install "$@"
