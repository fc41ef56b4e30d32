"""Data governance: what must not leave by path or by pattern, and what looks like a real person's data in fixtures."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from assay.evidence.gates.looks import ChangedFile, Look, in_words, too_long
from assay.policies.gates import GateFinding, GateResult, judge_findings, unclear
from assay.policies.paths import FileClass, classify, matching

_DATA: Final = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".yaml", ".yml", ".xml", ".sql", ".txt", ".eml", ".vcf")
_WINDOW: Final = 20_000
_OVERLAP: Final = 2_000
"""Characters: a long line is looked at in parts, each with so much of what stands before and after it."""
_EMAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@((?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24})(?![\w-])")
_RESERVED: Final = re.compile(
    r"(?:.*\.)?(?:example\.(?:com|net|org)|(?:example|test|invalid|localhost|local|internal|corp|home|lan)|"
    r"noreply\.github\.com|users\.noreply\.github\.com)",
    re.IGNORECASE,
)
"""Domains that belong to nobody (RFC 2606, RFC 6761), and private ones."""
_PHONE: Final = re.compile(r"(?<![\w.])\+[1-9](?:[ ()./-]?\d){8,14}(?!\d)")
_FICTIONAL: Final = re.compile(r"1\d{3}55501\d\d|44(?:1632960|7700900|2079460|1144960)\d{3}|1800\d{7}")
"""Numbers set aside for films and books."""
_IBAN: Final = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD: Final = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w.-])")
_TEST_CARDS: Final = frozenset(
    {
        *("4242424242424242", "4111111111111111", "4000056655665556", "5555555555554444", "378282246310005"),
        *("5105105105105100", "4012888888881881", "6011111111111117", "30569309025904", "3530111333300000"),
    }
)
"""That payment providers publish for tests."""
_SSN: Final = re.compile(r"(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")


async def look_for_data(look: Look) -> GateResult:
    """Return whether the change holds what must not leave, or brings what looks like a real person's data."""
    head, base = await look.files("head"), await look.files("base")
    if long := too_long(head):
        return unclear(look.name, look.gate, f"too long to be scanned: {', '.join(long[:5])}")
    after = [*_closed_paths(look, head), *await asyncio.to_thread(lambda: list(_in_texts(look, head)))]
    before = await asyncio.to_thread(lambda: list(_in_texts(look, base)))
    return judge_findings(look.name, look.gate, before, after, in_words(head))


def _closed_paths(look: Look, files: tuple[ChangedFile, ...]) -> Iterator[GateFinding]:
    """Yield the files of a change that must not be in any: that the base has them, too, is no excuse to send more."""
    for file in files:
        if (pattern := matching(look.gate.paths, file.path, lenient=True)) is not None:
            yield GateFinding(rule=f"paths {pattern}", message="must not leave", path=file.path, mark=file.path)


def _in_texts(look: Look, files: tuple[ChangedFile, ...]) -> Iterator[GateFinding]:
    patterns = [(pattern, re.compile(pattern)) for pattern in look.gate.patterns]
    for file in files:
        if not file.is_text:
            continue
        data = _is_data(file.path, look)
        for number, line in enumerate(file.text.splitlines(), 1):
            for source, compiled in patterns:
                for found in _in_parts(line, compiled.finditer):
                    yield _finding(look, f"patterns {source}", "holds what must not leave", file.path, number, found[0])
            for rule, find in PERSONAL.items() if data else ():
                for found in _in_parts(line, find):
                    yield _finding(look, rule, "looks like a real person's", file.path, number, found[0])


def _in_parts(line: str, find: Callable[[str], Iterable[re.Match[str]]]) -> Iterator[re.Match[str]]:
    """Yield what is found in a line: parts of it are looked at, so that the time does not grow with its square."""
    for start in range(0, max(len(line), 1), _WINDOW):
        left = max(0, start - _OVERLAP)
        for found in find(line[left : start + _WINDOW + _OVERLAP]):
            if start <= left + found.start() < start + _WINDOW:
                yield found


def _is_data(path: str, look: Look) -> bool:
    return classify(path, look.settings) is FileClass.TEST or path.lower().endswith(_DATA)


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _is_iban(text: str) -> bool:
    """Whether the check digits are right (ISO 13616)."""
    bare = text.replace(" ", "")
    return 15 <= len(bare) <= 34 and int("".join(str(int(c, 36)) for c in bare[4:] + bare[:4])) % 97 == 1


def _is_card(text: str) -> bool:
    """Whether the check digit is right (Luhn, ISO 7812), and a network has such numbers."""
    digits = _digits(text)
    doubled = [int(d) * (1 + n % 2) for n, d in enumerate(reversed(digits))]
    valid = sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0
    return valid and digits[0] in "3456" and len(set(digits)) > 2 and digits not in _TEST_CARDS


def _that(pattern: re.Pattern[str], holds: Callable[[re.Match[str]], bool]) -> Callable[[str], list[re.Match[str]]]:
    return lambda text: [found for found in pattern.finditer(text) if holds(found)]


PERSONAL: Final[Mapping[str, Callable[[str], Iterable[re.Match[str]]]]] = MappingProxyType(
    {
        "email address": _that(_EMAIL, lambda m: not _RESERVED.fullmatch(m[1])),
        "telephone number": _that(_PHONE, lambda m: not _FICTIONAL.fullmatch(_digits(m[0]))),
        "bank account (IBAN)": _that(_IBAN, lambda m: _is_iban(m[0])),
        "payment card": _that(_CARD, lambda m: _is_card(m[0])),
        "social security number": _that(_SSN, lambda m: True),
    }
)
"""What finds each kind of what looks like data of a real person in a text; checked, not only matched."""


def _finding(look: Look, rule: str, message: str, path: str, line: int, value: str) -> GateFinding:
    return GateFinding(rule=rule, message=message, path=path, line=line, mark=look.mark(value))
