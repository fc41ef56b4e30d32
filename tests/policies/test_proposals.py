"""`assay init`: what is proposed for a repository loads, and says why."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.policies.loading import parse_settings
from assay.policies.proposals import propose_settings, wanted_texts


def proposed(paths: list[str], texts: dict[str, str] | None = None) -> tuple[str, dict[str, Any]]:
    text = propose_settings(paths, texts or {})
    parse_settings(text, name="assay.toml")
    return text, tomllib.loads(text)


def test_a_plain_library() -> None:
    """Code in src, tests in tests: little to say."""
    text, document = proposed(["pyproject.toml", "src/pkg/__init__.py", "tests/test_a.py"])
    assert document["project"] == {"runner": "pytest", "source_roots": ["src"]}
    assert "tests/" in document["paths"]["tests"]
    assert "# 1 test files belong to the project at the top of the repository." in text


def test_a_flat_layout_and_unusual_tests() -> None:
    """What pytest's own configuration names is taken over."""
    texts = {"pytest.ini": "[pytest]\ntestpaths = checks spec/unit\npython_files = check_*.py\npythonpath = lib\n"}
    text, document = proposed(["pytest.ini", "pkg/__init__.py", "checks/test_x.py", "lib/a.py", "pkg/golden/x"], texts)
    assert document["project"]["source_roots"] == [".", "lib"]
    assert document["paths"]["tests"][-4:] == ["/checks/", "/spec/unit/", "check_*.py", "golden/"]
    assert "Expected results belong to the tests" in text


def test_a_monorepo() -> None:
    """The project with the most tests is taken, and the others are named."""
    paths = ["api/pyproject.toml", "api/src/a/x.py", "api/tests/test_a.py", "api/tests/test_b.py",
             "web/package.json", "jobs/setup.py", "jobs/test_j.py"]  # fmt: skip
    text, document = proposed(paths)
    assert document["project"]["root"] == "api"
    assert document["project"]["source_roots"] == ["src"]
    assert "Other projects with tests: jobs" in text
    assert "There are Node projects, too" in text


def test_the_choice_of_tests_is_taken_from_where_they_are_called() -> None:
    """Options that choose tests, and no others."""
    texts = {"tox.ini": "[testenv]\ncommands = python -m pytest -q -m 'not slow' --cov {posargs}\n"}
    text, document = proposed(["tox.ini", "a.py", "test_a.py"], texts)
    assert document["project"]["test_command"] == ["-m", "not slow"]
    assert "# tox.ini calls pytest with these options." in text


def test_declared_markers_become_a_suggestion() -> None:
    """A person may want to leave out what needs a network; nothing is left out unasked."""
    texts = {
        "pyproject.toml": '[tool.pytest.ini_options]\nmarkers = ["slow: takes long", "network: wants out", "ui"]\n'
    }
    text, document = proposed(["pyproject.toml", "a.py", "test_a.py"], texts)
    assert "test_command" not in document["project"]
    assert '# test_command = ["-m", "not slow and not network"]' in text


def test_needs_are_said() -> None:
    """Dependencies and services that a sandbox without network does not have."""
    texts = {"requirements.txt": "psycopg[binary]==3.2\nredis\n", "pyproject.toml": "[project]\nname='a'\n"}
    text, _ = proposed(["requirements.txt", "pyproject.toml", "docker-compose.yml", "test_a.py"], texts)
    assert "the image must hold them" in text
    assert "Its files name postgres, redis" in text
    assert "docker-compose.yml starts services; a sandbox does not." in text


@pytest.mark.parametrize(
    ("path", "text", "offered"),
    [
        ("uv.lock", "", True),
        ("requirements.txt", "a==1 --hash=sha256:0", True),
        ("requirements.txt", "a>=1", False),
        ("other/uv.lock", "", False),
    ],
)
def test_a_lock_file_is_offered(path: str, text: str, offered: bool) -> None:
    """As a comment: fetching what it pins needs an index, and a person decides on that."""
    said, document = proposed(["a.py", "test_a.py", path], {path: text})
    assert (f'# dependencies = "{path}"' in said) == offered
    assert document["sandboxes"] == {"default": {"image": "python"}}


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([], "No tests were found"),
        (["go.mod", "a.go"], "look like Go projects"),
        (["README.md"], "No tests were found"),
    ],
)
def test_a_repository_without_python_tests_is_told_so(paths: list[str], words: str) -> None:
    """An honest proposal says what it did not find."""
    assert words in proposed(paths)[0]


def test_only_telling_files_are_wanted() -> None:
    """A handful of small files, near the top."""
    paths = ["pyproject.toml", "a/b/pyproject.toml", "a/b/c/pyproject.toml", "src/x.py", ".github/workflows/ci.yml"]
    assert wanted_texts([*paths, "requirements-dev.txt"]) == (
        "pyproject.toml", "requirements-dev.txt", ".github/workflows/ci.yml", "a/b/pyproject.toml",
    )  # fmt: skip
    assert len(wanted_texts(f"p{n}/setup.py" for n in range(500))) == 60


_NAMES = st.sampled_from(
    ["src", "tests", "a b", "é", "pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini", "test_x.py", "x.py", "\udcff",
     '"', "#", "\n", "[x]", "golden", "Makefile", "..", "package.json", "\x7f"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(_NAMES, min_size=1, max_size=4).map("/".join), max_size=8, unique=True),
    st.text(max_size=60)
    | st.sampled_from(["[pytest]\ntestpaths = ../x 'a\n", "pytest -m \"$X\" -k 'a", "[tool]\npytest = 1"]),
)  # fmt: skip
def test_whatever_is_proposed_loads(paths: list[str], text: str) -> None:
    """Odd names and odd contents end up in no place where they could break the file."""
    proposed(paths, dict.fromkeys(wanted_texts(paths), text))
