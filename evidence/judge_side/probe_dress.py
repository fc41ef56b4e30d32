"""What a call sees around it (S11): nothing in particular, a test that runs under pytest, or another tool as much.

This file is written into a fresh sandbox beside the replayer, which loads it before any judged code. As a test means
within a session of pytest itself, so that all that pytest does to its process is there: what it captures, catches,
hooks and keeps in memory. The other tool is what a call is compared with that merely depends on its surroundings: on
the number of variables, on who calls it and from how deep, on the program's arguments, on streams that are caught.
"""

from __future__ import annotations

import builtins
import importlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

PLAIN: Final = "plain"
TEST: Final = "test"
OTHER: Final = "other"

_TOOL: Final = "listing"
_REWRITE: Final = "_pytest.assertion.rewrite"
_MODULES: Final = {
    TEST: ("pytest", "_pytest.python", "_pytest.unittest", "unittest", _REWRITE),
    OTHER: ("http.client", "pdb"),
}
_FRAMES: Final = 40
"""About as many as pytest has below a test."""

Calling = Callable[[Any, Any, Any], Any]
"""Calls what comes first with arguments by position and by name."""


def passes_of(count: int) -> list[tuple[str, int]]:
    """Return the dresses of so many passes with and without a test, each with the number of its hash seed.

    What goes on with time, and what changes with every other call, shows itself in this order as something that does
    not answer the same each time.
    """
    order: list[tuple[str, int]] = []
    for number in range(count):
        order += [(TEST, number), (OTHER, number)] if number % 2 else [(PLAIN, number), (TEST, number)]
    return order


def variables_for(dress: str, variables: dict[str, str]) -> dict[str, str]:
    """Return the variables of a process; whatever is pytest's belongs to tests alone."""
    if dress == TEST:
        return dict(variables)
    return {name: value for name, value in variables.items() if not name.startswith("PYTEST_")}


def put_on(dress: str) -> None:
    """Make this process look like what it is to be, before any judged code is loaded."""
    loaded = [importlib.import_module(name) for name in _MODULES.get(dress, ())]
    if dress == TEST:
        os.environ["PYTEST_VERSION"] = str(vars(loaded[0])["__version__"])
    elif dress == OTHER:
        os.environ[f"{_TOOL.upper()}_VERSION"] = "1.0"
    sys.argv[:] = {TEST: ["pytest", "-q"], OTHER: [_TOOL, "-v"]}.get(dress, ["program"])


def within(dress: str, work: Callable[[], None]) -> None:
    """Do some work within what the dress is: a test of pytest, an item of the other tool, or nothing."""
    if dress == TEST:
        _within_pytest(work)
    elif dress == OTHER:
        _within_tool(work)
    else:
        work()


def _within_pytest(work: Callable[[], None]) -> None:
    pytest = sys.modules["pytest"]

    class Part:
        @pytest.fixture  # type: ignore[untyped-decorator]
        def work(self) -> Callable[[], None]:
            return work

    folder = Path(mkdtemp())
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text("def test_it(work):\n    work()\n")
    pytest.main(["-q", "-p", "no:cacheprovider", f"--rootdir={folder}", str(folder / "test_it.py")], plugins=[Part()])


class _Caught(io.TextIOWrapper):
    """A stream that keeps what is written, and refuses to be read."""

    def read(self, _: int | None = -1) -> str:
        raise OSError(f"{_TOOL} reads nothing")

    def readline(self, _: int = -1) -> str:  # type: ignore[override]
        return self.read()


def _within_tool(work: Callable[[], None]) -> None:
    sys.stdin, sys.stdout, sys.stderr = (_Caught(io.BytesIO(), encoding="utf-8") for _ in range(3))
    logging.getLogger().addHandler(logging.StreamHandler(io.StringIO()))
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # pytest shows what others do not; that it keeps them, no answer rests on
        _deeper(_FRAMES, work)


def _deeper(count: int, work: Callable[[], None]) -> None:
    if count:
        _deeper(count - 1, work)
    else:
        work()


def calling_for(dress: str, test: str) -> Calling:
    """Return what calls a function as a test does, as the other tool does, or just so.

    Args:
        dress: one of the three.
        test: id of the test that made this call.
    """
    if dress == PLAIN:
        return _call
    file, name = place_of(test)
    if dress == TEST:
        os.environ["PYTEST_CURRENT_TEST"] = f"{test} (call)"
        runner = str(vars(sys.modules["_pytest.python"])["__file__"])
        outer = ("_pytest.python", runner, "pytest_pyfunc_call")
        inner = (Path(file).stem, str(Path.cwd() / file), name)
    else:
        os.environ[f"{_TOOL.upper()}_CURRENT_ITEM"] = "notes (call)"
        outer = (f"_{_TOOL}.loop", f"/usr/lib/{_TOOL}/loop.py", "run_items")
        inner = ("notes", str(Path.cwd() / "notes.py"), "show_notes")
    through = _function(*outer, "inner, function, placed, named", "inner(function, placed, named)")
    test_itself = _function(*inner, "function, placed, named", "function(*placed, **named)")
    if dress == TEST:  # what pytest's rewriting of assertions leaves in a module
        test_itself.__globals__.update({"@py_builtins": builtins, "@pytest_ar": sys.modules[_REWRITE]})
    return lambda function, placed, named: through(test_itself, function, placed, named)


def place_of(test: str) -> tuple[str, str]:
    """Return the file and the function that a test's id names, or such as a test could have."""
    file, _, rest = test.partition("::")
    name = rest.partition("[")[0].rpartition("::")[2]
    if not (file.endswith(".py") and name.startswith("test") and name.isidentifier()):
        return "tests/test_it.py", "test_it"
    return file, name


def _call(function: Any, placed: Any, named: Any) -> Any:
    return function(*placed, **named)


def _function(module: str, file: str, name: str, parameters: str, result: str) -> Any:
    names: dict[str, Any] = {"__name__": module, "__file__": file}
    exec(compile(f"def {name}({parameters}):\n    return {result}\n", file, "exec"), names)  # noqa: S102 - our own text
    return names[name]
