"""The judge's recorder inside the sandbox (S11): notes which calls the tests make of the program's public functions.

This file is written into a fresh sandbox beside the launcher, which loads it before any judged code. It may use nothing
but the standard library.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pytest

    from assay.evidence.judge_side.probe_values import NotPlain, literal
else:
    from probe_values import NotPlain, literal  # it lies beside this file in the sandbox

MOST_CALLS: Final = 12
"""Calls kept of each function."""
MOST_FUNCTIONS: Final = 1_000
MOST_LOOKS: Final = 400
"""Calls of each function that are looked at, whether they are kept or not."""
MOST_OBJECTS: Final = 20_000
MOST_TESTS: Final = 4
"""Files of tests that are noted for each call; one test of each."""

Emit = Callable[..., None]


class Target:
    """A public function that can be called again by its name, and what was noted of it."""

    def __init__(self, module: str, file: str, name: str, form: str, line: int, defaults: int) -> None:
        self.fields: dict[str, Any] = {
            "module": module,
            "file": file,
            "name": name,
            "form": form,
            "line": line,
            "defaults": defaults,
        }
        self.calls: dict[tuple[str, str, str], dict[str, str]] = {}
        """Each with the tests that made it, one of each file."""
        self.looks = 0
        self.left_out = 0


class Recorder:
    """A pytest plugin that notes the plain arguments of the program's public functions while tests run.

    It looks at frames as they are entered and replaces nothing, so that code which compares, patches or inspects
    functions finds its own.
    """

    def __init__(self, emit: Emit, tree: str, files: Iterable[str]) -> None:
        self.emit = emit
        self.tree = tree
        self.files = frozenset(f"{tree}/{file}" for file in files)
        self.targets: dict[CodeType, Target | None] = {}
        """What is looked at; `None` is nothing any more."""
        self.found: list[Target] = []
        self.made: dict[int, tuple[type, str]] = {}
        self.left_out = 0
        self.test = ""

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin to look, also where the test before it put something else in this place."""
        self.test = item.nodeid
        sys.setprofile(self.look)

    def pytest_sessionfinish(self) -> None:
        """Report everything."""
        sys.setprofile(None)
        inside = [path for path in sys.path if f"{path}/".startswith(f"{self.tree}/")]
        self.emit(kind="observed", paths=inside, left_out=self.left_out)
        for target in self.found:
            if target.calls or target.left_out:
                tests = [list(made_by.values()) for made_by in target.calls.values()]
                fields = {**target.fields, "calls": list(target.calls), "tests": tests}
                self.emit(kind="observed", **fields, left_out=target.left_out)

    def look(self, frame: FrameType, event: str, _: object) -> None:
        """Note a call. The interpreter calls this for no frame that it enters here itself."""
        if event == "call" and self.targets.get(frame.f_code, self) is not None:
            try:
                self.look_at_call(frame)
            except Exception:  # noqa: BLE001 - attributes may be judged code, whose errors its caller must not see
                self.left_out += 1

    def look_at_call(self, frame: FrameType) -> None:
        """Note a call of whatever is public, or how an object is made."""
        code = frame.f_code
        if code.co_name == "__init__":
            self.look_at_new(frame)
            return
        if code not in self.targets:
            self.targets[code] = None  # also where looking for it fails
            if len(self.found) < MOST_FUNCTIONS and (found := self.find(frame)) is not None:
                self.targets[code] = found
                self.found.append(found)
        target = self.targets[code]
        if target is None or frame.f_lineno != code.co_firstlineno:
            return  # a generator that goes on is no call
        target.looks += 1
        try:
            made_by = target.calls.setdefault(self.call_of(frame, target), {})
            if len(made_by) < MOST_TESTS:
                made_by.setdefault(self.test.partition("::")[0], self.test)
        except NotPlain:
            target.left_out += 1
        if len(target.calls) >= MOST_CALLS or target.looks >= MOST_LOOKS:
            self.targets[code] = None

    def look_at_new(self, frame: FrameType) -> None:
        """Note how an object of the program's was made, so that its methods can be called again."""
        if frame.f_globals.get("__file__") not in self.files or len(self.made) >= MOST_OBJECTS:
            self.targets[frame.f_code] = None
            return
        owner = frame.f_locals.get(next(iter(frame.f_code.co_varnames), ""))
        if getattr(getattr(type(owner), "__init__", None), "__code__", None) is frame.f_code:
            try:
                self.made[id(owner)] = (type(owner), literal(arguments(frame, 1)))
            except NotPlain:
                self.made.pop(id(owner), None)

    def find(self, frame: FrameType) -> Target | None:
        """Return what this code is called in its module; None where it is private, or has no name to call it by."""
        names, code = frame.f_globals, frame.f_code
        file, module = names.get("__file__"), str(names.get("__name__"))
        if file not in self.files or any(part.startswith("_") for part in (*module.split("."), code.co_name)):
            return None
        if getattr(sys.modules.get(module), "__dict__", None) is not names:
            return None
        if (found := form_of(names.get(code.co_name), code)) is not None:
            return self.target(module, code, code.co_name, "function", found)
        for owner, held in list(names.items()):
            if isinstance(held, type) and held.__module__ == module and not owner.startswith("_"):
                member = held.__dict__.get(code.co_name)
                form = type(member).__name__ if isinstance(member, (staticmethod, classmethod)) else "method"
                if (found := form_of(getattr(member, "__func__", member), code)) is not None:
                    return self.target(module, code, f"{owner}.{code.co_name}", form, found)
        self.left_out += 1
        return None

    def target(self, module: str, code: CodeType, name: str, form: str, function: Any) -> Target:
        """Return a new target."""
        file, defaults = code.co_filename[len(self.tree) + 1 :], function.__defaults__ or ()
        return Target(module, file, name, form, code.co_firstlineno, len(defaults))

    def call_of(self, frame: FrameType, target: Target) -> tuple[str, str, str]:
        """Return the name of a call, how its object was made, and its arguments; raises NotPlain."""
        name, form = target.fields["name"], target.fields["form"]
        if form != "method":
            return name, "", literal(arguments(frame, 1 if form == "classmethod" else 0))
        owner = frame.f_locals.get(next(iter(frame.f_code.co_varnames), ""))
        kind = type(owner)
        if (
            kind.__module__ != target.fields["module"]
            or vars(sys.modules[kind.__module__]).get(kind.__name__) is not kind
        ):
            raise NotPlain
        made = self.made.get(id(owner), (kind, "((), {})"))
        if made[0] is not kind or (id(owner) not in self.made and kind.__init__ is not object.__init__):
            raise NotPlain
        return f"{kind.__name__}.{frame.f_code.co_name}", made[1], literal(arguments(frame, 1))


def form_of(found: object, code: CodeType) -> Any:
    """Return the function with this code that a name leads to, also through decorators; None where it does not."""
    for _ in range(5):
        if getattr(found, "__code__", None) is code:
            return found
        found = getattr(found, "__wrapped__", None)
    return None


def arguments(frame: FrameType, skipped: int) -> tuple[tuple[object, ...], dict[str, object]]:
    """Return the arguments of a frame that was just entered, by position where they have one."""
    code, values = frame.f_code, frame.f_locals
    count = code.co_argcount
    names = code.co_varnames
    placed = [values[name] for name in names[skipped:count]]
    only = {name: values[name] for name in names[count : count + code.co_kwonlyargcount]}
    rest = names[count + code.co_kwonlyargcount :]
    if code.co_flags & inspect.CO_VARARGS:
        placed += values[rest[0]]
        rest = rest[1:]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        only |= values[rest[0]]
    return tuple(placed), only


def take_part(emit: Emit, tree: str, asked: dict[str, Any]) -> Recorder:
    """Return the plugin that notes calls of the functions in these files."""
    return Recorder(emit, tree, asked["files"])
