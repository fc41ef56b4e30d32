"""Where a command of a test's is executed when judge and program run apart, and which files cross then (S9)."""

from __future__ import annotations

import base64
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.judge_side.outside.folders import Folders, Unshared
from assay.evidence.judge_side.outside.ground import Ground
from assay.evidence.judge_side.outside.routing import At, Route, Undecided, route

GROUND = Ground(
    "/workspace", ["bin/tool", "lib/a.sh", "cli.js", "app/__main__.py", "samples/x.txt"], frozenset({"app", "app.sub"})
)
AT = At(GROUND, "/workspace", "/usr/bin:/bin")
THERE: tuple[list[str] | str, ...] = (
    ["bin/tool", "a"],
    ["./bin/tool"],
    ["/workspace/bin/tool"],
    ["sh", "bin/tool", "x"],
    ["bash", "-e", "lib/a.sh"],
    ["node", "--no-warnings", "cli.js", "samples/x.txt"],
    ["python3", "-m", "app"],
    ["/usr/bin/python3.11", "-W", "error", "-m", "app.sub", "x"],
    ["python3", "-u", "app/__main__.py"],
    ["sh", "-c", "bin/tool a"],
    ["bash", "-ec", "cd samples && /workspace/bin/tool"],
    "bin/tool <samples/x.txt >/tmp/out 2>&1",
    "A=b bin/tool 'x y' && bin/tool $B",
    "echo x | bin/tool",
    "cat samples/none | tr a b | python3 -m app",
)
HERE: tuple[list[str] | str, ...] = (
    ["git", "status"],
    ["sh", "-c", "echo $((1 + 1)) | grep 2"],
    ["python3", "-c", "print(1)"],
    ["python3", "-m", "json.tool", "/tmp/x"],
    ["python3", "tests/helper.py"],
    ["tool"],
    [],
    "for i in 1 2; do echo $i; done",
)
UNDECIDED = (
    ["cat", "samples/x.txt"],
    ["diff", "-r", "samples", "/tmp/x"],
    ["grep", "--file=samples/x.txt", "a"],
    ["ls", "."],
    ["python3", "-c", "import app; assert app.f() == 1"],
    ["python3", "-m", "json.tool", "samples/x.txt"],
    ["node", "-e", "require('/workspace/cli.js')"],
    ["sh", "-c", "bin/tool | grep -q x"],
    "bin/tool | grep -q x",
    "bin/tool; diff samples/x.txt /tmp/y",
    "test x = $(bin/tool)",
    "test x = `python3 -m app`",
    "if bin/tool; then true; fi",
    "cd samples",
    "! bin/tool",
    "grep '|' bin/tool",
    "grep \\| bin/tool",
    "bin/tool <\ngrep -q x",
    "f() { bin/tool; }",
    "bin/tool 'open",
)
CASES = [
    *zip(THERE, itertools.repeat("there")),
    *zip(HERE, itertools.repeat("here")),
    *zip(UNDECIDED, itertools.repeat("undecided")),
]


def where(
    command: list[str] | str,
    at: At = AT,
    *,
    heard: bool = False,
    came: tuple[str, ...] = (),
    values: tuple[str, ...] = (),
) -> str:
    """Return where a command is executed."""
    try:
        return "there" if route(command, at, heard=heard, came=came, values=values) is Route.THERE else "here"
    except Undecided:
        return "undecided"


@pytest.mark.parametrize(("command", "expected"), CASES)
def test_what_executes_the_program_runs_where_it_is(command: list[str] | str, expected: str) -> None:
    """What executes a file of the program's runs there, what does nothing with one here, and all else nowhere."""
    assert where(command) == expected


def test_commands_are_found_by_their_search_path() -> None:
    """A bare name is the program's where `PATH` leads to it."""
    assert where(["tool"], At(GROUND, "/", "/workspace/bin:/usr/bin")) == "there"
    assert where(["tool"], At(GROUND, "/workspace/bin", "/usr/bin")) == "here"


