"""How a command ends: one place that turns errors into words and exit codes."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import typer

from assay.errors import AssayError

_DEFECT = 3
"""Exit code of what should not have happened. Not 1: that means refuted."""


class Ended(Exception):
    """A command has said everything, and ends with this exit code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


@contextmanager
def ending(as_json: bool) -> Iterator[None]:
    """Report an error on stderr, as JSON on stdout too where asked, and end with its exit code."""
    from assay.cli.sessions import Stopped

    try:
        try:
            yield
        except Ended as ended:
            raise typer.Exit(ended.code) from None
        except AssayError as error:
            _report(error.exit_code, type(error).__name__, error.message, error.next_step, as_json)
        except Stopped as stopped:
            if not stopped.heard:
                _hear_nothing()
                raise typer.Exit(stopped.exit_code) from None
            _report(stopped.exit_code, "Stopped", "stopped; nothing is left running", stopped.next_step, as_json)
        except KeyboardInterrupt:
            _report(128 + signal.SIGINT, "Stopped", "stopped before anything began", None, as_json)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            _report(_DEFECT, "InfrastructureError", str(error), None, as_json)
        except Exception as error:  # noqa: BLE001 - the outermost edge, which reports it
            traceback.print_exc()
            next_step = "this is a defect of assay; report it with the lines above"
            _report(_DEFECT, type(error).__name__, f"{type(error).__name__}: {error}", next_step, as_json)
    except BrokenPipeError:
        _hear_nothing()
        raise typer.Exit(128 + signal.SIGPIPE) from None


def _hear_nothing() -> None:
    """Send what the interpreter still has to say nowhere: who read our output has gone, or stands still."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _report(code: int, kind: str, message: str, next_step: str | None, as_json: bool) -> NoReturn:
    from assay.reports.untrusted import make_visible

    print(f"assay: {make_visible(message)}", file=sys.stderr)
    if next_step:
        print(f"  next: {make_visible(next_step)}", file=sys.stderr, flush=True)
    if as_json:
        print(json.dumps({"error": kind, "message": message, "next": next_step, "exit_code": code}), flush=True)
    raise typer.Exit(code) from None
