"""`assay policy check`, `assay policy show`."""

from __future__ import annotations

import json
from pathlib import Path

from assay.app.configuration import Around, look_up_policy, preset_text
from assay.cli.sessions import run_session
from assay.cli.streams import Streams
from assay.errors import ConfigurationError, UsageError
from assay.policies.effective import print_policy
from assay.policies.rules import RuleBook
from assay.policies.rulings import place_path
from assay.reports.untrusted import make_visible


def explain_rule(
    command: str, *, role: str, tool: str, repo: Path, config: Path | None, around: Around, state: Path | None
) -> None:
    """Print what the policy decides, by which rule, and where the rule stands."""
    arguments = _arguments(tool, command)

    async def work(streams: Streams) -> None:
        found = await look_up_policy(repo, config, root=state, around=around)
        if role not in found.settings.agents:
            known = ", ".join(sorted(found.settings.agents))
            raise ConfigurationError(f"there is no role {role!r} in {found.source}", next_step=f"it has {known}")
        book = RuleBook(found.settings.role(role).rules, origin=f"agents.{role}.rules")
        decision = book.decide(tool, arguments)
        lines = [f"{decision.outcome}: {decision.reason}", f"  rule:  {decision.rule or 'none'}"]
        if decision.place:
            lines.append(f"  place: {decision.place}, {found.policy.origin(place_path(role, decision.place))}")
        lines.append(f"  from:  {found.source}")
        lines += [f"  part:  {decision.part}"] if decision.part else []
        for line in lines:
            streams.page.print(make_visible(line), soft_wrap=True)

    run_session(work)


def show_policy(*, effective: bool, repo: Path, config: Path | None, around: Around, state: Path | None) -> None:
    """Print a preset, or the layers of a repository's policy, or what they come to.

    Raises UsageError where a preset alone is printed, and options name other layers.
    """
    others = {"--set": around.said, "--policy": around.organisation, "--config": config, "--repo": repo != Path()}
    named = [option for option, given in others.items() if given]
    if around.preset is not None and not effective and named:
        raise UsageError(
            f"--preset alone prints that preset, to which {', '.join(named)} adds nothing",
            next_step="add --effective to see what the layers come to, or leave --preset out to see the layers",
        )

    async def work(streams: Streams) -> None:
        if around.preset is not None and not effective:
            streams.out.write(preset_text(around.preset))
            return
        found = await look_up_policy(repo, config, root=state, around=around)
        if effective:
            streams.out.write(print_policy(found.policy))
            return
        for layer in found.policy.layers:
            said = layer.text or "".join(f"# {words}\n" for words in layer.spoken.values())
            streams.out.write(f"# ---- {make_visible(layer.name)}\n{said.rstrip()}\n\n")

    run_session(work)


def _arguments(tool: str, given: str) -> dict[str, str]:
    if given.startswith("{"):
        try:
            return dict(json.loads(given))
        except ValueError as error:
            raise UsageError(f"{given!r} is no JSON object: {error}") from error
    return {"command": given} if tool == "execute" else {"file_path": given, "path": given, "pattern": given}
