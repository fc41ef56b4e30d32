"""What a case of the conformance suite is, what it sees, and how it can come out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from assay.records.base import Record
from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.sandboxes.protocol import Sandbox, SandboxProvider

OWNER: Final = SandboxOwner(run="check-conformance", role="check", step="conformance")


class Passed(Record):
    """The provider does what the case asks."""

    case: str


class Failed(Record):
    """The provider does something else."""

    case: str
    reason: str


class Unsupported(Record):
    """The provider does not claim what the case is about: it isolates nothing."""

    case: str


Outcome = Passed | Failed | Unsupported


class Violation(Exception):
    """A sandbox did something else than it must."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a case looks at."""

    provider: SandboxProvider
    profile: SandboxProfile
    sandbox: Sandbox
    """A fresh one of that profile, closed after the case."""


Check = Callable[[Subject], Awaitable[None]]
AnyCheck = TypeVar("AnyCheck", bound=Check)


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that a sandbox must do. Its name is the function's, its meaning the docstring."""

    check: Check
    isolation: bool
    """Whether it needs a kernel that keeps processes apart, and real programs."""
    changes: dict[str, Any]
    """Fields of the profile that it needs otherwise than they are."""

    @property
    def name(self) -> str:
        """Name of the case."""
        return getattr(self.check, "__name__", "case")


def case(*, isolation: bool = False, **changes: Any) -> Callable[[AnyCheck], AnyCheck]:
    """Mark a function as a case; `changes` are fields of the profile that it needs otherwise."""

    def mark(check: AnyCheck) -> AnyCheck:
        check.case = Case(check, isolation, changes)  # type: ignore[attr-defined]
        return check

    return mark


def expect(held: bool, what: str) -> None:
    """Raise Violation, saying `what`, unless it held."""
    if not held:
        raise Violation(what)


def expect_equal(got: object, wanted: object, what: str) -> None:
    """Raise Violation unless both are equal."""
    if got != wanted:
        raise Violation(f"{what}: got {got!r}, wanted {wanted!r}")


async def expect_raises(kinds: type[BaseException], action: Awaitable[object], what: str) -> BaseException:
    """Return the error that `action` raises; raise Violation when it raises none."""
    try:
        got = await action
    except kinds as error:
        return error
    raise Violation(f"{what}: wanted {kinds.__name__}, got {got!r}")
