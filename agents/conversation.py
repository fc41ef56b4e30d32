"""Where a role stands, read from its turns alone: the same fold serves a run that goes on and one that resumes."""

from __future__ import annotations

from collections import deque

from langchain_core.messages import BaseMessage

from assay.agents.turns import (
    Answer,
    Call,
    Opening,
    Result,
    Told,
    Turn,
    answer_message,
    opening_messages,
    result_message,
    told_message,
)
from assay.records.base import digest_of_bytes


class Conversation:
    """The state that the turns so far add up to."""

    def __init__(self) -> None:
        self.messages: list[BaseMessage] = []
        """What the model is sent next."""
        self.opening: Opening | None = None
        self.last: Turn | None = None
        self.answers = 0
        self.results = 0
        """Tool calls that have their result."""
        self.pending: deque[Call] = deque()
        """Calls of the last answer that have none yet, in order."""
        self.idle = 0
        """Answers in a row that called nothing."""
        self.repeated = 0
        """How often the last call was made in a row, with the same arguments and the same result."""
        self.tree: str | None = None
        """Last saved tree of the workspace; None while it is the commit's."""
        self.held_out: str | None = None
        self.result: str | None = None
        """Digest of the typed result, once it is handed in."""
        self.heard: set[str] = set()
        """Keys of the notes that were passed on."""
        self._previous: tuple[str, str, str] | None = None

    def apply(self, turn: Turn) -> None:
        """Take the next turn into account."""
        self.last = turn
        match turn:
            case Opening():
                self.opening = turn
                self.messages += opening_messages(turn)
            case Answer():
                self._answered(turn)
            case Result():
                self._called(turn)
            case Told():
                if turn.key is not None:
                    self.heard.add(turn.key)
                self.messages.append(told_message(turn))

    def _answered(self, answer: Answer) -> None:
        self.answers += 1
        self.messages.append(answer_message(answer))
        self.pending = deque(answer.calls)
        self.idle = 0 if answer.calls else self.idle + 1

    def _called(self, result: Result) -> None:
        self.results += 1
        self.pending.popleft()
        self.messages.append(result_message(result))
        self.tree = result.tree or self.tree
        self.held_out = result.held_out or self.held_out
        self.result = result.result or self.result
        this = (result.tool, result.arguments, digest_of_bytes(result.text.encode(errors="replace")))
        self.repeated = self.repeated + 1 if this == self._previous else 1
        self._previous = this
