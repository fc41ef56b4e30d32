"""The page about the command line says what the program does, and starting it costs little."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import assay.errors
from assay.cli.reference import command_reference
from assay.errors import AssayError
from assay.records.runs import RunStatus

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


def test_the_page_is_current() -> None:
    """docs/cli.md is what the program says."""
    assert PAGE.read_text(encoding="utf-8") == command_reference(), "run `python scripts/write_cli_reference.py`"


def test_every_exit_code_is_explained() -> None:
    """The table has the code of every way in which a run or an error ends, and no other."""
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", command_reference(), re.MULTILINE)}
    errors = [kind for kind in vars(assay.errors).values() if isinstance(kind, type) and issubclass(kind, AssayError)]
    assert {status.exit_code for status in RunStatus} | {kind.exit_code for kind in errors} == told


def test_every_command_and_option_is_explained() -> None:
    """No row of the page is without words."""
    page = command_reference()
    assert len(re.findall(r"^### `assay ", page, re.MULTILINE)) >= 11
    rows = [line for line in page.partition("## Commands")[2].splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert [row for row in rows if row.rstrip(" |").endswith("`")] == []


@pytest.mark.parametrize(
    ("program", "heavy"),
    [
        ("import assay", {"langgraph", "langchain_core", "docker", "pydantic", "rich", "typer", "asyncio"}),
        (
            "from assay.cli.main import app; app(['--help'])",
            {"langgraph", "langchain_core", "docker", "pydantic", "git"},
        ),
        ("from assay.cli.main import app; app(['runs'])", {"langgraph", "langchain_core"}),
        ("from assay.cli.main import app; app(['doctor'])", {"langgraph", "langchain_core"}),
        ("from assay.cli.main import app; app(['cancel', 'x'])", {"langgraph", "langchain_core"}),
        ("from assay.cli.main import app; app(['policy', 'check', 'ls'])", {"langgraph", "langchain_core"}),
    ],
)
def test_what_is_slow_to_load_is_loaded_where_it_is_needed(program: str, heavy: set[str], tmp_path: Path) -> None:
    """benchmarks/startup.py has the times; here is the reason for them, which does not depend on the machine."""
    script = (
        "import sys\ntry:\n    " + program + "\nexcept SystemExit:\n    pass\n"
        "print('loaded', *sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    loaded = next(line for line in done.stdout.splitlines() if line.startswith("loaded "))
    assert heavy.isdisjoint(loaded.split())


def test_a_run_loads_langgraph() -> None:
    """The test above can fail: what advances a run does load it."""
    script = "import sys, assay.graph.build; print('langgraph' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
