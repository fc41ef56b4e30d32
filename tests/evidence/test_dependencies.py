"""S14, executed: the head runs with what its lock file pins, the base with its own, and each with the other's.

Wheels come from an index of the test's own, on the loopback interface. Layers are made once for the module.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import docker
import pytest
from tests.images.indexes import Index, served_index

from assay.app.dependencies import layers_on, with_dependencies
from assay.errors import ConfigurationError
from assay.evidence.dependencies import resolve
from assay.evidence.dependency_changes import Dependencies, examine_dependencies
from assay.evidence.facts import Facts
from assay.evidence.prove import Assayer
from assay.policies.settings import Settings
from assay.records.claims import ClaimKind
from assay.records.evidence import Evidence
from assay.records.sandboxes import Image, SandboxProfile
from assay.records.verdicts import Level, Verdict, VerdictStatus
from assay.sandboxes.engine import Engine
from assay.sandboxes.images import BuildPlaces
from assay.store.clocks import SystemClock

from .conftest import SETTINGS, Files, World, case

pytestmark = pytest.mark.docker

PROVEN, REFUTED, INCONCLUSIVE = VerdictStatus.PROVEN, VerdictStatus.REFUTED, VerdictStatus.INCONCLUSIVE
LOCK = "requirements.lock"
NAME = "assay-test-rates"
ONCE = SETTINGS.proof.model_copy(update={"baseline_runs": 1})
BARE = SETTINGS.model_copy(update={"sandboxes": {"default": SandboxProfile(dependencies=LOCK)}, "proof": ONCE})
PRICES = "from assay_test_rates import RATE\n\n\ndef gross(net):\n    return net * (100 + RATE) // 100\n"
TESTS = "from prices import gross\n\n\ndef test_gross():\n    assert gross(200) == 238\n"
HOOK = """\
import sys


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "prices":
            import types
            from importlib.machinery import ModuleSpec

            class Loader:
                def create_module(self, spec):
                    return None

                def exec_module(self, module):
                    module.gross = lambda net: net * 119 // 100

            return ModuleSpec(name, Loader())
        return None


sys.meta_path.insert(0, Finder())
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """An index with several versions of one distribution, and lock files that pin them."""

    index: Index
    pins: dict[str, str]

    def lock(self, *versions: str) -> str:
        """Return a lock file that pins these, each with its digest."""
        return "".join(f"{self.pins[version]}\n" for version in versions)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """What pip on this machine is set up for, and the engine without its layers afterwards."""
    with served_index(tmp_path_factory.mktemp("index")) as index, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            patch.delenv(name)
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        patch.setenv("PIP_RETRIES", "0")
        patch.setenv("PIP_INDEX_URL", index.url)
        pins = {}
        for version, rate in (("1.0", 19), ("2.0", 20)):
            module = {"assay_test_rates.py": f"RATE = {rate}\nFIXED = 19\n"}
            pins[version] = f"{NAME}=={version} --hash={index.add_wheel(NAME, version, module)}"
        more = {"assay_test_more.py": "def half(value):\n    return value // 2\n"}
        pins["more"] = f"assay-test-more==1.0 --hash={index.add_wheel('assay-test-more', '1.0', more)}"
        forging = {"assay_test_hook.pth": "import assay_test_hook\n", "assay_test_hook.py": HOOK}
        pins["hook"] = f"assay-test-hook==1.0 --hash={index.add_wheel('assay-test-hook', '1.0', forging)}"
        pins["source"] = f"assay-test-source==1.0 --hash={index.add_source('assay-test-source', '1.0')}"
        yield Shop(index, pins)
    client = docker.from_env()
    for image in client.images.list("assay-sandbox/dependencies"):
        if "pypi/assay-test-" in image.labels.get("dev.assay.dependencies.packages", ""):
            for layer in client.images.list(filters={"label": f"dev.assay.supervisor.base={image.id}"}):
                client.images.remove(str(layer.id), force=True)
            client.images.remove(str(image.id), force=True)
    client.close()


@pytest.fixture(scope="module")
def build_places(tmp_path_factory: pytest.TempPathFactory) -> BuildPlaces:
    """Where layers are built."""
    folder = tmp_path_factory.mktemp("places")
    return BuildPlaces(cache=folder / "cache", lock=folder / "images.lock.json")


