"""S14: the dependencies of the head are resolved apart, and what held with the base's is asked again with them.

Defeats new versions that break what worked, and results that only an author's choice of packages makes green. What a
lock file pins by digest is fetched as wheels and installed without network and without any script; the head's program
runs with that, the base's with its own. Then each is run with the other's: so a failure is told by what causes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from assay.errors import ConfigurationError, DiskFull, EngineUnavailable, InfrastructureError, StoreCorrupt
from assay.evidence.dependency_changes import Dependencies
from assay.evidence.expectations import Standing
from assay.evidence.facts import Book, Facts, Subject
from assay.evidence.grounds import Open, Refuted
from assay.evidence.matrix import broken_ids, brought_ids, needed_ids
from assay.evidence.refutation import TESTS
from assay.evidence.together import together
from assay.evidence.trials import Trials
from assay.evidence.witness import bear_difference
from assay.records.claims import ClaimKind
from assay.records.sandboxes import Image
from assay.records.verdicts import Step

ImageAt = Callable[[str], Awaitable[Image]]
"""From a commit to the image of the proof's profile with what the lock file at that commit pins.

Raises ConfigurationError for a lock file that cannot be used, and InfrastructureError where it could not be fetched.
"""

_MOST_NAMED: Final = 5


async def resolve(
    facts: Facts, base: Image, image_at: ImageAt | None, deadline: float | None
) -> tuple[Facts, Image | None]:
    """Return the facts with what became of the head's dependencies, and the image that has them.

    Args:
        facts: with what differs.
        base: the image of the base.
        image_at: makes images; None where the host's own sandboxes cannot have any.
        deadline: monotonic seconds after which it is given up.

    Raises EngineUnavailable, DiskFull, StoreCorrupt: assay could not do its work.
    """
    found = facts.dependencies
    if not found.files:
        return facts, None
    trouble, question = _obstacle(found, facts, image_at)
    image: Image | None = None
    if not trouble and image_at is not None:
        try:
            async with asyncio.timeout(None if deadline is None else max(0.0, deadline - time.monotonic())):
                image = await image_at(facts.case.claim.head)
        except TimeoutError:
            trouble = (
                f"what {found.lock} pins could not be fetched and installed before the time for the proof was over"
            )
            question = "May the proof take longer? Give more seconds (--seconds, or budget_seconds under [proof])."
        except (EngineUnavailable, DiskFull, StoreCorrupt):
            raise
        except ConfigurationError as error:
            trouble = f"the head's dependencies cannot be installed: {error.message}"
            question = f"How are they to be installed? {(error.next_step or 'Mend the lock file').capitalize()}."
        except InfrastructureError as error:
            trouble = f"the head's dependencies could not be fetched: {error.message}"
            question = f"Can they be fetched from here? {(error.next_step or 'Run the proof again').capitalize()}."
    loaded = () if image is None else _names_of(image.loaded, base.loaded)
    known = {"image": None if image is None else image.id, "trouble": trouble, "question": question, "loaded": loaded}
    return facts.model_copy(update={"dependencies": found.model_copy(update=known)}), image


def _names_of(loaded: tuple[str, ...], before: tuple[str, ...]) -> tuple[str, ...]:
    """Return what loads itself now and did not, in any version: whoever was let in before is the same publisher."""
    known = {package.partition(" ")[0] for package in before}
    return tuple(package for package in loaded if package.partition(" ")[0] not in known)


def _obstacle(found: Dependencies, facts: Facts, image_at: ImageAt | None) -> tuple[str, str]:
    """Return why nothing can be resolved, and the question; empty where it can be tried."""
    lock, named = found.lock, _some(found.files)
    if lock is None:
        return (
            f"{named} changed, and the sandboxes are not made from {'it' if len(found.files) == 1 else 'any of them'}",
            "Which lock file of the base pins what is installed? Name it as `dependencies` under "
            f"[sandboxes], or give an image that has what {named} asks for. The proof ran without it.",
        )
    if found.unreadable:
        return f"the lock file {lock} cannot be read: {found.unreadable}", f"What does {lock} pin? Write it anew."
    if found.unhashed:
        return (
            f"{lock} has no digest for {_some(found.unhashed)}, so nobody knows which files are meant",
            f"Which files does {lock} mean? Write it with digests (`pip-compile --generate-hashes`, `uv lock`).",
        )
    if image_at is None:
        return (
            "these sandboxes cannot have layers of dependencies",
            f"Which image has what {lock} pins? Give it with --image.",
        )
    return "", ""


async def run_head_canary(trials: Trials) -> None:
    """Execute the canary with the head's dependencies, where they are others."""
    if trials.image is not None:
        await trials.canary("head")


