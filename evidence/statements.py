"""S0: what the author says in words, held sentence by sentence against what the proof itself computed.

Shown to people and never used to decide. It knows a few things that are said of changes all the time: how many tests
there are and pass, which commit it is about, which files changed, whether tests were touched. A sentence that says more
than that is unverified: nothing here understands language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from assay.evidence.expectations import Reading, Standing
from assay.evidence.facts import Subject
from assay.records.claims import MarkedSentence
from assay.records.evidence import Evidence

_MOST: Final = 200
"""Sentences that are marked; of a longer statement the rest is not shown as marked."""
_MOST_WORDS: Final = 6
"""Words that a sentence may have beside what was confirmed, and still be confirmed by it."""
_NUMBER: Final = r"(?<!\w)(?<!\d,)(\d[\d,]{0,30})"
"""No longer than Python reads one; and none that begins inside of another."""

Finding = tuple[Literal["confirmed", "contradicted"], str, re.Match[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the proof computed, as far as statements are about it. None: it is not known."""

    commits: tuple[str, ...] = ()
    """Base and head."""
    changed: tuple[str, ...] = ()
    """Paths of changed files, old names of renamed ones among them."""
    tests_changed: tuple[str, ...] | None = None
    """Those of them that are tests."""
    passing: int | None = None
    """Ids of the head's own suite that pass there."""
    failing: int | None = None
    added: int | None = None
    """Ids of the head's own suite that the base's does not have."""
    dependencies: tuple[str, ...] | None = None
    """What comes in of other people's code, a few words each."""


def known_of(
    evidence: Iterable[Evidence],
    *,
    commits: tuple[str, ...],
    changed: tuple[str, ...],
    tests_changed: tuple[str, ...] | None = None,
    dependencies: tuple[str, ...] | None = None,
) -> Known:
    """Return what a proof's evidence and the diff say; counts only of whole runs of whole suites."""
    runs = list(evidence)
    regression, brought = Subject.REGRESSION.value, Subject.BROUGHT.value
    base = _first(runs, regression, "base/base")
    head = _first(runs, brought, "head/head")
    if head is None and tests_changed is not None and not tests_changed:
        head = _first(runs, regression, "head/base")  # no test changed: the base's suite is the head's
    if head is None:
        return Known(commits=commits, changed=changed, tests_changed=tests_changed, dependencies=dependencies)
    standings = [head.stand(i) for i in head.ids]
    passing, skipped = standings.count(Standing.PASSED), standings.count(Standing.SKIPPED)
    return Known(
        commits=commits,
        changed=changed,
        tests_changed=tests_changed,
        dependencies=dependencies,
        passing=passing,
        failing=len(standings) - passing - skipped,
        added=None if base is None else len(set(head.ids) - set(base.ids)),
    )


def _first(runs: list[Evidence], purpose: str, cell: str) -> Reading | None:
    found = (Reading(e) for e in runs if e.purpose == purpose and str(e.cell) == cell and e.replicate == 0)
    return next((reading for reading in found if reading.whole), None)


def mark_statement(statement: str, known: Known) -> tuple[MarkedSentence, ...]:
    """Return the sentences of a statement, each with what the proof says of it."""
    sentences = list(_sentences(statement))[:_MOST]
    return tuple(_mark(sentence, known) for sentence in sentences)


def _sentences(statement: str) -> Iterator[str]:
    for line in statement.splitlines():
        plain = re.sub(r"^[\s#>*+-]+|^\s*\d+[.)]\s+", "", line).rstrip()
        for part in re.split(r"(?<=[.!?;])\s+(?=[\w`\"'(])", plain):
            if re.search(r"\w", part):
                yield part.strip()


def _mark(sentence: str, known: Known) -> MarkedSentence:
    findings = [found for look in _LOOKS for found in look(sentence, known)]
    why = "; ".join(dict.fromkeys(text for _, text, _ in findings))
    if any(mark == "contradicted" for mark, _, _ in findings):
        wrong = "; ".join(dict.fromkeys(text for mark, text, _ in findings if mark == "contradicted"))
        return MarkedSentence(text=sentence, mark="contradicted", why=wrong)
    if not findings:
        return MarkedSentence(text=sentence, mark="unverified")
    rest = list(sentence)
    for _, _, match in findings:
        rest[match.start() : match.end()] = " " * (match.end() - match.start())
    if len(re.findall(r"\w+", "".join(rest))) > _MOST_WORDS:
        return MarkedSentence(text=sentence, mark="unverified", why=f"only a part of it was looked at: {why}")
    return MarkedSentence(text=sentence, mark="confirmed", why=why)


def _all_pass(sentence: str, known: Known) -> Iterator[Finding]:
    pattern = (
        r"\b(?:all|every|the (?:full|whole|entire))\b[^.;,]{0,40}?\b(?:tests?|suite|specs?)\b[^.;,]{0,20}?"
        r"\b(?:pass(?:es|ed|ing)?|succeeds?|green|ok)\b|\bno (?:tests? )?(?:fail(?:s|ed|ures?|ing)?)\b"
    )
    if known.passing is None or known.failing is None:
        return
    for match in re.finditer(pattern, sentence, re.IGNORECASE):
        fine = known.failing == 0 and known.passing > 0
        yield "confirmed" if fine else "contradicted", f"{known.passing} pass, {known.failing} do not", match