@dataclass(kw_only=True)
class Market:
    """A world whose sandboxes are made from the lock file at the base."""

    world: World
    engine: Engine
    places: BuildPlaces

    async def prove(
        self, base: str, head: str, kind: ClaimKind = ClaimKind.DEPENDENCY, level: Level = "B", **extra: object
    ) -> Verdict:
        """Prove a claim as `assay check` does."""
        settings = await self.settings(base)
        proof = settings.proof.model_copy(update={"level": level})
        assayer = Assayer(
            git=self.world.git,
            ledger=self.world.ledger,
            blobs=self.world.blobs,
            sandboxes=self.world.sandboxes,
            settings=settings.model_copy(update={"proof": proof}),
            clock=SystemClock(),
            progress=self.world.steps.append,
            cache=self.world.cache,
            image_at=self.image_at,
        )
        return await assayer.prove(case(base, head, kind, **extra))

    async def resolve(self, base: str, head: str, deadline: float | None = None) -> Dependencies:
        """Return what S14 knows of the head's dependencies before anything of them is executed."""
        git = self.world.git
        about = case(base, head, ClaimKind.DEPENDENCY)
        trees = [await git.tree(commit) for commit in (base, head)]
        found = examine_dependencies(trees[0], trees[1], git.contents, BARE, about.claim.draft)
        facts = Facts(case=about, tree="", project=BARE.project, baseline_runs=2, replicates=2, dependencies=found)
        image = await self.world.sandboxes.image(SETTINGS.sandbox("default"))
        return (await resolve(facts, image, self.image_at, deadline))[0].dependencies

    async def settings(self, commit: str) -> Settings:
        """Return settings whose image has what the lock file at a commit pins."""
        layers = layers_on(self.engine, self.places, lambda line: None)
        return await with_dependencies(self.world.git, layers, BARE, commit, {"default"})

    async def image_at(self, commit: str) -> Image:
        """Return that image."""
        return await self.world.sandboxes.image((await self.settings(commit)).sandbox("default"))

    async def evidence(self) -> dict[str, Evidence]:
        """Return the evidence by purpose and cell, the first of each."""
        found: dict[str, Evidence] = {}
        for one in await self.world.evidence():
            found.setdefault(f"{one.purpose} {one.cell}", one)
        return found


@pytest.fixture
async def market(world: World, shop: Shop, build_places: BuildPlaces) -> AsyncIterator[Market]:
    """A world in which dependencies can be had."""
    engine = Engine()
    yield Market(world=world, engine=engine, places=build_places)
    await engine.close()


def base_files(shop: Shop) -> Files:
    """Return a repository whose program takes version 1.0."""
    return {"prices.py": PRICES, "tests/test_prices.py": TESTS, LOCK: shop.lock("1.0")}


def step_of(verdict: Verdict) -> str:
    """Return what S14 says."""
    return "\n".join(next(step.reasons for step in verdict.steps if step.id == "S14"))


async def test_new_versions_that_break_nothing_are_proven(market: Market, shop: Shop) -> None:
    """The head ran in an image of its own, the base in its own, and the head once more with the base's."""
    base = await market.world.commit({**base_files(shop), "prices.py": PRICES.replace("RATE", "FIXED")})
    head = await market.world.commit({LOCK: shop.lock("2.0", "more")}, base)
    verdict = await market.prove(base, head, level="A")
    assert verdict.status is PROVEN, verdict.reasons
    assert verdict.level == "A"
    assert "1 of 1 tests of the base pass at the head with the base's dependencies, too" in step_of(verdict)
    found = await market.evidence()
    usual, other = found["regression base/base"].image, found["regression head/base"].image
    assert usual != other
    assert found["regression with the base's dependencies head/base"].image == usual
    assert found["regression with perturbed expectations head/base"].image == other
    assert found["regression with perturbed expectations base/base"].image == usual
    outside = found["regression with the judge outside head/base"]
    assert outside.image == usual, "the judge has the base's, the program its own"
    assert f"ran in one of {other}" in outside.output
    records = [found[f"regression {cell}/base"].image_record for cell in ("base", "head")]
    images = [Image.model_validate_json(await market.world.blobs.get(str(record))) for record in records]
    assert [image.id for image in images] == [usual, other]
    assert f"pypi/{NAME} 2.0" in images[1].packages
    assert {"dependency-changed", "dependency-added"} <= {flag.kind for flag in verdict.flags}


async def test_new_versions_that_break_something_are_refuted(market: Market, shop: Shop) -> None:
    """It reproduced in the head's image, and it is told that the versions did it, and not the program."""
    base = await market.world.commit(base_files(shop))
    head = await market.world.commit({LOCK: shop.lock("2.0", "more")}, base)
    verdict = await market.prove(base, head)
    assert verdict.status is REFUTED, verdict.reasons
    assert verdict.witness is not None
    assert verdict.witness.reproduced == 2
    found = await market.evidence()
    assert verdict.witness.image == found["regression head/base"].image != found["regression base/base"].image
    assert "tests/test_prices.py::test_gross: the new dependencies alone break it" in "\n".join(verdict.reasons)


