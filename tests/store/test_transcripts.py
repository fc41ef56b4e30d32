"""Transcripts: durable lines, torn ends, constant cost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from pydantic import JsonValue
from small_disks import small_disk

from assay.errors import DiskFull, StoreCorrupt
from assay.records.base import digest_of_bytes
from assay.store.redaction import Redactor
from assay.store.transcripts import Transcript


async def test_lines_come_back_in_order_and_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    """Whatever JSON can say survives; the running digest is what `sha256sum` prints."""
    path = tmp_path / "runs" / "r" / "coder.jsonl"
    lines: list[dict[str, JsonValue]] = [{"a": "é\n\u2028\0"}, {"b": [1, None, {"c": os.fsdecode(b"\xff")}]}, {}]
    async with await Transcript.open(path) as transcript:
        assert (transcript.length, transcript.digest) == (0, digest_of_bytes(b""))
        for line in lines:
            assert transcript.append([line]) == (digest_of_bytes(path.read_bytes()),)
        assert await transcript.lines() == tuple(lines)
    async with await Transcript.open(path) as again:
        assert (again.length, again.digest) == (3, digest_of_bytes(path.read_bytes()))
        assert await again.lines() == tuple(lines)


@pytest.mark.parametrize("torn", [b'{"n":', b'{"n":2}', b"\0\0\0\0", b"x" * 10_000])
async def test_a_torn_end_is_taken_off(tmp_path: Path, torn: bytes) -> None:
    """A last line without its line break was never reported as written, so it does not count."""
    path = tmp_path / "t.jsonl"
    async with await Transcript.open(path) as transcript:
        (whole,) = transcript.append([{"n": 1}])
    with path.open("ab") as file:
        file.write(torn)
    async with await Transcript.open(path) as transcript:
        assert (transcript.length, transcript.digest) == (1, whole)
        transcript.append([{"n": 2}])
        assert await transcript.lines() == ({"n": 1}, {"n": 2})


@pytest.mark.parametrize("rubbish", [b"rubbish\n", b"[1]\n"])
async def test_a_line_in_the_middle_that_is_rubbish_is_named(tmp_path: Path, rubbish: bytes) -> None:
    """Only an end can be torn: anything else is corruption, with the number of the line."""
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"n":1}\n' + rubbish + b'{"n":3}\n')
    async with await Transcript.open(path) as transcript:
        with pytest.raises(StoreCorrupt, match="line 2"):
            await transcript.lines()


APPEND = """
import asyncio, sys
from pathlib import Path
from assay.store.transcripts import Transcript
async def main():
    async with await Transcript.open(Path(sys.argv[1])) as transcript:
        for number in range(100000):
            transcript.append([{"n": number, "text": "x" * 5000}])
            print(number, flush=True)
asyncio.run(main())
"""


async def test_reported_lines_survive_a_kill(tmp_path: Path) -> None:
    """A process killed while it writes leaves every line that it had reported."""
    path = tmp_path / "t.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", APPEND, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(30):
        reported = int(await process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    await process.wait()
    async with await Transcript.open(path) as transcript:
        lines = await transcript.lines()
    assert len(lines) > reported
    assert [line["n"] for line in lines] == list(range(len(lines)))


async def test_secrets_are_taken_out_before_they_are_written(tmp_path: Path) -> None:
    """The file never holds the value."""
    path = tmp_path / "t.jsonl"
    async with await Transcript.open(path, redact=Redactor({"A_TOKEN": "swordfish"})) as transcript:
        transcript.append([{"said": "it is swordfish"}])
    assert path.read_bytes() == b'{"said":"it is [redacted:A_TOKEN]"}\n'


async def test_what_json_cannot_say_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """A refused line is not there in part."""
    async with await Transcript.open(tmp_path / "t.jsonl") as transcript:
        with pytest.raises(ValueError, match="JSON"):
            transcript.append([{"x": float("inf")}])
        assert transcript.length == 0
        transcript.append([{"x": 1}])


async def test_concurrent_appends_are_whole_lines(tmp_path: Path) -> None:
    """Several tasks that append at once do not mix their lines."""
    async with await Transcript.open(tmp_path / "t.jsonl") as transcript:
        await asyncio.gather(*(asyncio.to_thread(transcript.append, [{"n": n, "x": "y" * 3000}]) for n in range(50)))
        lines = await transcript.lines()
        assert {line["n"] for line in lines} == set(range(50))
        assert transcript.digest == digest_of_bytes((tmp_path / "t.jsonl").read_bytes())


async def test_full_disk_is_named_and_the_file_stays_whole(tmp_path: Path) -> None:
    """A line that does not fit is not there in part, and shorter ones still go in."""
    with small_disk(tmp_path / "small", "64k") as small:
        async with await Transcript.open(small / "t.jsonl") as transcript:
            transcript.append([{"n": 1}])
            with pytest.raises(DiskFull):
                transcript.append([{"x": "y" * 100_000}])
            transcript.append([{"n": 2}])
            assert await transcript.lines() == ({"n": 1}, {"n": 2})


async def test_a_line_costs_one_write_of_itself_whatever_the_length_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After hundreds of lines, an append writes its own bytes, syncs once, and reads nothing."""
    async with await Transcript.open(tmp_path / "t.jsonl") as transcript:
        for number in range(300):
            transcript.append([{"n": number, "text": "x" * 2000}])
        calls: list[tuple[str, int]] = []
        write, flush, read = os.write, os.fdatasync, os.read

        def counted_write(descriptor: int, data: bytes) -> int:
            calls.append(("write", len(data)))
            return write(descriptor, data)

        def counted_flush(descriptor: int) -> None:
            calls.append(("fdatasync", 0))
            flush(descriptor)

        def counted_read(descriptor: int, length: int) -> bytes:
            calls.append(("read", length))
            return read(descriptor, length)

        monkeypatch.setattr(os, "write", counted_write)
        monkeypatch.setattr(os, "fdatasync", counted_flush)
        monkeypatch.setattr(os, "read", counted_read)
        transcript.append([{"n": 1}])
        monkeypatch.undo()
    assert calls == [("write", len(b'{"n":1}\n')), ("fdatasync", 0)]


async def test_a_closed_transcript_refuses(tmp_path: Path) -> None:
    """Appending after close is an error, and closing twice is not."""
    transcript = await Transcript.open(tmp_path / "t.jsonl")
    await transcript.close()
    await transcript.close()
    with pytest.raises(ValueError, match="closed"):
        transcript.append([{}])
