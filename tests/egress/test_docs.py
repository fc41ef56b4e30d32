"""The page about the way out: its settings are read, and its program runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from assay.app.egress import read_grant, within
from assay.policies.loading import parse_settings

PAGE = Path(__file__).parents[2] / "docs" / "egress.md"


def blocks(kind: str) -> list[str]:
    """Return the page's blocks of a kind, in order."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


async def test_the_settings_and_the_grant_fit(tmp_path: Path) -> None:
    """The example of a repository's settings is covered by the example of a grant, whose limits it takes over."""
    settings, grant = blocks("toml")
    path = tmp_path / "egress.toml"
    path.write_text(grant)
    asked = parse_settings(settings, name="assay.toml")
    grant_of_all = await read_grant(path)
    egress = within(asked, ("online",), grant_of_all, source="here", path=path).sandbox("online").egress
    assert egress.allow == ("pypi.org:443", "files.pythonhosted.org:443", "*.debian.org:80")
    assert egress.megabytes == 500


@pytest.mark.docker
def test_the_program_says_what_the_page_says() -> None:
    """The example is executed; nothing that it asks for leaves this machine."""
    (program,) = blocks("python")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    first, last = result.stdout.splitlines()
    assert first == "refused example.org 443"
    assert "403" in last
    assert "example.org:443 is not among what this sandbox may reach" in last
