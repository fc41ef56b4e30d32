"""Requests and answers over one connection, many at a time: the judge's end (S9).

This file is written into the judge's sandbox, outside of the workspace; assay itself never imports it. It may use
nothing but the standard library.

Each request has a number, and each thread of the judge's has one of its own in the worker, so that what one of them
waits for holds up no other. What changed in shared folders goes before each message, both ways: what a test wrote is
there when the program is asked, and what the program wrote is there when its answer is.
"""

from __future__ import annotations

import itertools
import queue
import socket
import struct
import threading
from typing import Any

from .crossing import Malformed, connect
from .folders import Folders, Sent, Unshared

_SEND_SECONDS = 30


class Exchange:
    """One worker, for as long as its connection lasts; raises OSError where there is none.

    Args:
        folders: what both sides share.
    """

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._stream = connect()
        limit = struct.pack("ll", _SEND_SECONDS, 0)
        self._stream.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[Any]] = {}
        self._sending, self._closing = threading.Lock(), threading.Lock()
        self.ended: BaseException | None = None
        """Why nothing more comes from the worker; None while it may."""
        self._shared: list[list[Any]] = []
        """Places that the worker is told of with the next request."""
        threading.Thread(target=self._receive, daemon=True).start()

    def share(self, place: str, sent: Sent, *, back: bool) -> None:
        """Share a place; no request goes between, of which the worker would be told files and not the place."""
        with self._sending:
            if self._folders.add(place, sent=sent, taken=back):
                self._shared.append([place, back])

    def ask(self, request: dict[str, Any], seconds: float | None) -> dict[str, Any]:
        """Return the answer to a request; raises Unshared, TimeoutError, or whatever ended the exchange."""
        number, answers = next(self._numbers), queue.SimpleQueue[Any]()
        main = threading.current_thread() is threading.main_thread()
        self._waiting[number] = answers
        try:
            with self._sending:
                if self.ended is not None:
                    raise self.ended
                told = {"share": self._shared, "files": self._folders.changes()} if self._folders else {}
                self._stream.send({"id": number, "thread": 0 if main else threading.get_ident(), **told, **request})
                self._shared = []
            answer = answers.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None
        finally:
            self._waiting.pop(number, None)
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[no-any-return]

    def _receive(self) -> None:
        try:
            while True:
                answer = self._stream.receive()
                if not isinstance(answer, dict):
                    raise Malformed("no answer")
                if answer.get("unshared"):
                    self._folders.forget()  # as the worker does; what is shared later begins anew
                else:
                    self._folders.apply(answer.get("files", []))
                waiting = self._waiting.get(answer["id"])
                if waiting is not None:  # or nobody waits for it any more
                    waiting.put(answer)
        except (OSError, EOFError, Malformed, Unshared) as error:
            self.close(error)
        except (KeyError, TypeError) as error:
            self.close(Malformed(type(error).__name__))

    def close(self, why: BaseException | None = None) -> None:
        """Let the worker go; whoever waits for an answer is told why there is none."""
        with self._closing:
            if self.ended is not None:
                return
            self.ended = EOFError() if why is None else why
        self._stream.close()
        for waiting in tuple(self._waiting.values()):
            waiting.put(self.ended)
