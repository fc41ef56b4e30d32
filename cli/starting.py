"""`assay init`, `assay doctor`."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from assay.cli.endings import Ended
from assay.cli.sessions import run_session
from assay.cli.streams import Streams
from assay.errors import ConfigurationError, RepositoryError
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