def test_what_the_program_wrote_is_not_executed_here() -> None:
    """Once the program was asked, no command here touches temporary files; none ever touches what came from it."""
    assert where(["sh", "/tmp/t/x.sh"]) == "here"
    assert where(["sh", "/tmp/t/x.sh"], heard=True) == "undecided"
    assert where(["make"], At(GROUND, "/tmp/t", ""), heard=True) == "undecided"
    assert where(["git", "-C", "/tmp/t", "log"], came=("/tmp/t/.git/config",)) == "undecided"
    assert where("cd /tmp/t; git log", came=("/tmp/t/.git/config",)) == "undecided"
    assert where(["sh", "tmp/t/x.sh"], At(GROUND, "/", ""), heard=True) == "undecided"
    assert where("cd / && sh tmp/t/x.sh", heard=True) == "undecided"
    assert where(["git", "--version"], heard=True) == "here"


@pytest.mark.parametrize(
    ("command", "value"),
    [
        (["tool", "--version"], "/tmp/t/bin:/usr/bin"),
        (["python3", "-c", "import generated"], "/usr/lib:/tmp/t"),
        (["sh", "-c", "$TOOL"], "/tmp/t/bin/tool"),
    ],
)
def test_variables_lead_to_what_is_executed(command: list[str], value: str) -> None:
    """What a variable names counts as what a word names: files of the program's making, and of its own."""
    came = ("/tmp/t/bin/tool",)
    assert where(command, heard=True, values=(value,)) == "undecided"
    assert where(command, came=came, values=(value,)) == "undecided"
    assert where(command, values=(value,)) == "here"
    assert where(["python3", "-c", "1"], heard=True, came=came, values=("/opt/x:/usr/bin", "red")) == "here"
    assert where(["sh", "-c", "$TOOL"], values=("/workspace/bin/tool",)) == "undecided"
    assert where(["sh", "bin/tool"], heard=True, came=came, values=(value,)) == "there"


@pytest.mark.parametrize(
    "command",
    [
        ["sh"],
        ["sh", "-s", "x"],
        ["bash", "-e"],
        ["python3", "-"],
        ["python3", "-u"],
        ["node"],
        ["perl", "/dev/stdin"],
        ["env", "sh", "-s"],
        ["sh", "-c", "sh -s"],
        ["sh", "-c", "read x; $x"],
        "echo x | sh",
        "echo x | python3 -",
        "eval x",
        "xargs echo",
        "source ./x",
    ],
)
def test_no_interpreter_reads_its_program_from_the_program(command: list[str] | str) -> None:
    """Once the program was asked, nothing here executes what comes on its standard input."""
    assert where(command) == "here"
    assert where(command, heard=True) == "undecided"


@pytest.mark.parametrize(
    "command",
    [
        ["python3", "--version"],
        ["sh", "-c", "echo x; ls ."],
        ["python3", "-c", "1"],
        ["node", "-e", "1"],
        "echo a | sort",
    ],
)
def test_interpreters_with_a_program_of_the_tests_stay(command: list[str] | str) -> None:
    """A program that stands in the command itself is the test's, also after the program was asked."""
    assert where(command, At(GROUND, "/opt", "/usr/bin:/bin"), heard=True) == "here"


WORDS = st.sampled_from(
    [*"|&;<>\n\"'`$()\\ ", "&&", "bin/tool", "grep", "-q", "x", "python3", "-m", "app", "cd", "A=b", "2>", "samples"]
)


@given(st.lists(WORDS).map(" ".join))
def test_every_text_is_decided_or_refused(text: str) -> None:
    """No text for the shell breaks the decision, and none that ends in a tool of the system runs beside the program."""
    where(text)
    assert where(f"{text}\ngrep -q x") != "there"


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Folders, Path]:
    """Return one side of what is shared, and the folder that is."""
    shared = tmp_path / "shared"
    shared.mkdir()
    folders = Folders()
    folders.add(str(shared), sent="all", taken=True)
    return folders, shared


