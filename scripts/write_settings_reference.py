"""Write docs/settings.md and docs/assay.schema.json from the classes of the settings."""

from pathlib import Path

from assay.policies.fields import json_schema, settings_reference

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    """Write both files."""
    (DOCS / "settings.md").write_text(settings_reference(), encoding="utf-8")
    (DOCS / "assay.schema.json").write_text(json_schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
