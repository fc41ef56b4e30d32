"""The proof: the protocol's steps in order, and the three things that the rest of assay may ask for.

S0 claim, S1 adoption, S2 tree policy, S3 diff flags; then, in sealed sandboxes (S4) and with the trusted overlay (S5),
the exact ids (S6) of the matrix (S7) with its controls (S8) and of the trusted and held-out tests (S10), and calls done
again (S11); where level A is asked for, the tests with the judge outside (S9). What other dependencies the head has is
resolved apart (S14). The judge makes the verdict of it, and the ledger keeps everything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog
from pydantic import JsonValue

from assay.evidence.ablation import run_ablation
from assay.evidence.adopt import Adopted, adopt
from assay.evidence.attestation import PAYLOAD_TYPE, Signer, attest
from assay.evidence.baseline import BaselineCache
from assay.evidence.blank import judge_blank
from assay.evidence.claim import examine_claim
from assay.evidence.course import Course
from assay.evidence.dependencies import ImageAt, resolve, run_dependencies, run_head_canary
from assay.evidence.dependency_changes import examine_dependencies
from assay.evidence.doubts import judge_doubt
from assay.evidence.environment import canary_fault, seal
from assay.evidence.execution import Bench
from assay.evidence.facts import Facts
from assay.evidence.flags import flag_changes
from assay.evidence.held_out import with_everything_stated
from assay.evidence.jitter import jitter_refutations, run_jitter
from assay.evidence.judge import is_admitted, judge
from assay.evidence.layout import Layout, lay_out
from assay.evidence.meters import run_meter
from assay.evidence.mutation import run_mutants
from assay.evidence.outside import run_outside
from assay.evidence.probe import run_probe
from assay.evidence.protocol import BlankResult, Case, DoubtResult, TrustedTests
from assay.evidence.reach import look
from assay.evidence.together import in_turn, together
from assay.evidence.tree_policy import examine_tree
from assay.evidence.trials import Trials
from assay.evidence.twin_runs import run_twins
from assay.policies.settings import Settings
from assay.records.base import canonical_json, digest_of
from assay.records.claims import Claim, ClaimDraft, ClaimKind
from assay.records.entries import EntryKind
from assay.records.results import Doubt
from assay.records.sandboxes import Image
from assay.records.verdicts import Level, Step, Verdict
from assay.sandboxes.protocol import SandboxProvider
from assay.store.git import GitStore
from assay.store.protocol import Blobs, Clock, Ledger

_FEWEST: Final = 2
"""Fresh sandboxes in which a refutation must reproduce, whatever the policy says."""

_AHEAD: Final = 2
"""Sandboxes that every proof opens, and that are started while it still puts its trees together."""

_log = structlog.get_logger(__name__)


class Assayer:
    """Implements `Prover` with real sandboxes and a git store.

    Args:
        git: holds the commits and trees of every case.
        ledger: where evidence and verdicts are recorded.
        blobs: where they are kept.
        sandboxes: where everything is executed.
        settings: in force for the run, read at its base.
        clock: where dates come from.
        progress: told what is being executed, one sentence each.
        cache: folder for baselines that later runs may use; None keeps none.
        began: monotonic seconds from which the time for a proof counts; None: from when it is asked for.
        signer: signs what the verdict says; None leaves it unsigned.
        image_at: makes the image with a head's dependencies (S14); None where that cannot be done.
    """

    def __init__(
        self,
        *,
        git: GitStore,
        ledger: Ledger,
        blobs: Blobs,
        sandboxes: SandboxProvider,
        settings: Settings,
        clock: Clock,
        progress: Callable[[str], None] | None = None,
        cache: Path | None = None,
        began: float | None = None,
        signer: Signer | None = None,
        image_at: ImageAt | None = None,
    ) -> None:
        self._git = git
        self._ledger = ledger
        self._blobs = blobs
        self._sandboxes = sandboxes
        self._settings = settings
        self._clock = clock
        self._progress = progress
        self._cache = None if cache is None else BaselineCache(cache)
        self._began = began
        self._signer = signer
        self._image_at = image_at

    async def prove(self, case: Case) -> Verdict:
        """Examine a claim and return the verdict, recorded in the ledger with all evidence.

        Raises EngineUnavailable, ImageMissing, DiskFull, StoreCorrupt: assay could not do its work, and says nothing.
        """
        key = f"verdict:{case.claim.id}"
        if (entry := await self._ledger.find(case.run, key)) is not None:
            return Verdict.model_validate_json(await self._blobs.get(str(entry.body["verdict"])))
        began = time.monotonic()
        verdict = await self._examine(with_everything_stated(case), began)
        verdict = verdict.model_copy(update={"seconds": round(time.monotonic() - began, 3)})
        await self._keep_witness(case, verdict)
        digest = await self._blobs.put(canonical_json(verdict))
        body: dict[str, JsonValue] = {
            "verdict": digest,
            "attestation": await self._attest(case.run, verdict, digest),  # S16
            "claim": case.claim.id,
            "status": verdict.status.value,
            "level": verdict.level,
            "reason": verdict.reasons[0] if verdict.reasons else "",
        }
        entry = await self._ledger.append(case.run, EntryKind.VERDICT_GIVEN, key, body, unit=case.claim.unit)
        _log.info("verdict_given", run=case.run, claim=case.claim.id, status=verdict.status.value)
        return Verdict.model_validate_json(await self._blobs.get(str(entry.body["verdict"])))

    async def _attest(self, run: str, verdict: Verdict, digest: str) -> str | None:
        if self._signer is None:
            return None
        statement = attest(run, verdict, digest, digest_of(self._settings))
        return await self._blobs.put(self._signer.sign(statement, PAYLOAD_TYPE))

    async def _examine(self, case: Case, began: float) -> Verdict:
        claimed = examine_claim(case)  # S0
        adopted = await adopt(self._git, case.claim)  # S1
        layout = await lay_out(self._git, self._settings, case, adopted)
        facts = await asyncio.to_thread(self._survey, case, claimed, adopted, layout)  # S2, S3
        if not is_admitted(facts):
            return judge(facts, ())
        async with self._sealed(case.run) as bench:  # S4
            trials = await self._both_sides(facts, layout, bench, deadline=self._deadline(began))  # S14
            reach = await asyncio.to_thread(look, layout, self._git.contents, facts.program_changed)
            trials.note(untouched=reach.untouched)
            course = Course(trials, reach.nearest)  # S5: each of its trees is composed
            await run_head_canary(trials)
            await course.run()  # S6; S7 base/base, head/base and head/head; S10 without the work and with it
            await run_dependencies(trials)  # S14: each side with the other's
            if not course.is_refuted and not canary_fault(trials.book):
                await run_meter(trials)  # S15, with nothing beside it
                await self._control(trials, course)  # S7 base/head; S8; S9; S12
                if facts.project.runner == "pytest" and not any(jitter_refutations(trials.book)):
                    await run_ablation(trials, self._settings.proof.ablations, trials.deadline)  # S13
                    if trials.has_time():
                        await run_probe(trials, self._settings.proof.probed)  # S11
                    await run_mutants(trials, self._settings.proof.mutants)  # S13
            return judge(trials.facts, trials.evidence.values())

    async def _control(self, trials: Trials, course: Course) -> None:
        """Execute what shows that the greens could have been red: all of it at once, or, where the time is bounded, in
        the order in which it is needed.
        """
        proof, work = self._settings.proof, [course.run_brought()]  # S7 base/head, and S8: null implementations
        if trials.facts.project.runner == "pytest":
            twins = in_turn(run_twins(trials, proof.twins), run_outside(trials, proof.twins))  # S8: negative twins; S9
            work += [twins, run_jitter(trials, proof.jittered, trials.deadline)]  # S12
        await (together if trials.deadline is None else in_turn)(*work)

    def _survey(self, case: Case, claimed: Step, adopted: Adopted, layout: Layout) -> Facts:
        """Return what the trees and the settings say, before anything is executed."""
        contents, project, division = self._git.contents, self._settings.project, layout.division
        allowed = examine_tree(adopted.base, adopted.head, contents, project)  # S2
        noted, flags = flag_changes(layout.base, layout.head, layout.visible, contents, self._settings)  # S3
        trusted = (layout.visible, layout.held_out)
        taken = examine_dependencies(layout.base, layout.head, contents, self._settings, case.claim.draft)  # S14
        return Facts(
            case=case,
            tree=adopted.head_tree,
            project=project,
            baseline_runs=self._settings.proof.baseline_runs,
            replicates=max(_FEWEST, self._settings.proof.replicates),
            level=self._level(),
            secret=self._cache.secret() if self._cache is not None else digest_of([case.run, adopted.head_tree]),
            steps=(claimed, adopted.step, allowed, noted),
            flags=(*flags, *taken.flags),
            dependencies=taken,
            program_changed=division.changed_program(),
            judge_side_changed=division.changed_tests(*trusted),
            replaced=division.replaced(*trusted),
        )

    async def blank(self, run: str, unit: str, attempt: int, base: str, trusted: TrustedTests) -> BlankResult:
        """Run the trusted tests at the base and say whether each one fails for a reason that counts."""
        draft = ClaimDraft(kind=ClaimKind.TESTS, statement="the tests fail where the work is not done")
        claim = Claim(id=f"{unit}.blank.{attempt}"[:64], author="tester", base=base, head=base, draft=draft)
        case = Case(run=run, claim=claim, trusted=trusted)
        facts, layout = await self._look(case)
        over = dict(layout.base)
        for tree in filter(None, (trusted.visible, trusted.held_out)):
            over |= await self._git.tree(tree)
        allowed = examine_tree(layout.base, over, self._git.contents, self._settings.project)
        if allowed.outcome != "passed":
            return BlankResult(status="failed", reasons=allowed.reasons)
        async with self._sealed(run) as bench:
            trials = self._trials(facts, layout, bench)
            await Course(trials).run_blank()
        return judge_blank(trials.book, layout.module_names())

    async def examine(self, case: Case, doubt: Doubt, *, key: str) -> DoubtResult:
        """Execute a doubt's check at the head (and at the base) in fresh sandboxes."""
        facts, layout = await self._look(case)
        async with self._sealed(case.run) as bench:
            trials = await self._both_sides(facts, layout, bench, scope=key)
            await Course(trials).run_doubt(doubt.check, key)
        return judge_doubt(trials.book, doubt.check.id)

    async def _look(self, case: Case) -> tuple[Facts, Layout]:
        claimed, adopted = examine_claim(case), await adopt(self._git, case.claim)
        layout = await lay_out(self._git, self._settings, case, adopted)
        return await asyncio.to_thread(self._survey, case, claimed, adopted, layout), layout

    async def _both_sides(
        self, facts: Facts, layout: Layout, bench: Bench, scope: str | None = None, deadline: float | None = None
    ) -> Trials:
        """Return trials of which those at the head have the head's dependencies."""
        facts, image = await resolve(facts, bench.image, self._image_at, deadline)
        if image is not None:
            await bench.keep_image(image)
        return self._trials(facts, layout, bench, scope, deadline, image)

    def _trials(
        self,
        facts: Facts,
        layout: Layout,
        bench: Bench,
        scope: str | None = None,
        deadline: float | None = None,
        image: Image | None = None,
    ) -> Trials:
        return Trials(
            *(facts, layout, bench, self._git, self._cache, scope or facts.case.claim.id, deadline, image),
            together_later=self._settings.proof.jittered > 0,
        )

    def _deadline(self, asked: float) -> float | None:
        budget = self._settings.proof.budget_seconds
        return None if budget is None else (asked if self._began is None else self._began) + budget

    def _level(self) -> Level:
        """Return the level that is asked for: what the runner can reach where nobody said."""
        said = self._settings.proof.level
        return said if said is not None else "B" if self._settings.project.runner == "pytest" else "C"

    @asynccontextmanager
    async def _sealed(self, run: str) -> AsyncIterator[Bench]:
        """Give a bench; at the end nothing is left of what was prepared for it."""
        profile = seal(self._settings)
        bench = Bench(
            run,
            git=self._git,
            ledger=self._ledger,
            blobs=self._blobs,
            sandboxes=self._sandboxes,
            settings=self._settings,
            clock=self._clock,
            image=await self._sandboxes.image(profile),
            profile=profile,
            progress=self._progress,
        )
        await bench.keep_image(bench.image)
        bench.promise(_AHEAD)
        try:
            yield bench
        finally:
            await bench.close()

    async def _keep_witness(self, case: Case, verdict: Verdict) -> None:
        """Let a ref lead to the tree that a witness executes, so that it stays in the store."""
        if verdict.witness is not None:
            name = f"refs/assay/witnesses/{digest_of([case.run, case.claim.id]).removeprefix('sha256:')[:16]}"
            await self._git.set_ref(name, verdict.witness.tree)