async def run_dependencies(trials: Trials) -> None:
    """Execute the head's program with the base's dependencies, and the other way round where something broke."""
    if trials.image is None:
        return
    book = trials.book
    needed = needed_ids(book)
    work = [trials.suite(Subject.REGRESSION, "old-lock", expected=needed)]
    if broken_ids(book):
        work.append(trials.suite(Subject.REGRESSION, "new-lock", expected=needed))
    for subject in TESTS:
        head = book.first(subject, "head")
        if subject is not Subject.REGRESSION and head is not None:
            ids = _passing(book, subject)
            work.append(
                trials.suite(subject, "old-lock", modules=trials.layout.modules(subject, ids), select=ids, expected=ids)
            )
    await together(*work)


def _passing(book: Book, subject: Subject) -> tuple[str, ...]:
    """Return the ids of a subject on which a proof may rest: those that pass with the head's dependencies."""
    head = book.first(subject, "head")
    if head is None:
        return ()
    ids = {Subject.REGRESSION: needed_ids, Subject.BROUGHT: brought_ids}.get(subject, lambda _: head.ids)(book)
    return tuple(i for i in ids if head.stand(i) is Standing.PASSED)


def resting_on_new(book: Book) -> dict[Subject, tuple[str, ...]]:
    """Return the ids that pass with the head's dependencies and were not seen to pass with the base's."""
    found: dict[Subject, tuple[str, ...]] = {}
    for subject in TESTS if book.facts.dependencies.image is not None else ():
        old = book.first(subject, "old-lock")
        found[subject] = tuple(i for i in _passing(book, subject) if old is None or old.stand(i) is not Standing.PASSED)
    return {subject: ids for subject, ids in found.items() if ids}


def undeclared_dependencies(book: Book) -> Iterator[Refuted]:
    """Yield where the trees alone show that the change takes what its claim says it does not."""
    facts = book.facts
    for one in facts.dependencies.undeclared[:1]:
        claim = facts.case.claim
        said = ", ".join(claim.draft.new_dependencies or ()) or "none"
        names = _some(tuple(dict.fromkeys(u.name for u in facts.dependencies.undeclared)))
        witness = bear_difference(
            claim,
            facts.tree,
            one.path,
            expected=f"the new dependencies are what the claim says: {said}",
            got=f"{one.path} brings {names}",
        )
        yield Refuted(f"the claim says which dependencies are new ({said}), and {one.path} brings {names}", witness)


