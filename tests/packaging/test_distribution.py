"""What a person who installs assay gets: everything that it needs, under one name, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = tuple(sorted(link.name for link in (ROOT / "src" / "assay").iterdir() if link.is_symlink()))
VERSION = "assay-0.1.0"


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return what it printed; its words are shown when it fails."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def room_files() -> set[str]:
    """Return every file of the rooms that git would keep, relative to the root of the checkout."""
    listing = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *ROOMS, cwd=ROOT)
    return {name for name in listing.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with the sdist, and with the wheel that was built from it."""
    work = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", work, ROOT, cwd=work)
    return work


@pytest.fixture(scope="module")
def wheel(built: Path) -> Iterator[zipfile.ZipFile]:
    """The wheel that was built from the sdist."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        yield archive


def test_the_checkout_has_every_room_as_a_real_folder_and_a_link() -> None:
    """The links are what makes `assay.graph` out of `graph/`."""
    assert set(ROOMS) >= {"agents", "evidence", "graph", "policies", "records", "sandboxes", "store", "tickets"}
    for room in ROOMS:
        assert (ROOT / room / "__init__.py").is_file()
        assert (ROOT / "src" / "assay" / room).resolve() == ROOT / room


def test_the_wheel_holds_every_file_of_every_room(wheel: zipfile.ZipFile) -> None:
    """Prompts, templates, recipes and the supervisor's binary are as needed as the code."""
    names = set(wheel.namelist())
    missing = {name for name in room_files() if f"assay/{name}" not in names}
    assert missing == set()
    assert {"assay/py.typed", "assay/errors.py", "assay/sandboxes/images/python.toml"} <= names


def test_the_wheel_holds_nothing_beside_the_package(wheel: zipfile.ZipFile) -> None:
    """No tests, no scripts, no second copy of a room."""
    assert {name.split("/")[0] for name in wheel.namelist()} == {"assay", f"{VERSION}.dist-info"}
    assert not [name for name in wheel.namelist() if "/test_" in name or name.endswith((".pyc", ".o"))]


def test_programs_stay_executable(wheel: zipfile.ZipFile) -> None:
    """A wheel keeps the mode of a file, and the supervisor is one that is started."""
    modes = {info.filename: info.external_attr >> 16 for info in wheel.infolist()}
    programs = {name for name in room_files() if (ROOT / name).stat().st_mode & 0o100}
    assert any("supervisor" in name for name in programs)
    assert {name for name in programs if not modes[f"assay/{name}"] & 0o111} == set()


def test_the_sdist_holds_what_the_tests_need(built: Path) -> None:
    """A packager can build, test and document from it alone."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.removeprefix(f"{VERSION}/") for name in archive.getnames()}
    assert room_files() <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "Makefile", "scripts/setup.sh", "tests/conftest.py"} <= names


@pytest.mark.parametrize("source", ["checkout", "sdist"])
def test_an_installation_puts_only_assay_into_site_packages(built: Path, tmp_path: Path, source: str) -> None:
    """Never a bare `agents` or `graph`, which other packages own; and it imports from there, from anywhere."""
    site = tmp_path / "site"
    what = ROOT if source == "checkout" else next(built.glob("*.tar.gz"))
    pip = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip, "--target", site, what, cwd=tmp_path)
    assert {entry.name for entry in site.iterdir()} == {"assay", f"{VERSION}.dist-info", "bin"}
    assert [entry.name for entry in (site / "bin").iterdir()] == ["assay"]
    imported = "import assay, assay.records.base; print(assay.__file__, assay.records.base.__file__)"
    environment = f"import sys; sys.path.insert(0, {str(site)!r}); {imported}"
    for path in run(sys.executable, "-P", "-c", environment, cwd=tmp_path).split():
        assert Path(path).is_relative_to(site)
