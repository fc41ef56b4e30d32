"""Fail for each Python file that is longer than a reader should have to hold in mind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CAP = 400
ROOT = Path(__file__).resolve().parent.parent


def too_long(root: Path, cap: int) -> list[tuple[int, str]]:
    """Return the length and name of every Python file of the repository that has more than `cap` lines."""
    listing = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")
    files = [path for path in (root / name for name in names if name) if path.is_file() and not path.is_symlink()]
    lengths = ((len(path.read_text().splitlines()), str(path.relative_to(root))) for path in files)
    return sorted((found for found in lengths if found[0] > cap), reverse=True)


def main(arguments: list[str]) -> int:
    """Print what is too long, here or in the repository that is named, and return the exit code."""
    found = too_long(Path(arguments[0]) if arguments else ROOT, CAP)
    for lines, name in found:
        sys.stdout.write(f"{name}: {lines} lines, the cap is {CAP}: split it by what it does\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
