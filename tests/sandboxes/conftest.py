"""What the tests of sandboxes share: providers, a profile, and the count of what the fake does not claim."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.protocol import Sandbox

UNSUPPORTED = "unsupported by the fake"
"""Property of a test's report, which reaches the summary from whichever process the test ran in."""


@pytest.fixture
def profile() -> SandboxProfile:
    """The profile of tests: the image that `assay sandbox build python` makes."""
    return SandboxProfile(image="python")


@pytest.fixture
def owner(request: pytest.FixtureRequest) -> SandboxOwner:
    """An owner that names the test."""
    return SandboxOwner(run="check-tests", role="check", step=request.node.name)


@pytest.fixture
async def provider() -> AsyncIterator[DockerProvider]:
    """A provider on the real engine, which removes what a test leaves open."""
    async with DockerProvider() as docker:
        yield docker


@pytest.fixture
async def sandbox(provider: DockerProvider, profile: SandboxProfile, owner: SandboxOwner) -> Sandbox:
    """A fresh sandbox on the real engine."""
    return await provider.open(profile, owner)


@pytest.fixture
def unsupported(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Takes the name of a case that a provider does not claim; they are counted at the end."""
    return partial(record_property, UNSUPPORTED)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much of the conformance suite a provider did not claim: it must not hide among what passed."""
    passed = terminalreporter.getreports("passed")
    if names := [str(value) for report in passed for name, value in report.user_properties if name == UNSUPPORTED]:
        terminalreporter.section("sandbox conformance")
        terminalreporter.write_line(f"the fake leaves {len(names)} cases of isolation unsupported: {', '.join(names)}")
