"""Write docs/cli.md from the program's own help."""

from pathlib import Path

from assay.cli.reference import command_reference

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"


def main() -> None:
    """Write the page."""
    PAGE.write_text(command_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
