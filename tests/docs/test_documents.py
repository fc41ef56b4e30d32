"""README and documentation: what they show is executed, and what they name exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from assay.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
BLOCK = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def blocks(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield kind, body and line of each fenced block."""
    text = path.read_text()
    for found in BLOCK.finditer(text):
        yield found["kind"].strip(), found["body"], text[: found.start()].count("\n") + 1


@pytest.mark.docker
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    """Each block is executed after the ones before it, and what it prints is compared."""
    steps = [b for b in blocks(ROOT / "docs/tutorial.md") if b[0] in ("bash", "text output")]
    place, env = (
        tmp_path,
        {"ASSAY_STATE": str(tmp_path / "state"), "HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": "/dev/null"},
    )
    printed = ""
    executed = compared = 0
    for kind, body, line in steps:
        if kind == "bash":
            script = f"set -euo pipefail\n{body}\npwd > {tmp_path}/place\n"
            done = subprocess.run(
                ["bash", "-c", script], cwd=place, env={**_path(), **env}, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, f"line {line} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            place, printed, executed = Path((tmp_path / "place").read_text().strip()), done.stdout, executed + 1
        else:
            pattern = ".*".join(re.escape(part) for part in body.strip().split("…"))
            assert re.search(
                pattern, " ".join(printed.split()) if "\n" not in pattern else _even(printed), re.DOTALL
            ), f"line {line} promises\n{body}\nand this was printed:\n{printed}"
            compared += 1
    assert (executed, compared) == (10, 7)


def test_every_command_in_the_pages_exists() -> None:
    """Each `assay …` that a page shows is known to the program, with its options."""
    command = get_command(app)
    seen = 0
    for page in PAGES:
        for kind, body, line in blocks(page):
            if kind not in ("bash", "console", "sh"):
                continue
            for text in re.findall(r"^\$? ?(assay [^|#\n&>]*)", body, re.MULTILINE):
                words = shlex.split(text.strip())[1:]
                seen += 1
                assert _known(command, words), f"{page.name}:{line}: {text}"
    assert seen > 5


def test_every_link_leads_somewhere() -> None:
    """A relative link names a file or folder that is there."""
    broken = [
        f"{page.relative_to(ROOT)} -> {target}"
        for page in PAGES
        for target in LINK.findall(page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_every_make_target_in_the_pages_exists() -> None:
    """`make X` that a page shows is a target."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for page in PAGES
        for kind, body, _ in blocks(page)
        for name in re.findall(r"\bmake ([a-z-]+)", body)
        if kind
    }
    assert {"demo", "test"} <= named <= targets


def _known(command: object, words: list[str]) -> bool:
    commands = getattr(command, "commands", None)
    if commands is not None:
        return bool(words) and words[0] in commands and _known(commands[words[0]], words[1:])
    options = {name for parameter in command.params for name in parameter.opts}  # type: ignore[attr-defined]
    return all(word.split("=")[0] in options for word in words if word.startswith("--"))


def _even(text: str) -> str:
    """Return text with runs of blanks as one, and no blanks at the ends of lines."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def _path() -> dict[str, str]:
    """Return what a command needs of the environment to find assay and the engine."""
    names = ("DOCKER_HOST", "DOCKER_CONTEXT", "LANG")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
