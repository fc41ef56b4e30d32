"""The gates of a policy, held against a change that exists already."""

from __future__ import annotations

import secrets
from pathlib import Path

from assay.app.service import CHECK
from assay.app.wiring import House
from assay.evidence.gates import PolicyGates
from assay.policies.gates import GateResult
from assay.policies.settings import Settings


async def judge_change(
    house: House, repo: Path, base: str, head: str, settings: Settings
) -> tuple[str, tuple[GateResult, ...]]:
    """Return the id under which the ledger holds it, and what each gate says of a change.

    Raises ConfigurationError where a gate needs what is not installed, RepositoryError for a revision that there is
    not.
    """
    run = f"{CHECK}gates-{secrets.token_hex(4)}"
    refs = f"refs/assay/checks/{run}"
    start = await house.git.adopt(repo, base, f"{refs}/base")
    end = await house.git.adopt(repo, head, f"{refs}/head", since=start)
    needed = any(gate.command or gate.kind == "imports" for gate in settings.gates.values())
    if needed:
        settings = await house.provided(settings, start, {settings.proof.sandbox})
    gates = PolicyGates(git=house.git, ledger=house.ledger, sandboxes=house.sandboxes, settings=settings)
    return run, await gates.judge(run, "change", start, end)
