"""What a profile means for a container: the numbers, checked before an engine is asked."""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Mapping
from typing import Any, Final

from assay.errors import SandboxRefused
from assay.policies.egress import parse_destination, parse_network
from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.egress.environment import ENVIRONMENT
from assay.sandboxes.protocol import HELD_OUT, WORKSPACE

KEEPERS: Final = (10002, 10003)
"""Own a read-only workspace, so that commands cannot change it: the first that is not the commands' user."""
SCRATCH: Final = "/tmp"  # noqa: S108 - a path in the container
SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - a path in the container
HOME: Final = "/tmp/home"  # noqa: S108 - a path in the container
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_CAPABILITIES: Final = ("KILL", "SETGID", "SETPCAP", "SETUID")
"""Of the supervisor; SETPCAP only until it has emptied the bounding set, which is its first act."""
_PERIOD: Final = 100_000
_MIB: Final = 1 << 20
_MOST_USER: Final = 65_533
_OWN_USERS: Final = range(20_000, 60_000)
"""Of these each sandbox gets one by chance. The kernel counts inotify instances, pipe buffers and more by user on
the whole host: commands of one sandbox could use up what those of another need."""
_RESERVE_MB: Final = 32
"""Memory that must be left beside full file systems for processes to run at all, MiB."""
_SUPERVISOR_PROCESSES: Final = 16
_KERNEL_THREADS: Final = 512
"""Threads of the host that a kernel of a sandbox's own may use for itself, beside some for each of its processes."""
_MOUNT_PLACES: Final = ("/opt", "/srv", "/mnt")
"""Below these volumes may appear: nothing that runs is looked for there."""


def has_own_kernel(profile: SandboxProfile) -> bool:
    """Whether the profile's runtime brings a kernel of its own: gVisor, whose runtimes are called `runsc…`.

    The engine's limits then hold for that kernel as a whole: where it uses up its memory, it ends, and the sandbox
    with it. Files are not counted, only their bytes.
    """
    return profile.runtime is not None and profile.runtime.startswith("runsc")


def check_profile(profile: SandboxProfile) -> None:
    """Raise SandboxRefused for a profile that no sandbox can serve."""
    _check_mounts(profile)
    limits = profile.limits
    files = limits.workspace_mb + limits.scratch_mb * (2 if profile.held_out else 1) + _shared_memory_mb(profile)
    if files + _RESERVE_MB > limits.memory_mb:
        raise SandboxRefused(
            f"memory_mb = {limits.memory_mb} is too little: workspace, scratch and shared memory may fill {files} MiB "
            "of it, and a sandbox that runs out of memory through its files cannot go on.",
            next_step=f"set memory_mb to at least {files + _RESERVE_MB}, or lower workspace_mb and scratch_mb",
        )
    for name in profile.environment:
        if not name or "=" in name or "\0" in name + profile.environment[name]:
            raise SandboxRefused(f"The environment of a profile cannot have the name {name!r}.")
    try:
        for destination in profile.egress.allow:
            parse_destination(destination)
        for network in profile.egress.networks:
            parse_network(network)
    except ValueError as error:
        raise SandboxRefused(f"The way out that a profile grants cannot be: {error}.") from None


def base_environment(image: Mapping[str, str], profile: SandboxProfile) -> dict[str, str]:
    """Return the environment of commands: the image's, the sandbox's own, and the profile's, which wins."""
    own = {"HOME": HOME, "LANG": "C.UTF-8", "USER": "sandbox", "LOGNAME": "sandbox"}
    if profile.workspace == "read-only":
        # Its files belong to another user, which git takes for an attack on the caller.
        own |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    if profile.egress.granted:
        own |= ENVIRONMENT
    return {"PATH": DEFAULT_PATH} | dict(image) | own | profile.environment


