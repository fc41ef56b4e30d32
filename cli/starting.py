"""`assay init`, `assay doctor`, `assay sandbox build`, `assay policy check`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console

from assay.app.configuration import FILE, settings_for
from assay.app.machines import build, findings
from assay.app.proposals import propose
from assay.app.service import Assay
from assay.cli.endings import Ended
from assay.cli.sessions import configure_logs, run_session
from assay.errors import ConfigurationError
from assay.policies.rules import decide
from assay.policies.rulings import RuleDecision
from assay.reports.untrusted import make_visible


def write_settings(repo: Path, *, force: bool, stdout: bool) -> None:
    """Look at a repository and write what fits it."""
    text = run_session(propose(repo))
    if stdout:
        sys.stdout.write(text)
        return
    path = repo / FILE
    if path.exists() and not force:
        raise ConfigurationError(
            f"{path} is there already", next_step="`assay init --print` shows the proposal; --force writes over it"
        )
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path}; read it, commit it: assay reads it from the base commit")


def examine_machine(*, as_json: bool, state: Path | None) -> None:
    """Print each finding with what mends it; exit code 3 where something is missing."""
    found = run_session(findings(state))
    if as_json:
        for finding in found:
            print(finding.model_dump_json())
    else:
        console = Console(highlight=False)
        for finding in found:
            mark, style = ("ok", "green") if finding.ok else ("missing", "red")
            console.print(f"[{style}]{mark:<8}[/] {finding.subject}: {make_visible(finding.detail)}", soft_wrap=True)
            if finding.mend:
                console.print(f"         mend it: {finding.mend}", soft_wrap=True, markup=False)
    raise Ended(0 if all(finding.ok for finding in found) else 3)


def build_sandbox_image(name: str, *, force: bool) -> None:
    """Build an image and say what it is."""
    image = run_session(build(name, force=force, progress=lambda line: print(f"  {line}", file=sys.stderr)))
    print(f"image {image.name} is {image.id} ({len(image.packages)} packages)")


def explain_rule(command: str, *, role: str, tool: str, repo: Path, config: Path | None) -> None:
    """Print what the policy decides, by which rule, and where the rule stands."""
    configure_logs(as_json=False)

    async def work() -> tuple[RuleDecision, str]:
        async with Assay.open() as assay:
            settings, source = await settings_for(assay.house.git, repo, None, config)
            return decide(settings.role(role).rules, tool, _arguments(tool, command)), source

    decision, source = run_session(work())
    print(f"{decision.outcome}: {decision.reason}")
    print(f"  rule:  {decision.rule or 'none; what no rule names is denied'}")
    print(f"  place: {source}, [agents.{role}.rules]")


def _arguments(tool: str, given: str) -> dict[str, str]:
    if given.startswith("{"):
        try:
            return dict(json.loads(given))
        except ValueError as error:
            raise ConfigurationError(f"{given!r} is no JSON object: {error}") from error
    return {"command": given} if tool == "execute" else {"file_path": given, "path": given, "pattern": given}
