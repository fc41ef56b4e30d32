"""Docker and the fake go through one suite, and the suite notices what is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from assay.records.sandboxes import SandboxProfile
from assay.sandboxes import containers as containers_module
from assay.sandboxes.conformance import Case, Failed, Passed, Unsupported, cases, check_all, check_case
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.fake import FakeOutcome, FakeSandboxProvider
from assay.sandboxes.profiles import host_options

CASES = {case.name: case for case in cases()}


@pytest.mark.docker
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_docker_passes(case: Case, provider: DockerProvider, profile: SandboxProfile) -> None:
    """Docker passes every case."""
    assert await check_case(case, provider, profile, isolates=True) == Passed(case=case.name)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_fake_passes_what_it_claims(
    case: Case, profile: SandboxProfile, unsupported: Callable[[str], None]
) -> None:
    """The fake passes every case of behaviour, and says of every case of isolation that it does not support it."""
    images = {"python": await FakeSandboxProvider().image(profile)}
    outcome = await check_case(case, FakeSandboxProvider(images=images), profile, isolates=False)
    if case.isolation:
        assert outcome == Unsupported(case=case.name)
        unsupported(case.name)
    else:
        assert outcome == Passed(case=case.name)


async def test_the_suite_runs_whole(profile: SandboxProfile) -> None:
    """`check_all` gives one outcome a case, in their order."""
    images = {"python": await FakeSandboxProvider().image(profile)}
    outcomes = await check_all(FakeSandboxProvider(images=images), profile, isolates=False)
    assert [outcome.case for outcome in outcomes] == list(CASES)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Failed)]


async def test_a_claim_of_isolation_is_put_to_the_test(profile: SandboxProfile) -> None:
    """A provider that isolates nothing and says that it does fails every case of isolation."""
    provider = FakeSandboxProvider()
    for case in CASES.values():
        if case.isolation:
            assert isinstance(await check_case(case, provider, profile, isolates=True), Failed), case.name


BROKEN: Mapping[str, tuple[str, Any]] = {
    "is_unprivileged": ("security_opt", ["seccomp=unconfined"]),
    "has_no_network": ("network_mode", "bridge"),
    "has_a_read_only_root": ("read_only", False),
    "limits_processes": ("pids_limit", 1000),
    "tells_out_of_memory": ("mem_limit", 2 << 30),
    "tells_disk_full": ("tmpfs", {"/workspace": "exec,mode=1777,size=500m", "/tmp": "exec,size=500m,mode=1777"}),
    "cannot_write_a_read_only_workspace": (
        "tmpfs",
        {"/workspace": "exec,mode=0777,size=100m", "/tmp": "exec,size=100m,mode=1777"},
    ),
    "has_no_way_to_the_host": ("binds", ["/var/run:/run/host"]),
}
"""Case to what is taken out of the isolation so that it must fail."""


@pytest.mark.docker
@pytest.mark.parametrize("name", BROKEN)
async def test_the_suite_sees_missing_isolation(
    name: str, provider: DockerProvider, profile: SandboxProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each case fails where the option that it is about is missing."""
    option, value = BROKEN[name]

    def options(wanted: SandboxProfile) -> dict[str, Any]:
        broken = host_options(wanted) | {option: value}
        if option == "mem_limit":
            broken["memswap_limit"] = value
        return broken

    monkeypatch.setattr(containers_module, "host_options", options)
    assert isinstance(await check_case(CASES[name], provider, profile, isolates=True), Failed)


async def test_the_suite_sees_wrong_behaviour(profile: SandboxProfile) -> None:
    """A sandbox that calls every command a success fails the cases about endings."""
    optimist = FakeSandboxProvider(lambda _command: FakeOutcome())
    for name in ("exits", "is_signalled", "runs_out_of_time", "is_not_found", "keeps_streams_apart", "bounds_output"):
        assert isinstance(await check_case(CASES[name], optimist, profile, isolates=False), Failed), name
