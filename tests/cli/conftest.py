"""What the tests of the command line share: a state directory and a project of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.program import Project, Start


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory, which every command of the test uses; nothing around it changes what is printed."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "ASSAY_LOG", "ASSAY_POLICY", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    path = tmp_path / "state"
    monkeypatch.setenv("ASSAY_STATE", str(path))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository, a ticket and scripts."""
    return Project(tmp_path)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the program in processes of its own."""
    starter = Start()
    yield starter
    starter.end()