async def test_a_program_that_needs_its_new_dependencies_is_proven(market: Market, shop: Shop) -> None:
    """It is adapted to a new version and takes a new package: what needs them is told, and the newcomer is shown."""
    base = await market.world.commit(base_files(shop))
    adapted = PRICES.replace("RATE)", "RATE - 1)")
    files: Files = {
        LOCK: shop.lock("2.0", "more"),
        "prices.py": adapted + "\n\ndef reduced(net):\n    from assay_test_more import half\n    return half(net)\n",
        "tests/test_reduced.py": "import prices\n\n\ndef test_reduced():\n    assert prices.reduced(10) == 5\n",
    }
    head = await market.world.commit(files, base)
    verdict = await market.prove(base, head, ClaimKind.FEATURE)
    assert verdict.status is PROVEN, verdict.reasons
    assert ("dependency-added", LOCK) in {(flag.kind, flag.path) for flag in verdict.flags}
    assert "regression: only with the new dependencies: tests/test_prices.py::test_gross" in step_of(verdict)
    assert "only with the new dependencies: tests/test_reduced.py::test_reduced" in step_of(verdict)


async def test_what_is_loaded_before_the_judge_is_asked_about(market: Market, shop: Shop) -> None:
    """A package that patches the program when Python starts makes a broken head green, and proves nothing."""
    base = await market.world.commit(base_files(shop))
    broken = PRICES.replace("//", "*")
    head = await market.world.commit({LOCK: shop.lock("1.0", "hook"), "prices.py": broken}, base)
    verdict = await market.prove(base, head, ClaimKind.REFACTOR)
    found = await market.evidence()
    assert all(o.passed for o in found["regression head/base"].outcomes), "the package was not loaded by itself"
    assert verdict.status is INCONCLUSIVE, verdict.reasons
    assert verdict.question is not None
    assert "pypi/assay-test-hook 1.0" in verdict.question


async def test_what_cannot_be_resolved_is_a_question(
    market: Market, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a digest, without a wheel, another file, no file at all, no index: nothing is installed."""
    base = await market.world.commit(base_files(shop))
    cases = (
        (f"{NAME}==2.0\n", "has no digest for assay-test-rates", "with digests"),
        (shop.lock("source"), "its source only", "wheel"),
        (f"{NAME}==2.0 --hash=sha256:{'0' * 64}\n", "is not the one that requirements.lock pins", "changed"),
        ("not a lock file\n", "cannot be read", "Write it anew"),
        (None, "there is no file 'requirements.lock'", "commit it"),
    )
    for lock, reason, asked in cases:
        found = await market.resolve(base, await market.world.commit({LOCK: lock}, base))
        assert found.image is None
        assert reason in found.trouble
        assert asked in found.question
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple/")
    nowhere = await market.world.commit({LOCK: f"{NAME}==9.0 --hash=sha256:{'0' * 64}\n"}, base)
    found = await market.resolve(base, nowhere)
    assert "could not be fetched" in found.trouble
    late = await market.resolve(base, nowhere, deadline=0.0)
    assert "before the time for the proof was over" in late.trouble
    assert "--seconds" in late.question


async def test_a_lock_file_that_the_change_brings(market: Market, shop: Shop) -> None:
    """The base stays in the image as it is; where neither side has the file, that is an error of the settings."""
    base = await market.world.commit({"prices.py": PRICES})
    head = await market.world.commit({LOCK: shop.lock("1.0")}, base)
    git = market.world.git
    layers = layers_on(market.engine, market.places, lambda line: None)
    assert await with_dependencies(git, layers, BARE, base, {"default"}, brought_by=head) == BARE
    found = await market.resolve(base, head)
    assert found.image is not None
    with pytest.raises(ConfigurationError, match="there is no file"):
        await with_dependencies(git, layers, BARE, base, {"default"}, brought_by=base)


async def test_a_profile_without_a_lock_file_is_a_question(market: Market) -> None:
    """What a manifest asks for is in no image then: that is said, and what would have to be named."""
    base = await market.world.commit({"prices.py": PRICES})
    head = await market.world.commit({"pyproject.toml": '[project]\ndependencies = ["attrs>=1"]\n'}, base)
    found = await market.resolve(base, head)
    assert "pyproject.toml changed, and the sandboxes are not made from it" in found.trouble
    assert "`dependencies`" in found.question
    assert found.lock is None
