"""The reference and the schema say what the program does."""

from __future__ import annotations

import json
from pathlib import Path

from assay.policies.fields import json_schema, settings_reference
from assay.policies.settings import Settings
from assay.records.base import Record

DOCS = Path(__file__).resolve().parents[2] / "docs"
STALE = "run `python scripts/write_settings_reference.py`"


def test_the_reference_is_current() -> None:
    """docs/settings.md is what the classes say."""
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == settings_reference(), STALE


def test_the_schema_is_current() -> None:
    """docs/assay.schema.json is what the classes say."""
    assert (DOCS / "assay.schema.json").read_text(encoding="utf-8") == json_schema(), STALE


def test_every_setting_is_explained() -> None:
    """No row of the reference is without a meaning."""
    rows = [line for line in settings_reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert [row for row in rows if row.rstrip(" |").endswith(("`", "none"))] == []


def test_the_schema_is_closed() -> None:
    """An editor marks an unknown key: every table of ours refuses what it does not declare."""
    schema = json.loads(json_schema())
    assert schema["additionalProperties"] is False
    tables = [definition for definition in schema["$defs"].values() if definition.get("type") == "object"]
    assert len(tables) > 10
    assert all(table["additionalProperties"] is False for table in tables)
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert issubclass(Settings, Record)
