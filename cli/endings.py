"""How a command ends: one place that turns errors into words and exit codes."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from assay.errors import AssayError

INTERNAL = 3
"""Exit code for a defect of assay itself: nothing was decided."""


class Ended(Exception):
    """A command has said everything, and ends with this exit code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


@contextmanager
def ending(as_json: bool) -> Iterator[None]:
    """Report an error of assay on stderr, as JSON on stdout too where asked, and end with its exit code."""
    try:
        yield
    except Ended as ended:
        raise typer.Exit(ended.code) from None
    except AssayError as error:
        print(f"assay: {error.message}", file=sys.stderr)
        if error.next_step:
            print(f"  next: {error.next_step}", file=sys.stderr)
        if as_json:
            print(json.dumps({"error": type(error).__name__, "message": error.message, "next": error.next_step}))
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        sys.stderr.close()
        raise typer.Exit(141) from None
    except Exception as error:  # noqa: BLE001 - the outermost edge
        # Python would end with 1, which here means that a claim was refuted. A defect of ours refutes nothing.
        traceback.print_exc()
        print("assay: this is a defect of assay; it says nothing about your change", file=sys.stderr)
        print("  next: report it with the lines above; `assay runs` shows what can be resumed", file=sys.stderr)
        if as_json:
            print(json.dumps({"error": type(error).__name__, "message": str(error), "next": None}))
        raise typer.Exit(INTERNAL) from None
