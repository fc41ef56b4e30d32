"""Does many jobs of `chaos_runs`, each in a process of its own that is a fork of this one: no job waits for imports.

Arguments: how many at a time, and a job that this process does itself before it forks, so that the others find what is
made once in a process. Reads jobs from stdin, a line of JSON each, and says on stdout how each process ended:
`NUMBER STATUS`, where a status below zero is the signal that killed it. What a process prints goes to its job's `out`
with `.log` behind it.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path

import chaos_runs

_LATE = ("assay.agents.roles", "assay.evidence.prove", "assay.graph.build", "langgraph.checkpoint.sqlite.aio")
"""What assay imports only when a run advances."""


def serve(lines: list[str], at_once: int) -> None:
    """Do all jobs, so many at a time."""
    waiting = list(enumerate(lines))
    running: dict[int, int] = {}
    gc.freeze()
    while waiting or running:
        while waiting and len(running) < at_once:
            number, line = waiting.pop(0)
            process = os.fork()
            if process == 0:
                _be_the_process(line)
            running[process] = number
        process, status = os.wait()
        os.write(1, f"{running.pop(process)} {os.waitstatus_to_exitcode(status)}\n".encode())


def _be_the_process(line: str) -> None:
    gc.disable()  # the process ends before that pays
    code = 1
    try:
        log = Path(chaos_runs.Job.model_validate_json(line).out + ".log")
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        chaos_runs.do(line)
        code = 0
    except BaseException:  # noqa: BLE001 - the edge of this process: what it says is the job's log
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    for name in _LATE:
        import_module(name)
    for warming in sys.argv[2:]:
        chaos_runs.do(warming)
    serve(sys.stdin.read().splitlines(), int(sys.argv[1]))