def _counted(sentence: str, known: Known) -> Iterator[Finding]:
    kinds: tuple[tuple[str, int | None, str], ...] = (
        (_NUMBER + r"(?: of \d+|/\d+)?(?: (?:unit )?tests?)?(?: (?:are|have|all|now))* pass(?:es|ed|ing)?\b",
         known.passing, "pass"),
        (_NUMBER + r"(?: (?:unit )?tests?)? (?:fail(?:s|ed|ing|ures?)?)\b", known.failing, "do not pass"),
        (r"\badd(?:s|ed)? (\d[\d,]{0,30}) (?:new |more |unit |regression )*tests?\b", known.added, "are new"),
        (_NUMBER + r" new (?:unit |regression )*tests?\b", known.added, "are new"),
    )  # fmt: skip
    for pattern, number, what in kinds:
        if number is None:
            continue
        for match in re.finditer(pattern, sentence, re.IGNORECASE):
            right = int(match[1].replace(",", "")) == number
            yield "confirmed" if right else "contradicted", f"{number} {what}", match


def _tests_untouched(sentence: str, known: Known) -> Iterator[Finding]:
    pattern = (
        r"\b(?:no|none of the|without (?:any )?)\s*(?:existing )?tests? (?:files? )?(?:were |was |are |have been )?"
        r"(?:chang|modif|touch|alter|edit)\w*|\b(?:the )?tests (?:are|were|stay|remain) (?:unchanged|untouched)"
        r"|\b(?:did not|does not|didn't|doesn't) (?:change|modify|touch|alter|edit) (?:any |the )?(?:existing )?tests?"
    )
    if known.tests_changed is None:
        return
    for match in re.finditer(pattern, sentence, re.IGNORECASE):
        if known.tests_changed:
            yield "contradicted", f"changed: {', '.join(known.tests_changed[:5])}", match
        else:
            yield "confirmed", "no test changed", match


_SPEAKS_OF_HEAD: Final = re.compile(r"\b(?:head|tip|this (?:commit|change)|commit(?:ted)?|verified|tested)\b", re.I)


def _commits(sentence: str, known: Known) -> Iterator[Finding]:
    of_head = _SPEAKS_OF_HEAD.search(sentence) is not None
    for match in re.finditer(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,40}\b", sentence):
        fits = [c for c in known.commits if c.startswith(match[0])]
        if fits:
            yield "confirmed", f"{match[0]} is the {'base' if fits[0] == known.commits[0] else 'head'}", match
        elif of_head and re.search(r"[a-f]", match[0]):
            yield "contradicted", f"{match[0]} is neither base nor head of this change", match


def _no_dependencies(sentence: str, known: Known) -> Iterator[Finding]:
    pattern = (
        r"\b(?:no|without(?: any)?|zero|does not add any|doesn't add any) (?:new |additional |extra |further )"
        r"(?:(?:runtime |external |third[- ]party )?)(?:dependenc(?:y|ies)|packages?|requirements?)\b"
    )
    if known.dependencies is None:
        return
    for match in re.finditer(pattern, sentence, re.IGNORECASE):
        if known.dependencies:
            yield "contradicted", "; ".join(known.dependencies[:5]), match
        else:
            yield "confirmed", "no manifest or lock file names a new one", match


def _files(sentence: str, known: Known) -> Iterator[Finding]:
    verbs = r"(?:add|chang|modif|fix|updat|touch|edit|rewr|remov|delet|refactor)\w*"
    named = r"`?((?:[\w.-]+/)*[\w-]+\.(?!\d)[a-z]\w{0,4})`?"
    if not known.changed:
        return
    for match in re.finditer(rf"\b(only )?{verbs} (only )?(?:the )?(?:files? )?{named}", sentence, re.IGNORECASE):
        path = match[3]
        fits = [p for p in known.changed if p == path or p.endswith("/" + path)]
        others = [p for p in known.changed if p not in fits]
        only = match[1] or match[2]
        if not fits:
            yield "contradicted", f"{path} did not change", match
        elif only and others:
            yield "contradicted", f"changed as well: {', '.join(others[:5])}", match
        else:
            yield "confirmed", f"{fits[0]} changed", match
    for match in re.finditer(
        r"\b(\d{1,30}) files? (?:were |was |are )?(?:changed|touched|modified)", sentence, re.IGNORECASE
    ):
        right = int(match[1]) == len(known.changed)
        yield "confirmed" if right else "contradicted", f"{len(known.changed)} files changed", match


_LOOKS: Final[tuple[Callable[[str, Known], Iterator[Finding]], ...]] = (
    _all_pass,
    _counted,
    _tests_untouched,
    _no_dependencies,
    _commits,
    _files,
)
