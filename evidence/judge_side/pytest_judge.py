"""The judge's part inside the sandbox: run pytest there and report what each test did.

This file is written into a fresh sandbox, outside of the workspace, and executed as
`python3 -I -B pytest_judge.py TREE SOURCE_ROOTS ARGUMENTS…`; assay itself never imports it.
It may use nothing but the standard library and pytest (7.2 to 9).

What it writes on descriptor 3, a line each: `NUMBER MAC JSON`. The MAC is BLAKE2b, keyed with a secret of this one
run that arrives on standard input and is gone before the first judged line loads: the key then exists only inside a
hash object, and no line carries it. Numbers run from 0 without gaps, so that nothing can be added, repeated or left
out.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import os
import sys
import unittest
from collections.abc import Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

REPORT_DESCRIPTOR = 3
MESSAGE_LENGTH = 2000

Emit = Callable[..., None]


def open_channel(key: bytes) -> Emit:
    """Return a function that writes one report line. It holds C functions only, which judged code cannot patch."""
    blank = hashlib.blake2b(key=key, digest_size=20)
    write, getpid, owner, encode = os.write, os.getpid, os.getpid(), json.JSONEncoder(ensure_ascii=True).encode
    os.set_inheritable(REPORT_DESCRIPTOR, False)
    number = 0

    def emit(**fields: Any) -> None:
        nonlocal number
        if getpid() != owner:  # a forked child that came back through pytest is not the run
            return
        text = b"%d %s" % (number, encode(fields).encode())
        mac = blank.copy()
        mac.update(text)
        head, _, body = text.partition(b" ")
        rest = memoryview(head + b" " + mac.hexdigest().encode() + b" " + body + b"\n")
        while rest:
            rest = rest[write(REPORT_DESCRIPTOR, rest) :]
        number += 1

    return emit


def describe(error: BaseException | None, trace: TracebackType | None, tree: str) -> dict[str, str]:
    """Return how a phase went by the exception that ended it: state, kind of failure, message, raising file."""
    if error is None:
        return {"state": "passed"}
    if isinstance(error, (pytest.skip.Exception, unittest.SkipTest)):
        return {"state": "skipped", "message": text_of(error)}
    cause = error if error.__cause__ is None else error.__cause__
    asserted = isinstance(error, (AssertionError, pytest.fail.Exception))
    unimported = isinstance(cause, (ImportError, SyntaxError)) and not asserted
    inside, innermost = "", ""
    trace = cause.__traceback__ if unimported else trace
    while trace is not None:
        innermost = trace.tb_frame.f_code.co_filename
        if innermost.startswith(tree + "/"):
            inside = innermost[len(tree) + 1 :]
        trace = trace.tb_next
    if asserted:
        kind = "assertion"
    elif unimported or (isinstance(error, (AttributeError, NameError)) and innermost == f"{tree}/{inside}"):
        kind = "import"  # a name that is not there, whether it was imported or looked up on a module or an object
    else:
        kind = "error"
    return {"state": "failed", "failure": kind, "message": text_of(cause if unimported else error), "raised_in": inside}


def text_of(error: BaseException) -> str:
    """Return `Type: message`, bounded."""
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - str() of a judged exception is judged code
        text = f"(its message cannot be shown: {type(broken).__name__})"
    return f"{type(error).__name__}: {text}"[:MESSAGE_LENGTH]


def make_control(beside: pytest.Item, name: str) -> pytest.Item:
    """Return a test that must fail, in a new file beside that of another test: what forges results forges its, too."""
    path = beside.path.parent / f"{name}.py"
    path.write_text(f"def {name}():\n    assert {len(name)} == 0\n")
    module = beside.getparent(pytest.Module)
    parent = module.parent if module is not None else beside.session
    made: pytest.Module = pytest.Module.from_parent(parent, path=path)
    control: pytest.Item = pytest.Function.from_parent(made, name=name, callobj=getattr(made.obj, name))
    return control


class Reporter:
    """A pytest plugin that reports what it saw itself, beside what pytest's own reports say."""

    def __init__(self, emit: Emit, tree: str, select: frozenset[str] | None, control: str) -> None:
        self.emit = emit
        self.tree = tree
        self.select = select
        self.control = control
        self.seen: dict[tuple[str, str], dict[str, str]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what was asked for, after everybody else had their say, and add a test that must fail."""
        if self.select is not None:
            items[:] = [item for item in items if item.nodeid in self.select]
        if items:
            items.append(make_control(items[-1], self.control))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Report the ids that are going to run."""
        self.emit(kind="collected", ids=[item.nodeid for item in session.items])

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, None]:
        """Report what could not be collected, and why."""
        result = yield
        report = result.get_result()
        excinfo = getattr(getattr(report, "call", None), "excinfo", None)
        if report.outcome == "failed":
            seen = {"message": str(report.longrepr)[-MESSAGE_LENGTH:], "raised_in": ""}
            if excinfo is not None:
                seen |= describe(excinfo.value, excinfo.tb, self.tree)
            self.emit(
                kind="uncollected", id=report.nodeid, message=seen["message"], raised_in=seen.get("raised_in", "")
            )

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
        """Note how a phase ended before anybody made a report of it."""
        yield
        error = call.excinfo
        self.seen[item.nodeid, call.when] = describe(error and error.value, error and error.tb, self.tree)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Report a phase: what pytest says of it, and what was seen."""
        seen = self.seen.get((report.nodeid, report.when), {"state": "unseen"})
        self.emit(
            kind="phase",
            id=report.nodeid,
            when=report.when,
            outcome=report.outcome,
            xfail=hasattr(report, "wasxfail"),
            sub=hasattr(report, "context"),
            seconds=round(report.duration, 4),
            seen=seen["state"],
            failure=seen.get("failure", "error" if report.outcome == "failed" else "none"),
            message=seen.get("message", "") or (report.longreprtext[-MESSAGE_LENGTH:] if report.failed else ""),
            raised_in=seen.get("raised_in", ""),
        )


def load_part(emit: Emit, tree: str, asked: dict[str, Any]) -> Any:
    """Load a part of the judge that lies beside this file, and return the plugin or the status that it gives."""
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        return importlib.import_module(asked["name"]).take_part(emit, tree, asked)
    finally:
        del sys.path[0]


def main() -> None:
    """Read the task, load what is trusted, and only then open the way for judged code."""
    task = json.loads(sys.stdin.buffer.read())
    emit = open_channel(bytes.fromhex(task.pop("key")))
    leave = os._exit
    tree, source_roots, *arguments = sys.argv[1:]
    control = task["control"]
    select = None if task["select"] is None else frozenset(task["select"])
    # The image is trusted and the tree is not: plugins are those which are found before the tree is on the path.
    plugins = [entry.load() for entry in importlib.metadata.entry_points(group="pytest11")]
    if any(entry.name == "xdist" for entry in importlib.metadata.entry_points(group="pytest11")):
        arguments += ["-n", "0"]
    emit(kind="start", pytest=pytest.__version__, python=sys.version.split()[0])
    sys.argv[:] = ["pytest", *arguments]
    # What is trusted came from the image's own byte code; of the tree's, none is read from here on.
    sys.pycache_prefix = str(Path(__file__).with_name("bytecode"))
    part = load_part(emit, tree, task["part"]) if "part" in task else None
    sys.path[:0] = [path for path in source_roots.split(":") if Path(path).is_dir()]
    del task
    if isinstance(part, int):
        status = part
    else:
        plugins += [] if part is None else [part]
        status = int(pytest.main(arguments, plugins=[*plugins, Reporter(emit, tree, select, control)]))
    emit(kind="end", status=status)
    sys.stdout.flush()
    sys.stderr.flush()
    leave(status)  # what judged code left for the interpreter's end has no say any more


if __name__ == "__main__":
    main()
