"""Who answers a checkpoint, and how an answer shows that it is theirs."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError

from assay.errors import DecisionError
from assay.records.base import canonical_json
from assay.records.decisions import Decision, DecisionType, Question


class LocalPeople:
    """People of this machine: whoever can read the key in the private state directory.

    An answer carries a seal (HMAC-SHA-256 with that key) over the question's digest and the whole
    decision. So it counts for exactly what was shown, cannot be made by an agent or a file in a
    repository, and may lie in a checkpoint without giving the key away.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def at(cls, path: Path) -> LocalPeople:
        """Return the people whose key lies at `path`, making the key where there is none."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(path.read_bytes())
        with os.fdopen(descriptor, "wb") as file:
            key = secrets.token_bytes(32)
            file.write(key)
        return cls(key)

    def answer(
        self,
        question: Question,
        kind: DecisionType,
        *,
        by: str,
        via: str,
        at: datetime,
        message: str = "",
        args: dict[str, JsonValue] | None = None,
    ) -> dict[str, Any]:
        """Return an answer in LangChain's human-in-the-loop form, with digest and credential beside it."""
        decision: dict[str, Any] = {"type": kind.value}
        if message:
            decision["message"] = message
        if kind is DecisionType.EDIT:
            decision["edited_action"] = {"name": question.kind.value, "args": args or {}}
        signed = {"decisions": [decision], "digest": question.digest, "by": by, "via": via, "at": at.isoformat()}
        return {
            "decisions": signed["decisions"],
            "digest": signed["digest"],
            "credential": {"by": by, "via": via, "at": signed["at"], "seal": self._seal(signed)},
        }

    def accept(self, answer: object, question: Question) -> Decision:
        """Return the decision in an answer to this question; raises DecisionError when it cannot count."""
        if not isinstance(answer, Mapping):
            raise DecisionError("the answer is not an object with `decisions`, `digest` and `credential`")
        if answer.get("digest") != question.digest:
            raise DecisionError(
                "the answer is about something else than what is asked now (its digest does not match)",
                next_step="read the question as it is now, and answer that",
            )
        credential = answer.get("credential")
        decisions = answer.get("decisions")
        if not isinstance(credential, Mapping):
            raise DecisionError("the answer has no credential: nobody is known to have given it")
        if not isinstance(decisions, list) or len(decisions) != 1 or not isinstance(decisions[0], Mapping):
            raise DecisionError("the answer must hold exactly one decision")
        signed = {
            "decisions": decisions,
            "digest": question.digest,
            **{k: credential.get(k) for k in ("by", "via", "at")},
        }
        if not hmac.compare_digest(str(credential.get("seal", "")), self._seal(signed)):
            raise DecisionError("the credential does not fit the answer")
        return _decision(question, decisions[0], credential)

    def _seal(self, signed: dict[str, Any]) -> str:
        return hmac.new(self._key, canonical_json(signed), hashlib.sha256).hexdigest()


def _decision(question: Question, given: Mapping[str, Any], credential: Mapping[str, Any]) -> Decision:
    edited = given.get("edited_action")
    try:
        decision = Decision(
            question=question.id,
            digest=question.digest,
            type=given.get("type"),
            message=given.get("message", ""),
            args=edited.get("args") if isinstance(edited, Mapping) else None,
            by=credential.get("by"),
            via=credential.get("via"),
            at=credential.get("at"),
        )
    except ValidationError as error:
        raise DecisionError(f"the answer cannot be read: {error.errors()[0]['msg']}") from error
    if decision.type not in question.allowed:
        allowed = ", ".join(a.value for a in question.allowed)
        raise DecisionError(f"{decision.type.value!r} is no answer to this question; it takes {allowed}")
    if decision.type is DecisionType.EDIT and decision.args is None:
        raise DecisionError("an edit must carry the edited arguments")
    if decision.type is DecisionType.RESPOND and not decision.message.strip():
        raise DecisionError("a response must say something")
    return decision