def host_options(profile: SandboxProfile) -> dict[str, Any]:
    """Return the arguments of docker-py's `create_host_config`: the isolation, which no profile can undo."""
    limits = profile.limits
    keeper = _keeper(profile)
    nodes = f"nr_inodes={limits.inodes}"
    held_out = f"exec,size={limits.scratch_mb}m,{nodes},uid={keeper},gid={keeper},mode=0755"
    return {
        "network_mode": "none",
        "ipc_mode": "private",
        "cap_drop": ["ALL"],
        "cap_add": list(_CAPABILITIES),
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        "tmpfs": {
            WORKSPACE: f"exec,size={limits.workspace_mb}m,{nodes},uid={keeper},gid={keeper},mode=0755",
            SCRATCH: f"exec,size={limits.scratch_mb}m,{nodes},mode=1777",
        }
        | ({HELD_OUT: held_out} if profile.held_out else {}),
        "shm_size": _shared_memory_mb(profile) * _MIB,
        "mem_limit": limits.memory_mb * _MIB,
        "memswap_limit": limits.memory_mb * _MIB,
        **_process_limits(profile),
        "cpu_period": _PERIOD,
        "cpu_quota": int(limits.cpus * _PERIOD),
        "mounts": [
            # Never filled from the image: that would write into the volume.
            {
                "Type": "volume",
                "Source": m.volume,
                "Target": m.target,
                "ReadOnly": True,
                "VolumeOptions": {"NoCopy": True},
            }
            for m in profile.mounts
        ],
        # System V memory belongs to no process: it would outlive a command and count against the next.
        "sysctls": {"kernel.shm_rmid_forced": "1", "kernel.msgmni": "32"},
        "log_config": {"Type": "none", "Config": {}},
        "runtime": profile.runtime,
        "auto_remove": True,
        "init": False,
    }


def _process_limits(profile: SandboxProfile) -> dict[str, Any]:
    """Return the limits of processes and of what each may have."""
    ulimits = [
        {"Name": "core", "Soft": 0, "Hard": 0},
        {"Name": "nofile", "Soft": min(1024, profile.limits.open_files), "Hard": profile.limits.open_files},
    ]
    most = profile.limits.processes + _SUPERVISOR_PROCESSES
    if not has_own_kernel(profile):
        return {"pids_limit": most, "ulimits": ulimits}
    # The engine counts threads of that kernel, the kernel the commands' processes, by their user, who is in no other
    # sandbox. On the host's kernel that user would be one and the same in all of them.
    ulimits.append({"Name": "nproc", "Soft": most, "Hard": most})
    return {"pids_limit": 4 * most + _KERNEL_THREADS, "ulimits": ulimits}


def _check_mounts(profile: SandboxProfile) -> None:
    """Raise SandboxRefused for a mount in a place where it could stand before something else, or for two in one."""
    seen: list[str] = []
    for mount in profile.mounts:
        target = mount.target
        if posixpath.normpath(target) != target or not any(target.startswith(f"{place}/") for place in _MOUNT_PLACES):
            raise SandboxRefused(
                f"The volume {mount.volume!r} cannot be mounted at {target!r}.",
                next_step=f"choose a place below one of {', '.join(_MOUNT_PLACES)}, for instance /opt/data",
            )
        if any(f"{target}/".startswith(f"{other}/") or f"{other}/".startswith(f"{target}/") for other in seen):
            raise SandboxRefused(f"Two volumes cannot be mounted at {target!r}.", next_step="choose places apart")
        seen.append(target)


def supervisor_arguments(profile: SandboxProfile, *, lifetime: float, patience: float) -> list[str]:
    """Return the supervisor's arguments: commands' user, owner of put trees, seconds to live, seconds of the
    host's silence that it endures, writable places.
    """
    held_out = [HELD_OUT] if profile.held_out else []
    numbers = (_user(profile), _keeper(profile), int(lifetime), int(patience))
    return [*map(str, numbers), WORKSPACE, SCRATCH, SHARED_MEMORY, *held_out]


def with_user(profile: SandboxProfile, image_user: str) -> SandboxProfile:
    """Return the profile with the number of the user that it means; raises SandboxRefused.

    Args:
        profile: may mean the image's own user, or none in particular.
        image_user: what the image says, as in a Dockerfile's `USER`.
    """
    if profile.user is None:
        return profile.model_copy(update={"user": secrets.choice(_OWN_USERS)})
    if profile.user != "image":
        return profile
    number = image_user.partition(":")[0]
    if not number.isdecimal() or not 0 < int(number) <= _MOST_USER:
        named = f"names its user {image_user!r}" if image_user else "names no user, which means root"
        raise SandboxRefused(
            f"The image {profile.image!r} {named}. Commands run as a user known by its number, and never as root.",
            next_step="set `user` to a number, or build the image with `USER 1000`",
        )
    return profile.model_copy(update={"user": int(number)})


def _user(profile: SandboxProfile) -> int:
    assert isinstance(profile.user, int), "`with_user` says which"
    return profile.user


def _keeper(profile: SandboxProfile) -> int:
    user = _user(profile)
    return user if profile.workspace == "read-write" else next(keeper for keeper in KEEPERS if keeper != user)


def _shared_memory_mb(profile: SandboxProfile) -> int:
    return min(64, profile.limits.scratch_mb)
