"""Who may grant a way out, and where it is written what went through it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.egress.servers import Web, listening

from assay.app.configuration import look_up_settings
from assay.app.egress import grant_path, into, read_grant
from assay.app.wiring import open_house
from assay.cli.words import describe
from assay.errors import ConfigurationError
from assay.evidence.environment import seal
from assay.policies.loading import parse_settings
from assay.policies.settings import Settings
from assay.records.egress import Egress, EgressEvent
from assay.records.entries import EntryKind
from assay.records.sandboxes import SandboxOwner, SandboxProfile
from assay.store.clocks import SystemClock
from assay.store.ledger import SqliteLedger

ASKING = '[sandboxes.net.egress]\nallow = ["pypi.org:443", "a.example.org:443"]\nnetworks = ["10.1.0.0/16"]\n'


def repository(folder: Path, settings: str) -> Path:
    """Return a repository whose one commit holds these settings."""
    folder.mkdir()
    (folder / "assay.toml").write_text(settings)
    author = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    for command in (["init", "-q"], ["add", "assay.toml"], [*author, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture
def grant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the person of the test grants ways out; it is not there yet."""
    monkeypatch.setenv("ASSAY_EGRESS", str(tmp_path / "egress.toml"))
    return tmp_path / "egress.toml"


async def test_a_repository_cannot_grant_itself_a_way_out(tmp_path: Path, grant: Path) -> None:
    """What a repository's own settings ask for is refused, all of it by name, where no person granted it."""
    repo = repository(tmp_path / "repo", ASKING)
    with pytest.raises(
        ConfigurationError, match=r"asks for pypi\.org:443, a\.example\.org:443, 10\.1\.0\.0/16"
    ) as refused:
        await look_up_settings(repo, None, root=tmp_path / "state")
    assert str(grant) in str(refused.value.next_step)
    grant.write_text('allow = ["pypi.org:443", "*.example.org:80"]\nnetworks = ["10.0.0.0/8"]\n')
    with pytest.raises(ConfigurationError, match=r"asks for a\.example\.org:443, and"):
        await look_up_settings(repo, None, root=tmp_path / "state")


async def test_what_a_person_granted_is_had_and_its_limits_hold(tmp_path: Path, grant: Path) -> None:
    """A grant covers what is narrower, and its limits are the repository's, too."""
    repo = repository(tmp_path / "repo", ASKING)
    grant.write_text(
        'allow = ["pypi.org:443", "*.example.org:443"]\nnetworks = ["10.0.0.0/8"]\nmegabytes = 7\nseconds = 3600.0\n'
    )
    settings, _ = await look_up_settings(repo, None, root=tmp_path / "state")
    egress = settings.sandbox("net").egress
    assert egress.allow == ("pypi.org:443", "a.example.org:443")
    assert (egress.megabytes, egress.seconds) == (7, 900.0)


async def test_a_person_grants_with_a_file_of_their_own(tmp_path: Path, grant: Path) -> None:
    """Settings that a person names may grant what they like: that person is who could write the grant."""
    own = tmp_path / "own.toml"
    own.write_text(ASKING)
    repo = repository(tmp_path / "repo", "")
    settings, _ = await look_up_settings(repo, own, root=tmp_path / "state")
    assert settings.sandbox("net").egress.granted
    assert not grant.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("allow = [", "egress.toml: "),
        ('allow = ["pypi.org"]', "names no port"),
        ('allow = "pypi.org:443"', "egress.toml: allow: "),
        ("everything = true", "egress.toml: everything: "),
        ('networks = ["0.0.0.0/0"]', "too wide"),
    ],
)
async def test_a_grant_that_is_none(grant: Path, text: str, said: str) -> None:
    """A grant with a mistake in it is refused, and not read as far as it goes."""
    grant.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        await read_grant(grant)


