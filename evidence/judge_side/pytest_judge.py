"""The judge's part inside the sandbox: run pytest there and report what each test did.

This file is written into a fresh sandbox, outside of the workspace, and executed as
`python3 -s -B pytest_judge.py TREE SOURCE_ROOTS ARGUMENTS…`; assay itself never imports it.
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
import threading
import unittest
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType, TracebackType
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


def place_of(order: str, test: str) -> tuple[bytes, ...]:
    """Return where a test comes in another order: files, classes and tests change places, none leaves its own."""
    parts = test.split("::")
    heads = ("::".join(parts[: n + 1]) for n in range(len(parts)))
    return tuple(hashlib.blake2b(f"{order} {head}".encode(), digest_size=8).digest() for head in heads)


class Tracer:
    """Notes by which test something of each part of the program was executed, in this process and all its threads."""

    def __init__(self, trace: list[tuple[str, list[tuple[int, int, str]]]]) -> None:
        self.parts: dict[str, dict[int, list[str]]] = {path: {} for path, _ in trace}
        for path, ranges in trace:
            for first, last, part in ranges:
                for number in range(first, last + 1):
                    self.parts[path].setdefault(number, []).append(part)
        self.touched: dict[str, set[str]] = {}
        self.now = ""
        self.enter = self.watch  # one object, so that it can be told whether it is still in its place

    def watch(self, frame: FrameType, event: str, arg: Any) -> Callable[..., Any] | None:
        """Follow the frames of files that hold a part."""
        parts = self.parts.get(frame.f_code.co_filename)
        if parts is None:
            return None
        touched = self.touched.setdefault(self.now, set())

        def step(frame: FrameType, event: str, arg: Any) -> Callable[..., Any]:
            touched.update(parts.get(frame.f_lineno, ()))
            return step

        return step(frame, event, arg)

    def arm(self) -> None:
        """Watch, also after judged code has put another in this place."""
        if self.parts and sys.gettrace() is not self.enter:
            sys.settrace(self.enter)
            threading.settrace(self.enter)

    def disarm(self) -> None:
        """Watch no more."""
        if self.parts:
            sys.settrace(None)
            threading.settrace(None)


class Reporter:
    """A pytest plugin that reports what it saw itself, beside what pytest's own reports say."""

    def __init__(self, emit: Emit, tree: str, task: dict[str, Any]) -> None:
        self.emit = emit
        self.tree = tree
        self.select = None if task["select"] is None else frozenset(task["select"])
        self.control: str = task["control"]
        self.order: str = task["order"]
        self.until = [frozenset(ids) for ids in task["until"]]
        self.tracer = Tracer(task["trace"])
        self.items: list[pytest.Item] = []
        self.seen: dict[tuple[str, str], dict[str, str]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what was asked for, after everybody else had their say, and add a test that must fail."""
        if self.select is not None:
            items[:] = [item for item in items if item.nodeid in self.select]
        if self.order:
            items.sort(key=lambda item: place_of(self.order, item.nodeid))
        if items:
            items.append(make_control(items[-1], self.control))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Report the ids that are going to run."""
        self.items = session.items
        self.emit(kind="collected", ids=[item.nodeid for item in session.items])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note which test it is that executes what is executed from now on."""
        self.tracer.now = nodeid
        self.tracer.arm()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Watch, also after a fixture has put another tracer in this place."""
        self.tracer.arm()

    def end_early(self, failed: str) -> None:
        """Leave out what is not needed once of each group one test has failed: the next one runs, and the judge's."""
        if self.until:
            self.until = [ids for ids in self.until if failed not in ids]
            place = next((n for n, item in enumerate(self.items) if item.nodeid == failed), None)
            if not self.until and place is not None:
                del self.items[place + 2 : -1]  # pytest has the next one in its hands already

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
        if report.failed:
            self.end_early(report.nodeid)


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
    # The image is trusted and the tree is not: plugins are those which are found before the tree is on the path.
    plugins = [entry.load() for entry in importlib.metadata.entry_points(group="pytest11")]
    if any(entry.name == "xdist" for entry in importlib.metadata.entry_points(group="pytest11")):
        arguments += ["-n", "0"]
    emit(kind="start", pytest=pytest.__version__, python=sys.version.split()[0])
    sys.argv[:] = ["pytest", *arguments]
    # What is trusted came from the image's own byte code; of the tree's, none is read from here on.
    sys.pycache_prefix = str(Path(__file__).with_name("bytecode"))
    sys.path.remove(str(Path(__file__).parent))  # where this file lies; tests can write there
    os.environ["PYTHONPATH"] = source_roots  # of what tests start, and not of this process
    part = load_part(emit, tree, task["part"]) if "part" in task else None
    sys.path[:0] = [path for path in source_roots.split(":") if Path(path).is_dir()]
    reporter = Reporter(emit, tree, task)
    del task
    if isinstance(part, int):
        status = part
    else:
        plugins += [] if part is None else [part]
        reporter.tracer.arm()
        status = int(pytest.main(arguments, plugins=[*plugins, reporter]))
        reporter.tracer.disarm()
        emit(kind="touched", tests={test: sorted(parts) for test, parts in reporter.tracer.touched.items()})
    emit(kind="end", status=status)
    sys.stdout.flush()
    sys.stderr.flush()
    leave(status)  # what judged code left for the interpreter's end has no say any more


if __name__ == "__main__":
    main()
