"""Secrets are taken out before anything is written: well-known token forms, and the environment's own values.

Only forms that cannot be mistaken for code are matched. A transcript is read back to the model, so
a guess such as "whatever follows `token =`" would put words into files that nobody wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from pydantic import JsonValue

Redact = Callable[[JsonValue], JsonValue]
"""Takes a JSON value and returns it without secrets."""

_FORMS: Final = tuple(
    (name, needles, re.compile(form, re.DOTALL))
    for name, needles, form in (
        (
            "private-key",
            ("PRIVATE KEY",),
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
        ),
        ("aws-key", ("AKIA", "ASIA", "ABIA", "ACCA"), r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
        (
            "aws-secret",
            ("aws_secret_access_key",),
            r"(?<=aws_secret_access_key)[\"']?\s{0,3}[=:]\s{0,3}[\"']?[A-Za-z0-9/+=]{40}",
        ),
        ("github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9]{36,255}"),
        ("github-token", ("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{22,255}"),
        ("gitlab-token", ("glpat-", "gldt-", "glrt-"), r"\bgl(?:pat|dt|rt)-[A-Za-z0-9_-]{20,}"),
        ("slack-token", ("xox",), r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
        ("anthropic-key", ("sk-ant-",), r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
        ("openai-key", ("sk-",), r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{32,}"),
        ("google-key", ("AIza",), r"\bAIza[A-Za-z0-9_-]{35}"),
        ("stripe-key", ("k_live_", "k_test_"), r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
        ("npm-token", ("npm_",), r"\bnpm_[A-Za-z0-9]{36}"),
        ("pypi-token", ("pypi-AgE",), r"\bpypi-AgE[A-Za-z0-9_-]{40,}"),
        ("huggingface-token", ("hf_",), r"\bhf_[A-Za-z0-9]{30,}"),
        ("jwt", ("eyJ",), r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
        ("bearer", ("earer ",), r"(?<=[Bb]earer )[A-Za-z0-9._~+/-]{16,}=*"),
        ("basic", ("asic ",), r"(?<=[Aa]uthorization: [Bb]asic )[A-Za-z0-9+/]{8,}=*"),
        ("url-password", ("://",), r"(?<=://)[^\s/:@\"'\[\]]{0,64}:[^\s/@\"'\[\]]{3,128}(?=@)"),
    )
)
"""Name, texts of which one must occur before the expression is worth trying (a fiftieth of its cost), expression."""

_SECRET_WORDS: Final = re.compile(
    r"(?:^|_)(?:API)?(?:KEYS?|TOKENS?|SECRETS?|PASS(?:WORD|WD|PHRASE)?|CREDENTIALS?|AUTH|PAT)(?:_|$)", re.IGNORECASE
)
_SHORTEST_VALUE: Final = 8
"""Shorter values of variables are left alone: taking `test` or `1` out of every text destroys it."""


class Redactor:
    """Takes secrets out of texts and JSON values. Doing it twice changes nothing more."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Take note of the values of variables in `environment` whose names say that they are secret."""
        values = {value: name for name, value in environment.items() if _is_secret(name, value)}
        self._names = values
        longest_first = sorted(values, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, longest_first))) if values else None
        needles = [needle for _, some, _ in _FORMS for needle in some]
        self._signs = (*needles, *(json.dumps(value, ensure_ascii=False)[1:-1] for value in values))

    def __call__(self, value: JsonValue) -> JsonValue:
        """Return a JSON value with the secrets in its strings and keys replaced.

        Most values hold none. That is seen by one look at the whole, at a tenth of the price of a look at each text.
        """
        whole = json.dumps(value, ensure_ascii=False)
        return self._clean(value) if any(sign in whole for sign in self._signs) else value

    def _clean(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._clean(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self._clean(item) for key, item in value.items()}
        return value

    def text(self, text: str) -> str:
        """Return a text in which `[redacted:WHAT]` stands in the place of each secret."""
        if len(text) < _SHORTEST_VALUE:
            return text
        if self._values is not None:
            text = self._values.sub(lambda found: f"[redacted:{self._names[found.group()]}]", text)
        for name, needles, form in _FORMS:
            if any(needle in text for needle in needles):
                text = form.sub(f"[redacted:{name}]", text)
        return text


def _is_secret(name: str, value: str) -> bool:
    # A variable such as SSH_AUTH_SOCK or GIT_ASKPASS names a file; a path is no secret.
    return len(value) >= _SHORTEST_VALUE and value[0] not in "/[" and _SECRET_WORDS.search(name) is not None
