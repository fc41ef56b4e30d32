"""What the tests of the way out share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.egress.servers import Certificates, Names, Told, make_certificates

from assay.sandboxes.docker import DockerProvider
from assay.sandboxes.egress import WaysOut


@pytest.fixture
async def told() -> Told:
    """Keeps what is recorded."""
    return Told()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """For `www.test`, `git.test` and `other.test`."""
    folder: Path = tmp_path_factory.mktemp("certificates")
    return make_certificates(folder, "www.test", "git.test", "other.test")


@pytest.fixture
async def names() -> Names:
    """Every name is this host."""
    return Names()


@pytest.fixture
async def provider(told: Told, names: Names) -> AsyncIterator[DockerProvider]:
    """A provider whose ways out are recorded, and which asks no real resolver."""
    async with DockerProvider(ways_out=WaysOut(told.of_sandbox, resolve=names)) as docker:
        yield docker
