"""Which sandboxes there are on an engine: whose they are, whether their owner lives, and what they use."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal

from assay.errors import EngineUnavailable, SandboxLost
from assay.records.base import Record
from assay.sandboxes.engine import Engine
from assay.sandboxes.owners import LABEL, REMOVING, OwnerProcess, held_profile, is_left_over, read_owner, read_process


class HeldSandbox(Record):
    """A container of assay's."""

    id: str
    name: str
    run: str
    """Empty for one that is kept ready and has no owner yet."""
    role: str
    step: str
    image: str
    """Id of what it was made from, the supervisor included."""
    state: str
    """As the engine has it: `running`, `created`, `exited`, …"""
    seconds: int
    """Since it was made."""
    owner: Literal["alive", "dead", "elsewhere"]
    """The process that made it; of another host's nothing is known."""
    process: int | None
    """Number of that process on its host."""
    left_over: bool
    """Whether `assay sandbox prune` removes it: its owner is dead, or its time is over."""
    holds_work: bool
    """Whether it may hold work that is no commit yet; that is kept before it is removed."""
    memory: int | None
    """Bytes of memory, files in it included; None where it does not run."""


async def list_sandboxes(engine: Engine) -> tuple[HeldSandbox, ...]:
    """Return the sandboxes on an engine, oldest first; raises EngineUnavailable."""
    everything = await engine.call("containers", all=True, filters={"label": LABEL})
    listed = [one for one in everything if one["State"] != REMOVING]
    process = OwnerProcess.current()
    memory = await asyncio.gather(*(_memory(engine, one) for one in listed))
    found = [_describe(one, used, process) for one, used in zip(listed, memory, strict=True)]
    return tuple(sorted(found, key=lambda one: (-one.seconds, one.id)))


def _describe(listed: dict[str, Any], memory: int | None, seen_from: OwnerProcess) -> HeldSandbox:
    labels: dict[str, str] = listed.get("Labels") or {}
    name = str(next(iter(listed.get("Names") or ()), "")).lstrip("/")
    owner, made = read_owner(labels, name), read_process(labels)
    dead = made is not None and made[0].is_dead(seen_from)
    here = made is not None and made[0].host == seen_from.host
    try:
        holds_work = held_profile(labels, name) is not None
    except ValueError:
        holds_work = True  # what it was made of cannot be read, and that it holds work can
    return HeldSandbox(
        id=listed["Id"][:12],
        name=name,
        run=owner.run,
        role=owner.role,
        step=owner.step,
        image=listed["ImageID"],
        state=listed["State"],
        seconds=max(0, int(time.time() - listed["Created"])),
        owner="dead" if dead else "alive" if here else "elsewhere",
        process=made[0].pid if made is not None else None,
        left_over=is_left_over(labels, seen_from),
        holds_work=holds_work,
        memory=memory,
    )


async def _memory(engine: Engine, listed: dict[str, Any]) -> int | None:
    if listed["State"] != "running":
        return None
    try:
        told = await engine.call("stats", listed["Id"], stream=False, one_shot=True)
    except (SandboxLost, EngineUnavailable):  # it has ended meanwhile, or while it was asked: an answer without a body
        return None
    used = (told.get("memory_stats") or {}).get("usage")
    return int(used) if used is not None else None
