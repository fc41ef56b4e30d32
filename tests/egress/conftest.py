"""What the tests of the way out share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.egress.servers import Certificates, Told, make_certificates


@pytest.fixture
async def told() -> Told:
    """Keeps what is recorded."""
    return Told()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """For `www.test`, `git.test` and `other.test`."""
    folder: Path = tmp_path_factory.mktemp("certificates")
    return make_certificates(folder, "www.test", "git.test", "other.test")