def test_where_a_grant_is(tmp_path: Path) -> None:
    """It lies beside the user's settings, unless the environment names another place."""
    assert grant_path({"ASSAY_EGRESS": str(tmp_path)}) == tmp_path
    assert grant_path({}).parts[-2:] == ("assay", "egress.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[sandboxes.net.egress]\nallow = ["pypi.org"]', "sandboxes|names no port; write pypi.org:443"),
        ('[sandboxes.net.egress]\nallow = ["*:443"]', "a star stands only"),
        ('[sandboxes.net.egress]\nallow = ["a.test:1"]\nnetworks = ["::/0"]', "too wide"),
        ('[sandboxes.net.egress]\nnetworks = ["10.0.0.0/8"]', "lead nowhere"),
        ('[sandboxes.net.egress]\nallow = ["a.test:1"]\n[proof]\nsandbox = "net"', "a proof has no way out"),
        ('[sandboxes.default.egress]\nallow = ["a.test:1"]', "a proof has no way out"),
    ],
)
def test_settings_that_make_no_sense(text: str, said: str) -> None:
    """What is no allow-list, and a proof with a way out, are refused with their place when settings are read."""
    with pytest.raises(ConfigurationError, match=said) as refused:
        parse_settings(text, name="assay.toml")
    assert "assay.toml:" in str(refused.value)


def test_a_proof_has_no_way_out() -> None:
    """Even where a host builds settings of its own without reading them, the proof's sandbox has none."""
    settings = Settings(sandboxes={"default": SandboxProfile(egress=Egress(allow=("a.test:1",)))})
    assert settings.sandbox("default").egress.granted
    assert not seal(settings).egress.granted


async def test_the_ledger_holds_every_request(tmp_path: Path) -> None:
    """Each thing that happens to a request is one entry in the run's chain."""
    owner = SandboxOwner(run="run-1", role="coder")
    async with SqliteLedger(tmp_path / "ledger", SystemClock()) as ledger:
        record = into(ledger)
        for stage in ("allowed", "ended"):
            event = EgressEvent.model_validate({"number": 1, "stage": stage, "host": "pypi.org", "port": 443})
            await record(owner, "box", event)
        await record(owner, "other", EgressEvent(number=1, stage="refused", reason="why"))
        entries = await ledger.entries("run-1")
        await ledger.verify("run-1")
    assert [(entry.kind, entry.role, entry.key) for entry in entries] == [
        (EntryKind.EGRESS_ASKED, "coder", "egress:box:1:allowed"),
        (EntryKind.EGRESS_ASKED, "coder", "egress:box:1:ended"),
        (EntryKind.EGRESS_ASKED, "coder", "egress:other:1:refused"),
    ]
    assert entries[0].body == {"sandbox": "box", "number": 1, "stage": "allowed", "host": "pypi.org", "port": 443}


@pytest.mark.docker
async def test_a_run_writes_what_its_sandboxes_ask_for(tmp_path: Path) -> None:
    """As assay is wired, a sandbox's request goes out by this host's resolver, and is in the ledger of its run."""
    program = (
        "import socket, sys\ns = socket.create_connection(('127.0.0.1', 3128))\n"
        "s.sendall(f'GET http://{sys.argv[1]}/ HTTP/1.1\\r\\nHost: {sys.argv[1]}\\r\\n\\r\\n'.encode())\n"
        "print(s.makefile().read())"
    )
    async with listening(Web()) as port, open_house(root=tmp_path) as house:
        egress = Egress(allow=(f"localhost:{port}",), networks=("127.0.0.0/8", "::1/128"))
        owner = SandboxOwner(run="run-1", role="coder")
        async with await house.sandboxes.open(SandboxProfile(egress=egress), owner) as sandbox:
            reached = await sandbox.run(["python3", "-c", program, f"localhost:{port}"])
            refused = await sandbox.run(["python3", "-c", program, "example.org"])
        entries = await house.ledger.entries("run-1", kinds=(EntryKind.EGRESS_ASKED,))
    assert reached.stdout.text.endswith("hello\n"), reached
    assert "403 assay: example.org:80 is not among" in refused.stdout.text
    assert [(entry.body["stage"], entry.body["host"]) for entry in entries] == [
        ("allowed", "localhost"),
        ("ended", "localhost"),
        ("refused", "example.org"),
    ]
    told, style = describe(entries[-1]) or ("", "")
    assert told.startswith("network: GET example.org:80 refused: example.org:80 is not among")
    assert style == "yellow"
