"""A suite in a sandbox, by a runner that writes JUnit XML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assay.evidence.runner_junit import MOST_BYTES, XmlRun, collect, inside, prepare_command, read_xml, root_of
from assay.evidence.runner_node import prepare_node, read_node
from assay.evidence.runner_pytest import Report
from assay.policies.settings import ProjectSettings
from assay.records.evidence import TestOutcome
from assay.records.sandboxes import CommandResult
from assay.records.trees import EXECUTABLE, REGULAR, Tree
from assay.sandboxes.protocol import Sandbox


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """What was started, how it ended, and what its report says."""

    run: XmlRun
    result: CommandResult
    report: Report


async def run_reported(
    sandbox: Sandbox,
    project: ProjectSettings,
    tree: Tree,
    *,
    modules: Sequence[str],
    select: Iterable[str] | None,
    seconds: float,
) -> Ran:
    """Run a suite in a sandbox in which `tree` lies, and return what its XML says.

    Args:
        sandbox: fresh.
        project: names the runner, its command and its report.
        tree: what is executed.
        modules: test files, relative to the project's root; none means all. A runner that cannot be told runs all,
            and what it says of others is left out.
        select: ids that are asked for; None means all.
        seconds: time limit.
    """
    root = root_of(project)
    known = frozenset(p for path, f in tree.items() if f.mode in (REGULAR, EXECUTABLE) and (p := inside(path, root)))
    node = project.runner == "node"
    run = prepare_node(project, known, modules) if node else prepare_command(project)
    for path, data in run.files.items():
        await sandbox.write(path, data)
    result = await sandbox.run(
        run.argv, env=run.environment, cwd=run.cwd, timeout=seconds, output_limit=MOST_BYTES, report=node
    )
    report = read_node(result, run) if node else read_xml(await collect(sandbox, project), result, known)
    wanted, chosen = set(modules), None if select is None else set(select)
    kept = tuple(o for o in report.outcomes if _is_wanted(o, known, wanted, chosen))
    return Ran(run=run, result=result, report=Report(outcomes=kept, trouble=report.trouble))


def _is_wanted(outcome: TestOutcome, known: frozenset[str], modules: set[str], chosen: set[str] | None) -> bool:
    file = outcome.id.split("::", 1)[0]
    if modules and file in known and file not in modules:
        return False
    return chosen is None or outcome.id in chosen or outcome.reports == 0
