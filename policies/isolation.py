"""Options that would undo a sandbox's isolation: there is no setting for them, and this says why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_HOST: Final = "would let commands see or change the host"
_NAMESPACE: Final = "would share a namespace with the host or with another container"
_PRIVILEGE: Final = "would give commands privileges, which they never have"
_FILTER: Final = "would take away the kernel's filter between commands and the host"
_FILES: Final = "would show files of the host's; what a sandbox needs is put into it, or is in its image"
_DEVICES: Final = "would give commands a device of the host's"
_ROOT: Final = "would let commands run as root; they run as an unprivileged user, always"
_NETWORK: Final = "would connect the sandbox to a network of the engine's"
_WRITABLE: Final = "would let commands change what the image holds"

_REASONS: Final = {
    _PRIVILEGE: ("privileged", "cap_add", "capabilities", "capadd", "added_capabilities", "no_new_privileges", "sudo"),
    _NAMESPACE: (
        "pid", "pid_mode", "ipc", "ipc_mode", "uts", "uts_mode", "userns", "userns_mode", "cgroupns", "cgroupns_mode",
        "cgroup_parent", "host_namespaces", "network_mode", "net", "volumes_from", "links",
    ),
    _FILTER: ("security_opt", "seccomp", "seccomp_profile", "apparmor", "apparmor_profile", "selinux", "label"),
    _FILES: ("volumes", "binds", "bind_mounts", "host_paths"),
    _HOST: ("docker_socket", "socket", "docker_sock", "sysctls", "oom_kill_disable", "oom_score_adj"),
    _DEVICES: ("devices", "device_requests", "device_cgroup_rules", "gpus"),
    _ROOT: ("root", "run_as_root"),
    _NETWORK: ("networks", "network_name", "ports", "extra_hosts", "dns"),
    _WRITABLE: ("read_only", "readonly", "read_only_root"),
}  # fmt: skip

REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {option: reason for reason, options in _REASONS.items() for option in options}
)
"""Option, as Docker's command line, its API, compose files and development containers spell it, to the reason."""


def refusal(option: str) -> str | None:
    """Return why an option of a sandbox is refused, however it is spelt; None for one that is only unknown."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", option).lower()
    return REFUSED.get(snake.strip("_"))
