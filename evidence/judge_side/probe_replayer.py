"""The judge's replayer inside the sandbox (S11): does calls again, without any tests, and reports what they answer.

This file is written into a fresh sandbox beside the launcher, which loads it and never loads judged code itself. Each
pass is done by a process that runs this file and forks for each module; that child imports the module, and forks for
each call. The launcher's process collects the answers and reports them. An answer is judged code's own word for what it
does. Nothing is used but the standard library, and pytest where calls are done as if a test ran.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from ast import literal_eval
from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import signature
from itertools import islice
from json import dumps, loads
from os import _exit, close, fork, kill, killpg, pipe, read, setsid, waitpid, write  # judged code may replace os's own
from pathlib import Path
from select import select
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from assay.evidence.judge_side.probe_dress import (
        PLAIN,
        TEST,
        Calling,
        calling_for,
        passes_of,
        put_on,
        variables_for,
        within,
    )
    from assay.evidence.judge_side.probe_values import LONGEST, NotPlain, literal
else:
    from probe_dress import PLAIN, TEST, calling_for, passes_of, put_on, variables_for, within
    from probe_values import LONGEST, NotPlain, literal  # it lies beside this file in the sandbox

MOST_ITEMS: Final = 200
"""Items that are taken from an iterator."""
CALL_SECONDS: Final = 2.0
IMPORT_SECONDS: Final = 20
MOST_LATE: Final = 2
"""Calls of one function that may take too long; its others are not tried after that."""
MEMORY: Final = 1 << 30
"""Bytes of address space that a call may add."""
NO_TESTS: Final = 5
"""Status of a run in which there are no tests, as pytest counts."""

Emit = Callable[..., None]


def replay(emit: Emit, about: dict[str, Any]) -> int:
    """Do calls again, each module's in processes of their own, and report every answer; return the status."""
    until = monotonic() + about["seconds"]
    groups: dict[str, list[dict[str, Any]]] = {}
    for call in about["calls"]:
        groups.setdefault(call["module"], []).append(call)
    passes = passes_of(about["passes"]) if about["dressed"] else [(PLAIN, n) for n in range(about["passes"])]
    for dress, number in passes:
        answers = ask(about["paths"], groups, dress, number, until)
        unanswered = "unasked" if monotonic() > until else "died"
        for call in about["calls"]:
            kind, text = answers.get(call["id"], (unanswered, ""))
            emit(kind="observed", call=call, answer=[kind, text], dressed=dress == TEST)
    return NO_TESTS


def ask(
    paths: list[str], groups: dict[str, list[dict[str, Any]]], dress: str, number: int, until: float
) -> dict[int, tuple[str, str]]:
    """Return the answers to calls, by id, from a process with a hash seed of its own."""
    reading, writing = pipe()
    argv = [sys.executable, "-B", "-s", __file__, str(writing), *paths]
    environment = {**variables_for(dress, dict(os.environ)), "PYTHONHASHSEED": str(number)}
    import_path = environment.pop("PYTHONPATH", "")
    worker = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        pass_fds=(writing,),
        start_new_session=True,
    )
    close(writing)
    task = {"groups": groups, "dress": dress, "path": import_path, "seconds": max(0.0, until - monotonic())}
    try:
        if worker.stdin is not None:
            worker.stdin.write(dumps(task).encode())
            worker.stdin.close()
    except BrokenPipeError:
        pass  # it is gone, and answers nothing
    count = sum(map(len, groups.values()))
    said = take(reading, until + CALL_SECONDS, 4 * LONGEST * (count + 1))
    close(reading)
    with contextlib.suppress(ProcessLookupError):  # it has ended
        killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    return dict(parse(said))


def take(descriptor: int, until: float, most: int) -> bytes:
    """Return what is written to a pipe until it is closed, a time on the monotonic clock, or this many bytes."""
    taken = b""
    while len(taken) < most:
        ready, _, _ = select([descriptor], [], [], max(0.0, until - monotonic()))
        data = read(descriptor, 65_536) if ready else b""
        if not data:
            break
        taken += data
    return taken


