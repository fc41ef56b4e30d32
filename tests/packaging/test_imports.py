"""How assay is imported: always by its whole name, lazily, and with its lines counted once."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
ROOMS = frozenset(link.name for link in (ROOT / "src" / "assay").iterdir() if link.is_symlink())


def top_level_imports(source: str) -> set[str]:
    """Return the packages that a program imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        found |= {name.partition(".")[0] for name in names}
    return found


def bare_imports(source: str) -> set[str]:
    """Return the rooms that a program imports without the package's name before them."""
    return top_level_imports(source) & ROOMS


def test_no_file_imports_a_bare_room() -> None:
    """`import agents` would work from the root of the checkout, and only there."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py"]
    names = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\0")
    files = [ROOT / name for name in names if name and not name.startswith("examples/")]
    offenders = {str(path): found for path in files if path.is_file() and (found := bare_imports(path.read_text()))}
    assert offenders == {}


@pytest.mark.parametrize("line", ["import graph", "from agents.tools import x", "import json, store.files as f"])
def test_a_bare_import_would_be_found(line: str) -> None:
    """The guard above can fail."""
    assert bare_imports(line)


def test_the_tests_run_on_the_package_and_on_no_bare_room() -> None:
    """Pytest from the root, with `importlib` mode, leaves the root off the import path."""
    import assay.records.base

    assert ROOMS.isdisjoint(sys.modules)
    assert Path(str(assay.records.base.__file__)).resolve() == ROOT / "records" / "base.py"


def test_the_installation_is_editable() -> None:
    """What is tested is the checkout: `pip install -e .` made a link to it, and no copy."""
    origin = json.loads(distribution("assay").read_text("direct_url.json") or "{}")
    assert origin["dir_info"] == {"editable": True}
    assert Path(origin["url"].removeprefix("file://")) == ROOT


def test_what_is_imported_is_declared() -> None:
    """What comes with another distribution today may stop coming tomorrow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    declared = {canonicalize_name(Requirement(one).name) for one in named}
    brings = packages_distributions()
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    imported = set().union(*(top_level_imports(path.read_text()) for path in files)) - sys.stdlib_module_names
    imported -= {"assay", "pytest"}  # the witness runs in a sandbox, with the pytest that the image has
    imported -= {path.stem for path in (ROOT / "evidence" / "judge_side").glob("*.py")}  # they lie side by side there
    foreign = {name: {canonicalize_name(one) for one in brings[name]} for name in imported}
    assert {"requests", "aiosqlite", "docker"} <= set(foreign)
    assert {name: found for name, found in foreign.items() if not found & declared} == {}


def test_importing_assay_imports_nothing_heavy(tmp_path: Path) -> None:
    """LangGraph alone takes more than a second."""
    program = "import sys, assay; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    heavy = {"langgraph", "langchain", "langchain_core", "docker", "pydantic", "git", "rich", "typer", "asyncio"}
    assert heavy.isdisjoint(done.stdout.split())


def test_coverage_finds_the_rooms_once(tmp_path: Path) -> None:
    """The links do not make two files out of one, and what ran is counted."""
    program = tmp_path / "program.py"
    program.write_text("from assay.records.base import digest_of\ndigest_of({})\n")
    data = f"--data-file={tmp_path / 'coverage'}"
    settings = f"--rcfile={ROOT / 'pyproject.toml'}"
    for command in (
        ["run", data, settings, str(program)],
        ["json", data, settings, "-q", "--include=*/records/base.py", "-o", str(tmp_path / "out.json")],
    ):
        subprocess.run(
            [sys.executable, "-P", "-m", "coverage", *command], check=True, capture_output=True, cwd=tmp_path
        )
    files = json.loads((tmp_path / "out.json").read_text())["files"]
    assert len(files) == 1
    assert next(iter(files.values()))["summary"]["covered_lines"] > 10