def test_only_what_changed_is_sent(sides: tuple[Folders, Path]) -> None:
    """A file is sent once, again when it changed, and its end is told; what came is not sent back."""
    folders, shared = sides
    (shared / "a").write_text("x")
    assert [c[:2] for c in folders.changes()] == [["folder", str(shared)], ["file", str(shared / "a")]]
    assert folders.changes() == []
    folders.apply([["file", str(shared / "b" / "c"), 0o4750, 5, base64.b64encode(b"y").decode()]])
    status = (shared / "b" / "c").stat()
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o750, 5)
    assert [c[:2] for c in folders.changes()] == [["folder", str(shared / "b")]]
    assert folders.came == {str(shared / "b" / "c")}
    (shared / "a").unlink()
    assert folders.changes() == [["gone", str(shared / "a")]]


@pytest.mark.parametrize(
    "change",
    [
        ["file", "{root}/other", 0o644, 0, ""],
        ["file", "{shared}/../other", 0o644, 0, ""],
        ["file", "{shared}/link/other", 0o644, 0, ""],
        ["file", "{shared}x", 0o644, 0, ""],
        ["gone", "{root}"],
        ["file", "{shared}/a\0", 0o644, 0, ""],
        ["file", "{shared}/a", 0o644, 0, "?"],
        ["file", "{shared}/a", "x", 0, ""],
        ["file", "{shared}/a", 0o644, 1 << 200, ""],
        ["link", "{shared}/a", "/etc"],
        ["file"],
        [],
        7,
        None,
    ],
)
def test_nothing_is_laid_down_elsewhere(sides: tuple[Folders, Path], change: object) -> None:
    """Whatever the other side sends, it lands in what is shared or nowhere, and is refused."""
    folders, shared = sides
    (shared / "link").symlink_to(shared.parent)
    if isinstance(change, list):
        names = {"root": str(shared.parent), "shared": str(shared)}
        change = [part.format(**names) if isinstance(part, str) else part for part in change]
    with pytest.raises(Unshared):
        folders.apply([change])
    assert sorted(p.name for p in shared.parent.iterdir()) == ["shared"]


def test_byte_code_is_laid_down_on_one_side_only(tmp_path: Path) -> None:
    """Where its names say so, a side lays down no byte code; what else came is kept."""
    data = base64.b64encode(b"x").decode()
    for refused in ((), (".pyc",)):
        folders = Folders(refused=refused)
        folders.add(str(tmp_path), sent="all", taken=True)
        folders.apply([["file", str(tmp_path / "a.py"), 0o644, 0, data]])
        if refused:
            with pytest.raises(Unshared, match="byte code"):
                folders.apply([["file", str(tmp_path / "b.pyc"), 0o644, 0, data]])
        else:
            folders.apply([["file", str(tmp_path / "c.pyc"), 0o644, 0, data]])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.py", "c.pyc"]


def test_links_and_much_are_refused(sides: tuple[Folders, Path]) -> None:
    """Links, pipes, large files and many of them are not sent."""
    folders, shared = sides
    (shared / "link").symlink_to("/etc/passwd")
    with pytest.raises(Unshared, match="neither file nor folder"):
        folders.changes()
    (shared / "link").unlink()
    with (shared / "large").open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(Unshared, match="bytes"):
        folders.changes()
    (shared / "large").unlink()
    for number in range(2001):
        (shared / str(number)).touch()
    with pytest.raises(Unshared, match="files"):
        folders.changes()


def test_no_text_of_a_test_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of the tests that is named goes there and does not come back; tests, links and the judge's own do not go."""
    root, temporary = tmp_path / "tree", tmp_path / "temporary"
    (root / "tests" / "data").mkdir(parents=True)
    (root / "tests" / "test_a.py").touch()
    (root / "tests" / "data" / "x").touch()
    (temporary / "case").mkdir(parents=True)
    (temporary / "link").symlink_to(temporary / "case")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    ground = Ground(str(root), ["bin/tool"], frozenset())
    assert list(ground.places(["tests/data"], str(root))) == [(str(root / "tests" / "data"), "all", False)]
    for refused in (str(root / "tests"), str(root / "tests" / "test_a.py"), str(temporary / "link" / "x")):
        with pytest.raises(Unshared):
            list(ground.places([refused], None))
    case = str(temporary / "case")
    assert list(ground.places([f"--out={case}/y,z"], str(root))) == [(case, "known", True), (f"{case}/y", "all", True)]
    assert list(ground.places(["/price?x=1", "plain", str(root)], None)) == []
