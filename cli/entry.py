"""The first step of the `assay` command: what Ctrl-C means while the program still loads."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Entry point of the `assay` command.

    Until a session takes the signals over there is nothing to clean up, and Ctrl-C ends the process as it ends any
    other: as an exception it could come up in the middle of an import, which may wrap it in an error of its own.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from assay.cli.main import app

    app(prog_name="assay", args=sys.argv[1:])
