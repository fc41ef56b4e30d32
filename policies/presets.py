"""The presets: built-in policies by name, each an `assay.toml` that is printed as it is used."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from assay.policies.settings import Preset

_SUPERVISED: Final = """\
# supervised: a person sees the plan before work begins, and everything before it is delivered.
# In force where no other preset is named for a run.
[checkpoints]
plan = true
delivery = true
"""

_GUARDED: Final = """\
# guarded: as supervised, and a person is asked about what brings other people's code or reaches out, about
# large changes, new dependencies and weak code; a secret in a change ends the unit.
# The gates need `pip install 'assay[gates]'`.
[checkpoints]
plan = true
delivery = true

[agents."*".rules]
ask = [
  { rule = "execute(pip install *)", matches = ["pip install x", "python3 -m venv v && pip install x"] },
  { rule = "execute(python -m pip install *)", matches = ["python -m pip install x"] },
  { rule = "execute(python3 -m pip install *)", matches = ["python3 -m pip install x"] },
  { rule = "execute(uv add *)", matches = ["uv add x"] },
  { rule = "execute(npm install *)", matches = ["npm install", "npm install x"], not_matches = ["npm test"] },
  { rule = "execute(curl *)", matches = ["curl example.org"], not_matches = ["ls"] },
  { rule = "execute(wget *)", matches = ["wget example.org"] },
  { rule = "execute(ssh *)", matches = ["ssh host"] },
]

[gates.secrets]
kind = "secrets"
on_failure = "block"

[gates.security]
kind = "security"
on_failure = "ask"

[gates.dependencies]
kind = "dependencies"
on_failure = "ask"

[gates.data]
kind = "data"
on_failure = "ask"

[gates.size]
max_files = 50
max_lines = 2000
on_failure = "ask"
"""

_HEADLESS: Final = """\
# headless: nobody sits beside it. The plan is not shown; the delivery is asked, and the run parks there and waits.
# What another preset would ask about a change ends the unit, and the run has an end of its own.
# The gates need `pip install 'assay[gates]'`.
[checkpoints]
plan = false
delivery = true

[gates.secrets]
kind = "secrets"
on_failure = "block"

[gates.security]
kind = "security"
on_failure = "block"

[gates.dependencies]
kind = "dependencies"
on_failure = "block"

[gates.data]
kind = "data"
on_failure = "block"

[gates.size]
max_files = 50
max_lines = 2000
on_failure = "block"

[budget]
model_calls = 600
tokens = 20_000_000
seconds = 14_400
commands = 1_200
"""

DEFAULT_PRESET: Final[Preset] = "supervised"
PRESETS: Final[Mapping[str, str]] = MappingProxyType(
    {"supervised": _SUPERVISED, "guarded": _GUARDED, "headless": _HEADLESS}
)
"""Name to text."""
