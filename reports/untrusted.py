"""Text that somebody else wrote, made so that a person sees all of it.

Tickets, diffs and test output may hold terminal escapes, characters that turn the direction of
writing around ("trojan source", CVE-2021-42574), or nothing visible at all. Each is shown by name.
"""

from __future__ import annotations

import re
from typing import Final

from assay.records.sandboxes import Ending, Exited, OutOfMemory, Signalled, TimedOut

_HIDDEN: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, escape and carriage return among them
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"  # take room or none, and show nothing
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"  # joiners, marks, bidi controls
    "\ud800-\udfff"  # bytes that are not UTF-8, as `os.fsdecode` carries them
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # tags and variation selectors that can hide text
    "]|(?<=[\ufe00-\ufe0f])[\ufe00-\ufe0f]"  # one variation selector dresses an emoji; more of them hide text
)

_NAMES: Final = {0x00: "NUL", 0x07: "BEL", 0x08: "BS", 0x0D: "CR", 0x1B: "ESC", 0x7F: "DEL", 0x9B: "CSI"}


def make_visible(text: str) -> str:
    """Return `text` with every character that shows nothing, or changes how others are shown, as a sign."""
    return _HIDDEN.sub(_sign, text)


def _sign(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code in _NAMES:
        return f"[{_NAMES[code]}]"
    if 0xDC80 <= code <= 0xDCFF:
        return f"[0x{code - 0xDC00:02X}]"
    return f"[U+{code:04X}]"


def shorten(text: str, limit: int) -> str:
    """Return `text` in at most about `limit` characters, saying how many were left out of the middle."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def describe_ending(ending: Ending | None) -> str:
    """Return how a command ended, in words."""
    match ending:
        case None:
            return "sandbox lost"
        case Exited(code=code):
            return f"exit {code}"
        case Signalled(signal=signal):
            return f"killed by signal {signal}"
        case TimedOut(seconds=seconds):
            return f"timed out after {seconds:g} s"
        case OutOfMemory():
            return "out of memory"
