"""JUnit's XML, as test runners write it: from bytes that judged code may have written to cases that were reported.

There is no standard; what is read is what Ant's, Surefire's, pytest's and Node's files have in common: `testsuite`
elements, nested or not, with `testcase` elements that hold `failure`, `error` or `skipped`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal
from xml.parsers import expat

_DEEPEST: Final = 200
_MOST_CASES: Final = 200_000
_MESSAGE: Final = 2000
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_BAD: Final = ("skipped", "error", "failure")
"""In the order in which they count where several are there: a test that is expected to fail is skipped."""


@dataclass(kw_only=True, slots=True)
class XmlCase:
    """One `testcase`, as the file has it."""

    name: str
    classname: str
    file: str
    """Its own attribute, or that of the suite around it; empty where neither has one."""
    suites: tuple[str, ...]
    """Names of the suites around it, the outermost first."""
    seconds: float
    result: Literal["passed", "failure", "error", "skipped"] = "passed"
    message: str = ""
    """Of what is not `passed`: type and message."""
    text: str = ""
    """The text inside of it, bounded: a trace, mostly."""


@dataclass(slots=True)
class _Reading:
    cases: list[XmlCase] = field(default_factory=list)
    suites: list[tuple[str, str]] = field(default_factory=list)
    case: XmlCase | None = None
    inside: str = ""
    depth: int = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError("its elements are nested too deeply")
        if name == "testsuite":
            above = self.suites[-1][1] if self.suites else ""
            self.suites.append((attributes.get("name", ""), attributes.get("file", "") or above))
        elif name == "testcase":
            if len(self.cases) == _MOST_CASES:
                raise ValueError(f"it has more than {_MOST_CASES:,} cases")
            self.case = XmlCase(
                name=attributes.get("name", ""),
                classname=attributes.get("classname", ""),
                file=attributes.get("file", "") or (self.suites[-1][1] if self.suites else ""),
                suites=tuple(suite for suite, _ in self.suites),
                seconds=_seconds(attributes.get("time", "")),
            )
            self.cases.append(self.case)
        elif self.case is not None and name in _BAD:
            self._result(self.case, name, attributes)

    def _result(self, case: XmlCase, name: str, attributes: dict[str, str]) -> None:
        known = _BAD.index(case.result) if case.result != "passed" else len(_BAD)
        if _BAD.index(name) > known:
            return
        case.result = name  # type: ignore[assignment]  # one of `_BAD`
        told = (attributes.get("type", ""), attributes.get("message", ""))
        case.message = ": ".join(part for part in told if part)[:_MESSAGE]
        case.text = ""
        self.inside = name

    def end(self, name: str) -> None:
        self.depth -= 1
        if name == "testsuite" and self.suites:
            self.suites.pop()
        elif name == "testcase":
            self.case = None
        elif name == self.inside:
            self.inside = ""

    def data(self, text: str) -> None:
        if self.case is not None and self.inside and len(self.case.text) < _MESSAGE * 4:
            self.case.text += text


def _refuse(*_: object) -> None:
    raise ValueError("it declares entities, which no runner does")


def _seconds(text: str) -> float:
    try:
        number = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return number if 0 <= number < 1e9 else 0.0


def read_cases(data: bytes) -> tuple[XmlCase, ...]:
    """Return the cases of a file, in its order; raises ValueError, in words, for what is no such file.

    Control characters, which XML cannot hold and runners write all the same, are taken for question marks.
    """
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reading.start, reading.end
    parser.CharacterDataHandler, parser.EntityDeclHandler = reading.data, _refuse
    try:
        parser.Parse(_CONTROL.sub(b"?", data), True)
    except expat.ExpatError as error:
        raise ValueError(f"it is no XML: {error}") from error
    return tuple(reading.cases)