def parse(said: bytes) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield the answers among what judged code may have written as well."""
    for line in said.split(b"\n"):
        try:
            known, kind, text = loads(line)
        except (ValueError, TypeError, RecursionError):
            continue
        if type(known) is int and type(kind) is str and type(text) is str and len(text) <= 3 * LONGEST:
            yield known, (kind, text)


def work() -> None:
    """Be the process that forks for each module."""
    answers, paths = int(sys.argv[1]), sys.argv[2:]
    task = loads(sys.stdin.buffer.read())
    here = str(Path(__file__).parent)
    put_on(task["dress"])
    sys.path[:] = [*paths, *(path for path in sys.path if path not in (here, ""))]
    os.environ["PYTHONPATH"] = task["path"]
    until = monotonic() + task["seconds"]

    def do_groups() -> None:
        for module, calls in task["groups"].items():
            child = fork()
            if child == 0:
                do_calls(answers, module, calls, task["dress"], until)
                _exit(0)
            waitpid(child, 0)

    within(task["dress"], do_groups)
    _exit(0)


def do_calls(answers: int, name: str, calls: list[dict[str, Any]], dress: str, until: float) -> None:
    """Import one module and fork for each call of it."""
    late: dict[str, int] = {}
    signal.alarm(IMPORT_SECONDS)
    try:
        module: object = calling_for(dress, calls[0]["test"])(import_module, (name,), {})
    except BaseException as error:  # noqa: BLE001 - whatever judged code raises while it is imported
        module, trouble = None, type(error).__name__
    signal.alarm(0)
    for call in calls:
        function = call["name"]
        if module is None:
            answer = ("unimported", trouble)
        elif monotonic() > until:
            answer = ("unasked", "")
        elif late.get(function, 0) >= MOST_LATE:
            answer = ("late", "")
        else:
            answer = in_a_child(module, call, dress)
            late[function] = late.get(function, 0) + (answer[0] == "late")
        write(answers, dumps([call["id"], *answer]).encode() + b"\n")


def in_a_child(module: object, call: dict[str, Any], dress: str) -> tuple[str, str]:
    """Return what a call answers; whatever it does to its process is gone afterwards."""
    reading, writing = pipe()
    child = fork()
    if child == 0:
        setsid()
        close(reading)
        limit_memory()
        kind, text = answer_of(module, call, calling_for(dress, call["test"]))
        write(writing, dumps([0, kind, text]).encode())
        _exit(0)
    close(writing)
    until = monotonic() + CALL_SECONDS
    said = take(reading, until, 8 * LONGEST)
    close(reading)
    try:
        killpg(child, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        kill(child, signal.SIGKILL)  # it has not come to its own session yet, or has ended and waits for us
    waitpid(child, 0)
    found = dict(parse(said))
    return found.get(0, ("late" if monotonic() > until else "died", ""))


def limit_memory() -> None:
    """Let a call fail that wants far too much, and not the sandbox."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))


def answer_of(module: object, call: dict[str, Any], calling: Calling) -> tuple[str, str]:
    """Return the kind of a call's answer, and what it is."""
    try:
        function: Any = resolve(module, call["name"], call["made"], calling)
    except AttributeError:
        return "missing", ""
    except BaseException as error:  # noqa: BLE001 - making the object is judged code
        return "unmade", type(error).__name__
    if call["before"]:
        call_first(function, call["before"], calling)
    placed, named = literal_eval(call["arguments"])
    try:
        signature(function).bind(*placed, **named)
    except TypeError:
        return "unbound", ""
    except ValueError:
        pass  # some have no signature
    try:
        result = calling(function, placed, named)
        kind = "value"
        if hasattr(type(result), "__next__"):
            kind, result = "items", calling(list, (islice(result, MOST_ITEMS),), {})
    except (RecursionError, MemoryError):
        return "exhausted", ""
    except BaseException as error:  # noqa: BLE001 - what judged code raises is its answer
        return "raised", " ".join(f"{t.__module__}.{t.__qualname__}" for t in type(error).__mro__)[: 2 * LONGEST]
    try:
        return kind, f"({literal(result)}, {literal([placed, named])})"
    except NotPlain:
        return "opaque", type(result).__name__


def call_first(function: Any, arguments: str, calling: Calling) -> None:
    """Call a function and take everything from an iterator that it gives; whatever comes of it is not asked."""
    placed, named = literal_eval(arguments)
    try:
        result = calling(function, placed, named)
        if hasattr(type(result), "__next__"):
            calling(list, (islice(result, MOST_ITEMS),), {})
    except BaseException:  # noqa: BLE001, S110 - what judged code raises here is asked for by a call of its own
        pass


def resolve(module: object, name: str, made: str, calling: Calling) -> Any:
    """Return the function of this name; for a method, of an object that is made with these arguments."""
    *owners, last = name.split(".")
    found: Any = module
    for owner in owners:
        found = getattr(found, owner)
    if made:
        placed, named = literal_eval(made)
        getattr(found, last)  # whether it is missing is asked before anything is made
        found = calling(found, placed, named)
    return getattr(found, last)


def take_part(emit: Emit, _: str, asked: dict[str, Any]) -> int:
    """Do the calls and return the status."""
    return replay(emit, asked)


if __name__ == "__main__":
    work()