def dependency_points(book: Book) -> Iterator[Open]:
    """Yield what stands in the way of a proof that is about the head's dependencies."""
    facts, found = book.facts, book.facts.dependencies
    about_them = facts.case.claim.draft.kind is ClaimKind.DEPENDENCY
    if about_them and not found.files:
        yield Open(
            "the claim is of kind dependency, and no manifest, lock file or image that is known here differs",
            "Which dependency changes, and where is that written?",
        )
    if about_them and found.files and found.image is None and not found.trouble:
        yield Open("the head's dependencies were not resolved", "Run the proof again.")
    if found.trouble and (about_them or found.lock is not None):
        yield Open(found.trouble, found.question)
    heads = [reading for subject in TESTS if (reading := book.first(subject, "head")) is not None]
    if found.image is not None and any(reading.evidence.image != found.image for reading in heads):
        yield Open("the head was not run with its own dependencies", "Run the proof again.")
    if about_them and found.image is not None and not needed_ids(book):
        yield Open(
            "the base has no tests that pass, so nothing shows that what worked works with the new dependencies",
            "Which tests show what this program does today?",
        )
    resting = sum(len(ids) for ids in resting_on_new(book).values())
    if found.loaded and (about_them or resting):
        names = _some(found.loaded)
        why = f"; {resting} tests were seen to pass only with it" if resting else ""
        yield Open(
            f"the change brings {names}, which is loaded by itself, before the judge is{why}",
            f"May {names} be a part of what judges the program? Then let the base's lock file have it first.",
        )


def causes_of_breaking(book: Book) -> Iterator[str]:
    """Yield, of the ids that broke, whether the new dependencies did it by themselves."""
    old, new = book.first(Subject.REGRESSION, "old-lock"), book.first(Subject.REGRESSION, "new-lock")
    broken = tuple(broken_ids(book))
    if old is None or new is None or not old.whole or not broken:
        return
    by_versions = tuple(i for i in broken if new.stand(i) is not Standing.PASSED)
    both = tuple(i for i in broken if i not in by_versions and old.stand(i) is Standing.PASSED)
    by_program = tuple(i for i in broken if i not in by_versions and i not in both)
    if by_versions:
        yield f"{_some(by_versions)}: the new dependencies alone break it, with the base's program, too"
    if both:
        yield f"{_some(both)}: only the changed program together with the new dependencies breaks it"
    if by_program:
        yield f"{_some(by_program)}: the changed program breaks it, with the base's dependencies, too"


def dependency_step(book: Book) -> Step | None:
    """Return S14 as it went; None where the change has nothing to do with dependencies."""
    found = book.facts.dependencies
    about_them = book.facts.case.claim.draft.kind is ClaimKind.DEPENDENCY
    if not found.files and not about_them:
        return None
    kinds = [flag.kind.removeprefix("dependency-") for flag in found.flags]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    reasons = [f"{_some(found.files)}: {counts or 'nothing that counts'}"] if found.files else []
    if found.image is not None:
        reasons.append(
            f"what {found.lock} pins by digest was installed apart, without network and without any script; "
            f"the head ran with it, in {found.image[:19]}"
        )
        reasons += _crossed(book)
    if found.loaded:
        reasons.append(f"loaded by itself, and new: {_some(found.loaded)}")
    reasons += [point.reason for point in dependency_points(book)]
    reasons += [found.trouble] if found.trouble and found.trouble not in reasons else []
    evidence = book.evidence_at("old-lock", "new-lock")
    open_points = any(True for _ in dependency_points(book))
    failed = bool(found.undeclared) or (found.image is not None and bool(broken_ids(book)))
    return Step(
        id="S14",
        title="Dependencies",
        outcome="failed" if failed else "inconclusive" if open_points else "flagged" if found.flags else "passed",
        reasons=tuple(reasons),
        evidence=evidence,
        seconds=book.seconds_of(evidence),
    )


def _crossed(book: Book) -> Iterator[str]:
    """Yield what running each side with the other's dependencies showed."""
    old = book.first(Subject.REGRESSION, "old-lock")
    if old is None:
        yield "the head was not run with the base's dependencies"
        return
    needed = needed_ids(book)
    kept = sum(1 for i in needed if old.stand(i) is Standing.PASSED)
    yield f"{kept} of {len(needed)} tests of the base pass at the head with the base's dependencies, too"
    for subject, ids in resting_on_new(book).items():
        names = f"{len(ids)} held-out tests" if subject is Subject.HELD_OUT else _some(ids)
        yield f"{subject.value}: only with the new dependencies: {names}"
    yield from causes_of_breaking(book)


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
