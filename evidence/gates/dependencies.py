"""Dependencies: what a change does to manifests and lock files, and names that stand near to popular ones.

The files are read as data, by the same readers as the proof's step S14; nothing is resolved or fetched for this.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Final

from assay.evidence.dependency_changes import examine_dependencies
from assay.evidence.gates.looks import ChangedFile, Look
from assay.evidence.manifests import Unread, is_manifest, read_manifest
from assay.policies.gates import GateFinding, GateResult, judge_findings
from assay.records.claims import ClaimDraft, ClaimKind

_KINDS: Final = ("added", "unpinned", "without-hashes", "source", "unread", "image")
"""What a person should see. That a version rises or a dependency goes is no finding by itself."""

POPULAR: Final = frozenset(
    """
    aiohttp anyio asgiref attrs awscli babel beautifulsoup4 black boto3 botocore cachetools celery certifi cffi
    chardet charset-normalizer click colorama coverage cryptography cython decorator distlib django dnspython
    docutils fastapi filelock flask fsspec gitpython google-api-core google-auth greenlet grpcio gunicorn h11
    httpcore httplib2 httpx huggingface-hub idna importlib-metadata iniconfig ipython isort jinja2 jmespath joblib
    jsonschema kubernetes langchain langgraph lxml mako markdown markupsafe matplotlib mypy networkx numpy oauthlib
    openai opencv-python openpyxl packaging pandas paramiko pathspec pillow pip platformdirs pluggy poetry protobuf
    psutil psycopg2 pyarrow pyasn1 pycparser pydantic pygments pyjwt pylint pymongo pymysql pynacl pyopenssl
    pyparsing pytest pytest-cov python-dateutil python-dotenv pytz pyyaml redis regex requests requests-oauthlib
    rich rsa ruff s3fs s3transfer scikit-learn scipy selenium sentry-sdk setuptools six sniffio soupsieve sphinx
    sqlalchemy starlette tabulate tenacity tensorflow toml tomli torch tornado tox tqdm transformers typer
    typing-extensions tzdata urllib3 uvicorn virtualenv websocket-client websockets werkzeug wheel wrapt xmltodict
    yarl zipp angular axios babel-core bluebird body-parser bootstrap chalk cheerio commander cors cross-env
    crypto-js debug dotenv esbuild eslint express fs-extra glob got graphql gulp immer inquirer jest jquery
    jsonwebtoken lodash minimist mocha moment mongodb mongoose next node-fetch nodemon passport prettier prop-types
    puppeteer react react-dom react-router redux request rimraf rollup rxjs semver sequelize socket.io
    styled-components tailwindcss ts-node tslib typescript underscore uuid vite vue webpack winston ws yargs zod
    """.split()  # noqa: SIM905 - two hundred lines otherwise
)
"""Names of much used distributions on PyPI and npm, by which an imitation would want to be mistaken."""


async def look_at_dependencies(look: Look) -> GateResult:
    """Return whether the change brings dependencies, loosens or moves them, or names one that imitates another."""
    base, head = await look.git.tree(look.base), await look.git.tree(look.head)
    draft = ClaimDraft(kind=ClaimKind.DEPENDENCY, statement="")
    found = await asyncio.to_thread(examine_dependencies, base, head, look.git.contents, look.settings, draft)
    findings = [
        GateFinding(rule=f"dependency {kind}", message=flag.text, path=flag.path, mark=f"{flag.path} {flag.text}")
        for flag in found.flags
        if (kind := flag.kind.removeprefix("dependency-")) in _KINDS
    ]
    known = {name for file in await look.files("base") for name in _names(file)}
    for file in await look.files("head"):
        for name in sorted(_names(file) - known):
            if (near := imitated(name)) is not None:
                message = f"{name} is one slip away from {near}, which is popular: is it meant?"
                findings.append(GateFinding(rule="dependency name", message=message, path=file.path, mark=name))
    return judge_findings(look.name, look.gate, (), findings, f"{len(found.files)} files that name dependencies")


def _names(file: ChangedFile) -> set[str]:
    if not is_manifest(file.path):
        return set()
    try:
        return set(read_manifest(file.path, file.data).taken)
    except Unread:
        return set()  # which is a finding of its own


def imitated(name: str) -> str | None:
    """Return the popular name that a name could be mistaken for: one letter off, two changed places, other marks."""
    plain = name.lower()
    if plain in POPULAR or plain.startswith("@"):
        return None
    bare = re.sub(r"[-_.]", "", plain)
    for popular in sorted(POPULAR):
        other = re.sub(r"[-_.]", "", popular)
        if bare == other or (len(other) > 4 and bare in (f"python{other}", f"py{other}", f"{other}py", f"{other}js")):
            return popular
        if len(other) > 3 and plain != popular and plain in set(_slips(popular)):
            return popular
    return None


def _slips(name: str) -> Iterator[str]:
    """Yield every name that is one slip away: a letter missing, added, replaced, or two in each other's place."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-_."
    for at in range(len(name) + 1):
        head, tail = name[:at], name[at:]
        for letter in letters:
            yield f"{head}{letter}{tail}"
            if tail:
                yield f"{head}{letter}{tail[1:]}"
        if tail:
            yield f"{head}{tail[1:]}"
        if len(tail) > 1:
            yield f"{head}{tail[1]}{tail[0]}{tail[2:]}"
