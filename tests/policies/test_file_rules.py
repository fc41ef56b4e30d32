"""Tool rules for files: no way of writing a path gets around them."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.policies.file_rules import plain_path
from assay.policies.rules import decide
from assay.policies.settings import ToolRules

RULES = ToolRules(
    deny=("write_file(src/secret/**)", "*(.env)", "grep(vault/**)"),
    ask=("write_file(src/api/**)",),
    allow=("write_file(src/**)", "read_file(*)", "read_file(//tmp/**)", "ls(src/**)", "glob(*)", "grep(*)"),
)


def outcome(tool: str, path: str, **more: str) -> str:
    return decide(RULES, tool, {"file_path": path, **more}).outcome


def test_paths_are_judged_as_they_are() -> None:
    """The three lists, in their order."""
    assert outcome("write_file", "/workspace/src/a.py") == "allow"
    assert outcome("write_file", "src/a.py") == "allow"
    assert outcome("write_file", "src/api/a.py") == "ask"
    assert outcome("write_file", "src/secret/a.py") == "deny"
    assert outcome("write_file", "README.md") == "deny"
    assert outcome("read_file", "README.md") == "allow"
    assert outcome("read_file", "sub/.env") == "deny"


@pytest.mark.parametrize(
    "path",
    ["src/./secret/a", "src//secret/a", "src/x/../secret/a", "./src/secret/a", "/workspace/src/secret/a",
     "//workspace//src/secret/a", "/tmp/../workspace/src/secret/a", "../workspace/src/secret/a", "src/SECRET/a",
     "src/\uff53ecret/a", "src/secret/a/"],
)  # fmt: skip
def test_a_denied_path_is_denied_however_it_is_written(path: str) -> None:
    """Dots, slashes, case and compatibility characters make no difference to `deny`."""
    assert outcome("write_file", path) == "deny"


@pytest.mark.parametrize(
    "path",
    ["src/../README.md", "/etc/passwd", "../x", "src/../../etc/passwd", "/workspace/../etc/passwd", "/workspacesrc/a",
     "SRC/a.py", "/src/a.py", "/", "/workspace", "", "."],
)  # fmt: skip
def test_an_allowed_folder_allows_nothing_beside_it(path: str) -> None:
    """`write_file(src/**)` is about the files below src in the workspace, and about nothing else."""
    assert outcome("write_file", path) == "deny"


def test_what_lies_outside_needs_a_rule_of_its_own() -> None:
    """`read_file(*)` is about the workspace; two slashes name the rest of the machine."""
    assert outcome("read_file", "/tmp/x/y") == "allow"
    assert outcome("read_file", "/tmpx") == "deny"
    assert outcome("read_file", "/etc/passwd") == "deny"
    everywhere = ToolRules(allow=("ls(//**)",))
    assert decide(everywhere, "ls", {"path": "/"}).outcome == "allow"
    assert decide(everywhere, "ls", {"path": "/usr/lib"}).outcome == "allow"
    assert decide(everywhere, "ls", {"path": "src"}).outcome == "deny"


def test_folders_are_matched_by_what_lies_below_them() -> None:
    """Who may list `src/**` may list src."""
    assert outcome("ls", "src") == "allow"
    assert outcome("ls", "src/") == "allow"
    assert outcome("ls", "/workspace") == "deny"
    assert decide(RULES, "ls", {}).outcome == "deny"
    assert decide(RULES, "glob", {"pattern": "**/*.py"}).outcome == "allow"


def test_a_search_above_a_denied_folder_is_asked() -> None:
    """A grep over everything would read what `grep(vault/**)` denies."""
    rules = ToolRules(deny=("grep(vault/**)",), allow=("grep(*)",))
    assert decide(rules, "grep", {"pattern": "x", "path": "vault/a"}).outcome == "deny"
    assert decide(rules, "grep", {"pattern": "x"}).outcome == "ask"
    assert decide(rules, "grep", {"pattern": "x", "path": "src"}).outcome == "allow"


def test_a_glob_does_not_leave_its_folder() -> None:
    """The pattern of a search is judged, too."""
    assert decide(RULES, "glob", {"pattern": "/etc/*"}).outcome == "deny"
    assert decide(RULES, "glob", {"pattern": "../../etc/*"}).outcome == "deny"
    assert decide(RULES, "glob", {"pattern": "src/{a,../../../etc}/*"}).outcome == "deny"
    assert decide(RULES, "glob", {"pattern": "*.py", "path": "/etc"}).outcome == "deny"


@pytest.mark.parametrize("args", [{}, {"file_path": 5}, {"file_path": None}, {"file_path": "a\0b"}, {"path": ["a"]}])
def test_a_call_without_a_path_is_denied(args: dict[str, object]) -> None:
    """Arguments are not believed to be of their type."""
    assert decide(RULES, "read_file", args).outcome == "deny"  # type: ignore[arg-type]


@given(st.lists(st.sampled_from(["a", "..", ".", "", "src", "workspace", "tmp", "/"]), max_size=12))
def test_plain_paths_are_what_the_machine_would_open(parts: list[str]) -> None:
    """A plain path names the same file, and has one spelling."""
    path = "/".join(parts)
    plain = plain_path(path)
    assert ".." not in plain.split("/")
    opened = posixpath.normpath("/" + posixpath.join("/workspace", path).lstrip("/"))
    assert posixpath.normpath(posixpath.join("/workspace", plain)) == opened
    assert plain_path(plain) == plain
