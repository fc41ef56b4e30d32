"""What every sandbox must do, as a suite that any provider can be put through.

A host that brings its own provider runs `check_all` in its tests, as assay runs it on Docker and on the fake.
"""

from __future__ import annotations

from assay.errors import AssayError
from assay.records.sandboxes import SandboxProfile
from assay.sandboxes.conformance import behaviour, isolation, trees
from assay.sandboxes.conformance.cases import OWNER, Case, Failed, Outcome, Passed, Subject, Unsupported, Violation
from assay.sandboxes.protocol import SandboxProvider


async def check_case(case: Case, provider: SandboxProvider, profile: SandboxProfile, *, isolates: bool) -> Outcome:
    """Run one case on a fresh sandbox.

    Args:
        case: one of `cases()`.
        provider: where the sandbox comes from.
        profile: its image must have `sh`, coreutils and procps's or busybox's `kill`.
        isolates: whether the provider claims isolation; False makes cases of isolation `Unsupported`.
    """
    if case.isolation and not isolates:
        return Unsupported(case=case.name)
    wanted = profile.model_copy(update=case.changes)
    try:
        async with await provider.open(wanted, OWNER) as sandbox:
            subject = Subject(provider, wanted, sandbox)
            if case.isolation:
                await isolation.expect_real(subject)
            await case.check(subject)
    except (Violation, AssayError, OSError, ValueError) as error:
        return Failed(case=case.name, reason=f"{type(error).__name__}: {error}")
    return Passed(case=case.name)


async def check_all(provider: SandboxProvider, profile: SandboxProfile, *, isolates: bool) -> tuple[Outcome, ...]:
    """Run every case, one after the other."""
    return tuple([await check_case(case, provider, profile, isolates=isolates) for case in cases()])


def cases() -> tuple[Case, ...]:
    """Return every case, those of behaviour first."""
    modules = (behaviour, trees, isolation)
    found = [getattr(value, "case", None) for module in modules for value in vars(module).values()]
    return tuple(one for one in found if isinstance(one, Case))
