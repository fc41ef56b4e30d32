"""`assay doctor`: what is missing is found, and the command that mends it is named; nothing of it raises."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from docker.api.client import APIClient

from assay.records.sandboxes import Image
from assay.sandboxes import doctor
from assay.sandboxes.doctor import Finding, examine, examine_images
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import load_recipe


def by_subject(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    """Return the findings by what was looked at."""
    return {finding.subject: finding for finding in findings}


@pytest.mark.docker
async def test_a_machine_that_has_everything(engine: Engine, python_image: Image, tmp_path: Path) -> None:
    """Every finding is well, says what it saw, and offers nothing to mend."""
    found = await examine(engine, recipes=(load_recipe("python"),), directories=(tmp_path / "not" / "yet",))
    assert all(finding.ok and finding.mend is None and finding.detail for finding in found), found
    assert {"git", "docker engine", "image python"} <= set(by_subject(found))
    assert python_image.id[:19] in by_subject(found)["image python"].detail


@pytest.mark.docker
async def test_an_image_that_is_not_built(engine: Engine) -> None:
    """The command that builds it is named."""
    other = load_recipe("python").model_copy(update={"packages": ("nobody-has-built-this",)})
    found = by_subject(await examine(engine, recipes=(other,), directories=()))
    assert not found["image python"].ok
    assert found["image python"].mend == "assay sandbox build"
    other = load_recipe("node").model_copy(update={"packages": ("nobody-has-built-this",)})
    found = by_subject(await examine(engine, recipes=(other,), directories=()))
    assert found["image node"].mend == "assay sandbox build node"


@pytest.mark.docker
async def test_images_that_profiles_name(engine: Engine, python_image: Image) -> None:
    """One that is there is shown with its id, one that is not with what mends that."""
    named = {"default": python_image.id, "strong": "assay-test-nowhere:1"}
    (there, absent) = await examine_images(engine, named)
    assert (there.subject, there.ok, python_image.id[:19] in there.detail) == (
        "image of [sandboxes.default]",
        True,
        True,
    )
    assert (absent.subject, absent.ok) == ("image of [sandboxes.strong]", False)
    assert "assay-test-nowhere:1" in absent.detail
    assert absent.mend


async def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One finding, naming the address, instead of an error; what needs no engine is still looked at."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    gone = Engine()
    found = by_subject(await examine(gone, recipes=(load_recipe("python"),), directories=()))
    await gone.close()
    assert not found["docker engine"].ok
    assert "tcp://127.0.0.1:1" in str(found["docker engine"].mend)
    assert found["git"].ok
    assert "image python" not in found


@pytest.mark.parametrize(
    ("said", "installed", "systemd", "expected"),
    [
        ("Permission denied", True, True, "usermod -aG docker"),
        ("No such file", False, True, "apt-get install docker.io"),
        ("No such file", True, True, "systemctl start docker"),
        ("Connection refused", True, False, "dockerd"),
    ],
)
def test_the_command_fits_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, said: str, installed: bool, systemd: bool, expected: str
) -> None:
    """Not installed, not running and not allowed are three different things."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name, path: f"/usr/sbin/{name}" if installed else None)
    monkeypatch.setattr(doctor, "SYSTEMD", Path("/" if systemd else "/nowhere"))
    assert expected in doctor.mend_engine(OSError(said))


@pytest.fixture
def old_engine() -> Iterator[str]:
    """Something that answers like a Docker engine of long ago."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"ApiVersion": "1.30", "OSType": "linux", "ServerVersion": "17.06", "Name": "elsewhere"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *values: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_an_engine_that_is_too_old(old_engine: str) -> None:
    """Its version is shown, and that a newer one is needed."""
    engine = Engine(lambda: APIClient(base_url=old_engine, version="1.30"))
    found = by_subject(await examine(engine, recipes=(), directories=()))
    await engine.close()
    assert not found["docker engine"].ok
    assert "17.06" in found["docker engine"].detail
    assert "20.10" in str(found["docker engine"].mend)


async def test_a_machine_without_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is found by looking for it, not by failing later."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    gone = Engine()
    found = by_subject(await examine(gone, recipes=(), directories=()))
    await gone.close()
    assert not found["git"].ok
    assert "apt-get install git" in str(found["git"].mend)


async def test_a_directory_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The nearest directory that exists is the one that is looked at."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path and os.path.lexists(path))
    finding = doctor._directory(tmp_path / "state" / "assay")
    assert not finding.ok
    assert str(tmp_path) in str(finding.mend)


def test_a_directory_that_cannot_be_looked_into(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What lies below it cannot be asked for: the finding names the folder that is closed."""
    closed = tmp_path / "closed"
    closed.mkdir()
    exists = Path.exists

    def look(path: Path) -> bool:
        if closed in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", look)
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed)
    finding = doctor._directory(closed / "state" / "assay")
    assert not finding.ok
    assert str(finding.mend).endswith(f" {closed}")
