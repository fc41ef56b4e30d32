"""Starting and ending runs: what is missing is said before anything is recorded."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assay.app.service import Assay
from assay.errors import AssayError, ConfigurationError, ImageMissing, RepositoryError, RunError, ScriptError
from assay.policies.loading import default_settings
from assay.policies.settings import RoleSettings, Settings
from assay.records.entries import EntryKind
from assay.records.runs import RunStatus
from assay.records.tickets import Ticket
from assay.sandboxes.fake import FakeSandboxProvider

DEMO = Path(__file__).parents[2] / "examples" / "demo"
MODEL = f"scripted:{DEMO / 'script.yaml'}"
TICKET = Ticket(title="Do it", text="please")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """The demonstration's repository."""
    subprocess.run([DEMO / "repository.sh", tmp_path / "repo"], check=True)
    return tmp_path / "repo"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Assay]:
    """The service on sandboxes in memory."""
    async with Assay.open(root=tmp_path / "state", sandboxes=FakeSandboxProvider()) as assay:
        yield assay


async def nothing_recorded(service: Assay) -> bool:
    """Whether neither the ledger nor the git store knows of a run."""
    return not await service.house.ledger.runs() and not await service.house.git.refs("refs/assay/runs/")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": None}, ConfigurationError),
        ({"model": "nonsense"}, ConfigurationError),
        ({"model": "scripted:/nowhere.yaml"}, ScriptError),
        ({"base": "no-such-branch"}, RepositoryError),
        ({"repo": Path("/nowhere")}, RepositoryError),
    ],
)
async def test_what_is_missing_is_said_before_anything_is_recorded(
    service: Assay, repo: Path, change: dict[str, object], error: type[AssayError]
) -> None:
    """No model, no script, no such branch, no repository."""
    given: dict[str, object] = {"settings": default_settings(), "model": MODEL, "repo": repo, **change}
    with pytest.raises(error):
        await service.start(TICKET, **given)  # type: ignore[arg-type]
    assert await nothing_recorded(service)


async def test_a_missing_image_is_said_before_anything_is_recorded(tmp_path: Path, repo: Path) -> None:
    """With the command that builds it."""
    async with Assay.open(root=tmp_path / "state", sandboxes=FakeSandboxProvider(images={})) as service:
        with pytest.raises(ImageMissing, match="assay sandbox build python"):
            await service.start(TICKET, repo, settings=default_settings(), model=MODEL)
        assert await nothing_recorded(service)


async def test_settings_with_a_secret_are_refused(service: Assay, repo: Path) -> None:
    """A run is gone on with from what is written down, and secrets are not."""
    role = RoleSettings(model="openai:gpt-x", parameters={"api_key": "sk-proj-" + "a" * 40})
    with pytest.raises(ConfigurationError, match="hold a secret"):
        await service.start(TICKET, repo, settings=Settings(agents={"coder": role}), model=MODEL)
    assert await nothing_recorded(service)


async def test_a_cancelled_run_is_over(service: Assay, repo: Path) -> None:
    """It cannot be advanced or cancelled again, and says so."""
    run = await service.start(TICKET, repo, settings=default_settings(), model=MODEL)
    assert (await service.cancel(run, "not now")).status is RunStatus.CANCELLED
    for again in (service.advance(run), service.cancel(run, "again")):
        with pytest.raises(RunError, match="over"):
            await again
    assert [s.id for s in await service.runs()] == [run]


async def test_an_unknown_run_is_said_so(service: Assay) -> None:
    """With the command that lists the known ones."""
    with pytest.raises(RunError, match="assay runs"):
        await service.advance("r-none")


async def test_the_manifest_names_everything_by_digest(service: Assay, repo: Path) -> None:
    """Ticket, settings, prompts and images of the run."""
    run = await service.start(TICKET, repo, settings=default_settings(), model=MODEL)
    (started,) = await service.house.ledger.entries(run, kinds=(EntryKind.RUN_STARTED,))
    manifest = started.body["manifest"]
    assert isinstance(manifest, dict)
    assert isinstance(manifest["prompts"], dict)
    assert sorted(manifest["prompts"]) == ["coder", "planner", "reviewer", "tester"]
    for digest in (manifest["ticket"], manifest["settings"], *manifest["prompts"].values()):
        assert str(digest).startswith("sha256:")
