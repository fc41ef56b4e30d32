"""Which files decide how tests are run and judged, how a project is built elsewhere, and who may do what.

The names are those that the programs themselves look for: pytest 9 (`pytest.toml`, `.pytest.toml`,
`pytest.ini`, `.pytest.ini`, `[tool.pytest]` and `[tool.pytest.ini_options]` in `pyproject.toml`,
`[pytest]` in `tox.ini`, `[tool:pytest]` in `setup.cfg`; `pytest11` entry points), coverage 7
(`.coveragerc`, `.coveragerc.toml`, sections of the others), Python's `site` (`sitecustomize`,
`usercustomize`, `*.pth`).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

HARNESS: Final = (
    "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini", "tox.toml", "noxfile.py",
    ".coveragerc", ".coveragerc.toml", "sitecustomize.py", "usercustomize.py", "sitecustomize/", "usercustomize/",
    "*.pth", "*.egg-link", "*.egg-info", "*.dist-info", "pyvenv.cfg", "__pycache__/", "*.pyc", "*.pyo",
    ".mocharc.*", "jest.config.*", "vitest.config.*", "vitest.workspace.*", "karma.conf.*", "playwright.config.*",
    ".nycrc", ".nycrc.*", ".c8rc", ".c8rc.*", "phpunit.xml", "phpunit.xml.dist", ".rspec", "nextest.toml",
)  # fmt: skip
"""What is loaded by itself when tests run, and can change the outcome of every one of them."""

CI: Final = (
    ".github/workflows/", ".github/actions/", ".github/dependabot.yml", ".gitlab-ci.yml", ".gitlab/", ".circleci/",
    ".buildkite/", ".drone.yml", ".woodpecker/", ".woodpecker.yml", ".travis.yml", ".cirrus.yml", ".semaphore/",
    ".teamcity/", ".ci/", "/ci/", "Jenkinsfile", "Jenkinsfile.*", "azure-pipelines*.yml", "azure-pipelines*.yaml",
    ".azure-pipelines/", "bitbucket-pipelines.yml", "appveyor.yml", ".appveyor.yml", "buildspec*.yml",
    "cloudbuild*.yaml", ".tekton/", ".pre-commit-config.yaml", ".pre-commit-hooks.yaml", ".husky/", "lefthook.yml",
    "codecov.yml", ".codecov.yml", "sonar-project.properties", "renovate.json", ".renovaterc*",
    "Dockerfile", "Dockerfile.*", "*.dockerfile", "Containerfile", "Containerfile.*", ".dockerignore",
    "docker-compose*.yml", "docker-compose*.yaml", "compose*.yml", "compose*.yaml", "docker-bake.*", ".devcontainer/",
)  # fmt: skip
"""How the project is built and judged elsewhere, its images included."""

POLICY: Final = (
    "/assay.toml", "assay.toml", ".assay/", ".gitattributes", ".gitmodules", ".gitconfig", ".lfsconfig", "CODEOWNERS",
    "AGENTS.md", "CLAUDE.md", "GEMINI.md", ".cursorrules", ".cursor/", ".aider*", ".github/copilot-instructions.md",
)  # fmt: skip
"""Who may do what, what git makes of the files, and what agents are told."""

LOCK: Final = (
    "poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "pylock.*.toml", "requirements*.txt",
    "requirements*.lock",
    "requirements/", "constraints*.txt", "conda-lock.yml", "pixi.lock", "package-lock.json", "npm-shrinkwrap.json",
    "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb", "deno.lock", "Cargo.lock", "go.sum", "Gemfile.lock",
    "composer.lock", "mix.lock", "flake.lock", "packages.lock.json", "gradle.lockfile", "Package.resolved",
)  # fmt: skip
"""Which versions of other people's code are used."""

MIXED: Final = ("pyproject.toml", "setup.cfg")
"""Settings of the harness beside others; `harness_settings` tells them apart."""

DOCS: Final = (
    "/docs/", "/doc/", "*.md", "*.rst", "*.adoc", "LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "AUTHORS*",
    "CONTRIBUTORS*", "CHANGELOG*", "CHANGES*", "HISTORY*", "README*", "CITATION.cff",
)  # fmt: skip

_SOURCE_ENDINGS: Final = """
    py pyi pyx pxd js mjs cjs jsx ts mts cts tsx vue svelte go rs c h cc cpp cxx hh hpp hxx m mm cs fs java kt kts
    scala clj cljs groovy rb php pl pm lua r jl ex exs erl hrl hs ml mli elm dart swift zig nim v sql sh bash zsh fish
    ps1 css scss sass less html htm jinja j2 tmpl proto graphql thrift wasm
"""
SOURCE: Final = tuple(f"*.{ending}" for ending in _SOURCE_ENDINGS.split())

_HEADER: Final = re.compile(r"^\s*\[(.+?)\]")
_INI_SECTIONS: Final = re.compile(r"(?:tool:)?pytest|coverage:.*|tox.*|testenv.*", re.IGNORECASE)


def harness_settings(path: str, text: str) -> str:
    """Return the part of a mixed file that decides how tests are run and judged, in a form to compare.

    Args:
        path: `pyproject.toml` or `setup.cfg`, in any folder.
        text: the whole file.

    Raises ValueError where the file cannot be read.
    """
    if path.lower().endswith(".toml"):
        return json.dumps(_toml_settings(tomllib.loads(text)), sort_keys=True, default=str)
    return "\n".join(_ini_lines(text))


def _toml_settings(document: dict[str, Any]) -> dict[str, Any]:
    tool = _table(document.get("tool"))
    poetry_plugins = _table(_table(tool.get("poetry")).get("plugins"))
    entry_points = _table(_table(document.get("project")).get("entry-points"))
    return {
        "tools": {name: value for name, value in tool.items() if re.match(r"pytest|coverage$|tox$|nox$", name)},
        "plugins": [entry_points.get("pytest11"), poetry_plugins.get("pytest11")],
    }


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _ini_lines(text: str) -> Iterator[str]:
    judged = False
    for line in text.splitlines():
        if header := _HEADER.match(line):
            judged = _INI_SECTIONS.fullmatch(header[1].strip()) is not None or "entry_points" in header[1]
        if judged and line.strip():
            yield line.rstrip()
