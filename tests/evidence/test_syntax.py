"""Python's text as data."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from assay.evidence.syntax import parse, parse_own, read_literal

DEEP = ("x = " + "(" * 40 + "1" + "+1)" * 40 + "\n") * 50
AFFECTED = sys.version_info < (3, 11, 8)  # 3.11.7 was seen to be


class Garbage:
    """Dies by the collector alone, and lets other threads go on while it does."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        for _ in range(200):
            pass


@pytest.fixture
def eager() -> Iterator[None]:
    """Threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def mismatches(read: Callable[[str], object]) -> int:
    """Return how often reading in three threads ends with an error of the interpreter's."""
    found: list[str] = []

    def work() -> None:
        for _ in range(15):
            for _ in range(50):
                Garbage()
            try:
                read(DEEP)
            except SystemError as error:
                found.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(found)


@pytest.mark.usefixtures("eager")
def test_threads_do_not_disturb_each_other() -> None:
    """Several proofs read syntax at once; the control is the interpreter without the lock, where it has the defect."""
    assert mismatches(parse_own) == 0
    if AFFECTED:
        assert mismatches(ast.parse) > 0


def test_what_is_no_python_has_no_tree() -> None:
    """Neither has what nests deeper than anybody's honest code; a literal that is none raises."""
    assert parse(b"x = 1\n") is not None
    assert parse(b"x = (\n") is None and parse(b"x = 1\0") is None
    assert parse(("-" * 200 + "1").encode()) is None
    assert read_literal("[1, {'a': (2.5, None)}]") == [1, {"a": (2.5, None)}]
    with pytest.raises(ValueError, match="malformed"):
        read_literal("f(1)")
