"""`assay init`, `assay doctor`, `assay policy check`."""

from __future__ import annotations

import json
from pathlib import Path

from rich.text import Text

from assay.cli.endings import Ended
from assay.cli.sessions import run_session
from assay.cli.streams import Streams
from assay.errors import ConfigurationError, RepositoryError, UsageError
from assay.reports.untrusted import make_visible


def write_settings(repo: Path, *, force: bool, stdout: bool) -> None:
    """Look at a repository and write what fits it."""
    from assay.app.configuration import FILE
    from assay.app.proposals import propose
    from assay.store.files import write_whole

    async def work(streams: Streams) -> None:
        proposal = await propose(repo)
        if stdout:
            streams.out.write(proposal.text)
            return
        if proposal.folder is None:
            raise RepositoryError(f"{repo} has no work tree to write {FILE} into", next_step="assay init --print")
        path = proposal.folder / FILE
        if not force and (path.exists() or path.is_symlink()):
            raise ConfigurationError(
                f"{path} is there already", next_step="`assay init --print` shows the proposal; --force writes over it"
            )
        write_whole(path, proposal.text.encode(), mode=0o644)
        told = f"wrote {path}; read it, commit it: assay reads it from the base commit"
        streams.page.print(make_visible(told), soft_wrap=True)

    run_session(work)


def examine_machine(repo: Path, *, as_json: bool, state: Path | None) -> None:
    """Print each finding with what mends it; exit code 3 where something is missing."""
    from assay.app.machines import findings

    async def work(streams: Streams) -> bool:
        found = await findings(state, repo)
        for finding in found:
            if as_json:
                streams.line(finding.model_dump(mode="json"))
                continue
            mark = Text(f"{'ok' if finding.ok else 'missing':<8}", "green" if finding.ok else "bold red")
            said = mark.append(make_visible(f" {finding.subject}: {finding.detail}"), "default")
            streams.page.print(said, soft_wrap=True)
            if finding.mend:
                streams.page.print(make_visible(f"         mend it: {finding.mend}"), soft_wrap=True)
        return all(finding.ok for finding in found)

    raise Ended(0 if run_session(work) else 3)


def explain_rule(command: str, *, role: str, tool: str, repo: Path, config: Path | None, state: Path | None) -> None:
    """Print what the policy decides, by which rule, and where the rule stands."""
    from assay.app.configuration import look_up_settings
    from assay.policies.rules import RuleBook

    arguments = _arguments(tool, command)

    async def work(streams: Streams) -> None:
        settings, source = await look_up_settings(repo, config, root=state)
        if role not in settings.agents:
            known = ", ".join(sorted(settings.agents))
            raise ConfigurationError(f"there is no role {role!r} in {source}", next_step=f"it has {known}")
        book = RuleBook(settings.role(role).rules, origin=f"agents.{role}.rules")
        decision = book.decide(tool, arguments)
        lines = [f"{decision.outcome}: {decision.reason}", f"  rule:  {decision.rule or 'none'}"]
        lines += [f"  place: {decision.place}, {source}"] if decision.place else [f"  from:  {source}"]
        lines += [f"  part:  {decision.part}"] if decision.part else []
        for line in lines:
            streams.page.print(make_visible(line), soft_wrap=True)

    run_session(work)


def _arguments(tool: str, given: str) -> dict[str, str]:
    if given.startswith("{"):
        try:
            return dict(json.loads(given))
        except ValueError as error:
            raise UsageError(f"{given!r} is no JSON object: {error}") from error
    return {"command": given} if tool == "execute" else {"file_path": given, "path": given, "pattern": given}
