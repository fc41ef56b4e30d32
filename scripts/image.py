"""Build the sandbox image `python` where the engine does not hold it, and say what happens."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from assay.app.machines import build
from assay.errors import AssayError

APT_INSTALL = Path(__file__).with_name("apt_install.sh")


def main(arguments: list[str]) -> int:
    """Build it, anew with `--force`, and return the exit code."""
    force = "--force" in arguments
    started = time.monotonic()

    def progress(line: str) -> None:
        sys.stderr.write(f"    {time.monotonic() - started:5.0f} s  {line}\n")

    def run_build() -> None:
        asyncio.run(build("python", force=force, progress=progress))

    try:
        try:
            run_build()
        except AssayError:
            if not _may_install_debootstrap():
                raise
            subprocess.run([APT_INSTALL, "debootstrap"], check=True, stdin=subprocess.DEVNULL)
            run_build()
    except AssayError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _may_install_debootstrap() -> bool:
    """Whether debootstrap is what is missing, and this machine is one on which we may install it."""
    allowed = os.geteuid() == 0 and os.environ.get("DOCKER") != "no-install"
    return allowed and not shutil.which("debootstrap") and shutil.which("apt-get") is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
