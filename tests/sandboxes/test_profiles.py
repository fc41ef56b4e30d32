"""What a profile becomes, and what none can become."""

from __future__ import annotations

import pytest

from assay.errors import SandboxRefused
from assay.records.sandboxes import Limits, Mount, SandboxProfile
from assay.sandboxes.profiles import base_environment, check_profile, host_options, supervisor_arguments, with_user


def test_the_isolation_is_the_same_for_every_profile() -> None:
    """No profile changes what keeps a sandbox in."""
    plain = host_options(SandboxProfile(user=1000))
    odd = host_options(
        SandboxProfile(
            image="x",
            user=1234,
            workspace="read-only",
            environment={"LD_PRELOAD": "x", "DOCKER_HOST": "x"},
            limits=Limits(memory_mb=4096, processes=1000, cpus=8),
            runtime="runsc",
        )
    )
    for option in ("network_mode", "cap_drop", "cap_add", "security_opt", "read_only", "ipc_mode", "log_config"):
        assert odd[option] == plain[option]
    assert plain["network_mode"] == "none"
    assert plain["cap_drop"] == ["ALL"]
    assert set(plain["cap_add"]) == {"KILL", "SETGID", "SETPCAP", "SETUID"}
    assert plain["security_opt"] == ["no-new-privileges"]
    assert plain["mounts"] == odd["mounts"] == []
    assert not {"privileged", "binds", "devices", "pid_mode", "userns_mode", "volumes_from"} & set(odd)


@pytest.mark.parametrize("field", ["privileged", "binds", "network", "cap_add", "security_opt", "devices", "user"])
def test_a_profile_cannot_ask_to_undo_it(field: str) -> None:
    """A profile has no field for it: asking is refused where it is read."""
    with pytest.raises(ValueError, match=field):
        SandboxProfile.model_validate({field: "x"})


def test_memory_has_no_swap_and_holds_the_files() -> None:
    """The limit of memory and swap is that of memory alone, and the files must fit under it."""
    options = host_options(SandboxProfile(user=1000))
    assert options["memswap_limit"] == options["mem_limit"] == 1024 << 20
    check_profile(SandboxProfile())
    with pytest.raises(SandboxRefused, match="memory_mb = 300 is too little") as refused:
        check_profile(SandboxProfile(limits=Limits(memory_mb=300)))
    needed = int(str(refused.value.next_step).split("at least ")[1].split(",")[0])
    check_profile(SandboxProfile(limits=Limits(memory_mb=needed)))
    with pytest.raises(SandboxRefused):
        check_profile(SandboxProfile(limits=Limits(memory_mb=needed - 1)))


@pytest.mark.parametrize("environment", [{"": "x"}, {"A=B": "x"}, {"A": "x\0y"}])
def test_impossible_environments_are_refused(environment: dict[str, str]) -> None:
    """A name that no process can have is refused before anything is made."""
    with pytest.raises(SandboxRefused):
        check_profile(SandboxProfile(environment=environment))


def test_environment_of_commands() -> None:
    """The profile wins over the sandbox, the sandbox over the image."""
    image = {"PATH": "/opt/bin", "HOME": "/root", "KEPT": "1"}
    made = base_environment(image, SandboxProfile(environment={"KEPT": "2"}))
    assert (made["PATH"], made["HOME"], made["KEPT"]) == ("/opt/bin", "/tmp/home", "2")
    assert base_environment({}, SandboxProfile())["PATH"].endswith(":/bin")


def test_a_read_only_workspace_has_another_owner() -> None:
    """Commands run as one user; the files of a read-only workspace are another's."""
    writable, fixed = SandboxProfile(user=10001), SandboxProfile(user=10001, workspace="read-only")
    assert supervisor_arguments(writable, lifetime=9, patience=5)[:4] == ["10001", "10001", "9", "5"]
    assert supervisor_arguments(fixed, lifetime=9, patience=5)[:4] == ["10001", "10002", "9", "5"]
    assert "uid=10002" in host_options(fixed)["tmpfs"]["/workspace"]
    assert "uid=10001" in host_options(writable)["tmpfs"]["/workspace"]


def test_commands_run_as_a_user_with_a_number() -> None:
    """A profile names the number, or takes the image's; root and names that only an image knows are refused."""
    numbered = SandboxProfile(user=1234)
    assert supervisor_arguments(numbered, lifetime=9, patience=5)[:2] == ["1234", "1234"]
    assert "uid=1234" in host_options(numbered)["tmpfs"]["/workspace"]
    fixed = SandboxProfile(user=10002, workspace="read-only")
    assert supervisor_arguments(fixed, lifetime=9, patience=5)[:2] == ["10002", "10003"]
    assert with_user(numbered, "root") == numbered
    assert len({with_user(SandboxProfile(), "root").user for _ in range(20)}) > 15, "each sandbox has its own"
    assert with_user(SandboxProfile(user="image"), "1000:1000").user == 1000
    for named in ("", "root", "0", "0:0", "node", "99999999"):
        with pytest.raises(SandboxRefused, match="image"):
            with_user(SandboxProfile(user="image"), named)
    for impossible in (0, -1, 65_534, "root"):
        with pytest.raises(ValueError, match="user"):
            SandboxProfile.model_validate({"user": impossible})


def test_descriptors_are_limited() -> None:
    """A process begins with few, whatever the most that it may ask for."""
    for most, first in ((4096, 1024), (200, 200)):
        limits = host_options(SandboxProfile(user=1000, limits=Limits(open_files=most)))["ulimits"]
        assert {"Name": "nofile", "Soft": first, "Hard": most} in limits


@pytest.mark.parametrize(
    "target", ["/workspace/x", "/etc", "/opt", "/opt/", "/opt/../etc", "opt/x", "/opt//x", "/usr/lib/x", "/optical/x"]
)
def test_a_volume_appears_where_nothing_is_looked_for(target: str) -> None:
    """It cannot stand before a program, a library, the workspace or the supervisor."""
    with pytest.raises(SandboxRefused, match="cannot be mounted at"):
        check_profile(SandboxProfile(mounts=(Mount(volume="data", target=target),)))


def test_volumes_do_not_hide_each_other() -> None:
    """Two in one place, or one inside of another, are refused; two beside each other are not, and read-only."""
    one, inside, beside = (Mount(volume="v", target=t) for t in ("/opt/a", "/opt/a/b", "/opt/ab"))
    for other in (one, inside):
        with pytest.raises(SandboxRefused, match="Two volumes"):
            check_profile(SandboxProfile(mounts=(one, other)))
    profile = SandboxProfile(mounts=(one, beside))
    check_profile(profile)
    mounts = host_options(with_user(profile, ""))["mounts"]
    assert [(mount["Type"], mount["ReadOnly"], mount["VolumeOptions"]) for mount in mounts] == [
        ("volume", True, {"NoCopy": True})
    ] * 2


def test_processes_are_counted_where_their_kernel_is() -> None:
    """GVisor counts by user in its own kernel; on the host's, that user would be shared with other sandboxes."""
    plain, strong = (host_options(with_user(SandboxProfile(runtime=runtime), "")) for runtime in (None, "runsc"))
    assert "nproc" not in {limit["Name"] for limit in plain["ulimits"]}
    assert {"Name": "nproc", "Soft": 272, "Hard": 272} in strong["ulimits"]
    assert strong["pids_limit"] > plain["pids_limit"] == 272
