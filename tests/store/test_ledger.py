"""The ledger: order, idempotence, the chain, several processes, kills and full disks."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydantic import JsonValue
from small_disks import remount, small_disk

from assay.errors import DiskFull, InfrastructureError, StoreCorrupt
from assay.records.base import digest_of_bytes
from assay.records.entries import EntryKind
from assay.store.clocks import SystemClock
from assay.store.ledger import SqliteLedger
from assay.store.protocol import NewEntry
from assay.store.redaction import Redactor

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class SteppedClock:
    """A clock that gives prepared times, and the last one for ever."""

    def __init__(self, *times: datetime) -> None:
        self.times = list(times)

    def now(self) -> datetime:
        """Return the next time."""
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger lies."""
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SqliteLedger]:
    """An empty ledger."""
    async with SqliteLedger(path, SystemClock()) as opened:
        yield opened


async def test_entries_are_chained_in_order(ledger: SqliteLedger) -> None:
    """Each entry names the digest of the one before; the first, that of nothing."""
    made = [await ledger.append("r", EntryKind.NOTE_LEFT, f"k{n}", {"n": n}, unit="u", role="coder") for n in range(3)]
    assert [entry.seq for entry in made] == [1, 2, 3]
    assert [entry.previous for entry in made] == [digest_of_bytes(b""), made[0].digest, made[1].digest]
    assert await ledger.entries("r") == tuple(made)
    await ledger.verify("r")


async def test_appending_a_key_again_returns_what_is_there(ledger: SqliteLedger) -> None:
    """A step that is done twice is recorded once, as it was the first time."""
    first = await ledger.append("r", EntryKind.NOTE_LEFT, "k", {"n": 1})
    again = await ledger.append("r", EntryKind.TOOL_CALLED, "k", {"n": 2})
    assert again == first
    assert await ledger.entries("r") == (first,)
    assert await ledger.append("other", EntryKind.NOTE_LEFT, "k") != first


async def test_entries_are_found_by_key_kind_and_place(ledger: SqliteLedger) -> None:
    """`find`, `kinds` and `after` select; an unknown run has no entries."""
    a = await ledger.append("r", EntryKind.MODEL_CALLED, "a")
    b = await ledger.append("r", EntryKind.TOOL_CALLED, "b")
    c = await ledger.append("r", EntryKind.MODEL_CALLED, "c")
    assert await ledger.find("r", "b") == b
    assert await ledger.find("r", "z") is None
    assert await ledger.entries("r", kinds=[EntryKind.MODEL_CALLED]) == (a, c)
    assert await ledger.entries("r", kinds=[EntryKind.MODEL_CALLED, EntryKind.TOOL_CALLED], after=1) == (b, c)
    assert await ledger.entries("nobody") == ()
    await ledger.verify("nobody")


async def test_runs_are_listed_newest_first_and_can_be_forgotten(ledger: SqliteLedger) -> None:
    """Forgetting a run leaves the others, and their chains."""
    for run in ("one", "two", "three"):
        await ledger.append(run, EntryKind.RUN_STARTED, "start")
    assert await ledger.runs() == ("three", "two", "one")
    await ledger.forget("two")
    assert await ledger.runs() == ("three", "one")
    await ledger.verify("one")


async def test_every_body_comes_back_as_it_was_and_its_digest_holds(ledger: SqliteLedger, path: Path) -> None:
    """Unicode, bytes of file names as surrogates, control characters, large numbers and nesting survive a restart."""
    body: dict[str, JsonValue] = {
        "unicode": "é 修正 🦊 \u2028",
        "name": os.fsdecode(b"caf\xe9"),
        "control": "\0\x1b[31m\n",
        "number": 2**60,
        "float": 0.1,
        "nested": [{"a": [None, True, {}]}, []],
    }
    entry = await ledger.append("r", EntryKind.NOTE_LEFT, "k", body)
    assert entry.body == body
    await ledger.close()
    async with SqliteLedger(path, SystemClock()) as again:
        assert await again.find("r", "k") == entry
        await again.verify("r")


async def test_what_json_cannot_say_is_refused_and_leaves_no_entry(ledger: SqliteLedger) -> None:
    """Not-a-number has no canonical form."""
    with pytest.raises(ValueError, match="JSON"):
        await ledger.append("r", EntryKind.NOTE_LEFT, "k", {"x": float("nan")})
    assert await ledger.entries("r") == ()
    await ledger.append("r", EntryKind.NOTE_LEFT, "k", {"x": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "UPDATE entries SET body = '{\"n\":9}' WHERE seq = 2",
            r"entry 2 \(k2\): its content is not what was recorded",
        ),
        ("UPDATE entries SET at = '2020-01-01T00:00:00+00:00' WHERE seq = 2", "entry 2 .*content"),
        ("UPDATE entries SET key = 'other' WHERE seq = 2", "entry 2 .*content"),
        ("UPDATE entries SET digest = 'sha256:0' WHERE seq = 2", "entry 2 .*content"),
        ("UPDATE entries SET previous = 'sha256:0' WHERE seq = 3", "entry 3 .*does not follow"),
        ("DELETE FROM entries WHERE seq = 2", "entry 2 is missing"),
        ("DELETE FROM entries WHERE seq = 1", "entry 1 is missing"),
        ("UPDATE entries SET body = 'rubbish' WHERE seq = 2", r"entry 2 \(k2\) of run r cannot be read"),
        ("UPDATE entries SET kind = 'unknown' WHERE seq = 2", r"entry 2 \(k2\) of run r cannot be read"),
    ],
)
async def test_a_changed_chain_is_found_out_with_its_first_bad_entry(
    ledger: SqliteLedger, path: Path, change: str, message: str
) -> None:
    """Whoever edits the file is told on by `verify`."""
    for number in range(1, 5):
        await ledger.append("r", EntryKind.NOTE_LEFT, f"k{number}", {"n": number})
    await ledger.verify("r")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(StoreCorrupt, match=message):
        await ledger.verify("r")


async def test_a_forger_who_mends_one_digest_breaks_the_next(ledger: SqliteLedger, path: Path) -> None:
    """Changing an entry with its own digest does not fit the entry after it."""
    for number in range(1, 4):
        await ledger.append("r", EntryKind.NOTE_LEFT, f"k{number}", {"n": number})
    forged = (await ledger.entries("r"))[1].model_copy(update={"body": {"n": 9}})
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "UPDATE entries SET body = '{\"n\":9}', digest = ? WHERE seq = 2",
            (forged.digest,),
        )
    connection.close()
    with pytest.raises(StoreCorrupt, match=r"entry 3 .*does not follow"):
        await ledger.verify("r")


async def test_a_clock_set_back_changes_neither_order_nor_story(path: Path) -> None:
    """Times never decrease within a run; other runs are not affected; zones are brought to UTC."""
    back = NOON - timedelta(days=400)
    zoned = (NOON + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=5)))
    async with SqliteLedger(path, SteppedClock(NOON, back, zoned, back)) as ledger:
        times = [(await ledger.append("r", EntryKind.NOTE_LEFT, f"k{n}")).at for n in range(3)]
        assert times == [NOON, NOON, NOON + timedelta(seconds=1)]
        assert times[2].tzinfo == UTC
        assert (await ledger.append("other", EntryKind.NOTE_LEFT, "k")).at == back
        await ledger.verify("r")


async def test_secrets_do_not_reach_the_file(path: Path) -> None:
    """What is redacted is in neither the entry that is returned, nor anywhere in the file."""
    token = "ghp_" + "a1" * 20
    environment = {"SHOP_API_KEY": "correct horse battery"}
    async with SqliteLedger(path, SystemClock(), redact=Redactor(environment)) as ledger:
        entry = await ledger.append("r", EntryKind.TOOL_CALLED, "k", {"out": [f"x {token}", "correct horse battery!"]})
        assert entry.body == {"out": ["x [redacted:github-token]", "[redacted:SHOP_API_KEY]!"]}
        await ledger.verify("r")
    written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert token.encode() not in written
    assert b"correct horse" not in written


async def test_forgotten_entries_are_overwritten(path: Path) -> None:
    """After forgetting and closing, the text is not in the file any more."""
    async with SqliteLedger(path, SystemClock()) as ledger:
        await ledger.append("r", EntryKind.NOTE_LEFT, "k", {"text": "something private"})
        await ledger.forget("r")
    assert b"something private" not in b"".join(file.read_bytes() for file in path.parent.iterdir())


APPEND = """
import asyncio, sys
from pathlib import Path
from assay.records.entries import EntryKind
from assay.store.clocks import SystemClock
from assay.store.ledger import SqliteLedger
async def main():
    async with SqliteLedger(Path(sys.argv[1]), SystemClock()) as ledger:
        for number in range(int(sys.argv[3])):
            await ledger.append("r", EntryKind.NOTE_LEFT, f"{sys.argv[2]}.{number}", {"n": number})
            print(number, flush=True)
asyncio.run(main())
"""


async def test_processes_that_append_at_once_make_one_chain(ledger: SqliteLedger, path: Path) -> None:
    """Nothing forks and nothing is lost, though each has a stale view all the time."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", APPEND, str(path), name, "40", stdout=asyncio.subprocess.DEVNULL
        )
        for name in ("a", "b", "c")
    ]
    for number in range(40):
        await ledger.append("r", EntryKind.NOTE_LEFT, f"here.{number}")
    assert [await process.wait() for process in processes] == [0, 0, 0]
    await ledger.verify("r")
    entries = await ledger.entries("r")
    assert len(entries) == 160
    assert len({entry.key for entry in entries}) == 160


async def test_what_was_appended_survives_a_kill(path: Path) -> None:
    """A process killed in the middle of its appends leaves every entry that it had reported, and a sound chain."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", APPEND, str(path), "a", "100000", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(50):
        reported = int(await process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    await process.wait()
    rest = (await process.stdout.read()).split(b"\n")
    reported = max([reported, *(int(line) for line in rest[:-1])])
    async with SqliteLedger(path, SystemClock()) as ledger:
        await ledger.verify("r")
        assert len(await ledger.entries("r")) >= reported + 1
        await ledger.append("r", EntryKind.RUN_RESUMED, "resumed")
        await ledger.verify("r")


async def test_a_file_that_is_no_ledger_and_one_of_the_future(tmp_path: Path) -> None:
    """Rubbish, a newer version, and a directory that is not there are told apart."""
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"not a database" * 1000)
    async with SqliteLedger(rubbish, SystemClock()) as ledger:
        with pytest.raises(StoreCorrupt, match="not a readable database"):
            await ledger.runs()
    newer = tmp_path / "newer"
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    async with SqliteLedger(newer, SystemClock()) as ledger:
        with pytest.raises(InfrastructureError, match="has version 99"):
            await ledger.append("r", EntryKind.NOTE_LEFT, "k")
    async with SqliteLedger(tmp_path / "nowhere" / "x", SystemClock()) as ledger:
        with pytest.raises(InfrastructureError, match="unable to open"):
            await ledger.runs()


async def test_full_disk_is_named_and_the_ledger_goes_on_when_there_is_space(tmp_path: Path) -> None:
    """On a full file system an append is DiskFull and leaves no half entry."""
    with small_disk(tmp_path / "small", "256k") as small:
        async with SqliteLedger(small / "ledger.sqlite3", SystemClock()) as ledger:
            await ledger.append("r", EntryKind.NOTE_LEFT, "first")
            with pytest.raises(DiskFull) as caught:
                await ledger.append("r", EntryKind.NOTE_LEFT, "large", {"x": "y" * 500_000})
            assert str(small) in str(caught.value)
            assert caught.value.next_step
            await ledger.verify("r")
            remount(small, "size=4m")
            await ledger.append("r", EntryKind.NOTE_LEFT, "after")
            await ledger.verify("r")


async def test_an_entry_takes_as_many_bytes_at_the_end_as_at_the_beginning(ledger: SqliteLedger, path: Path) -> None:
    """The file grows by the same amount for each two hundred entries."""
    sizes = []
    for number in range(800):
        await ledger.append("r", EntryKind.NOTE_LEFT, f"k{number}", {"text": "x" * 500})
        if number % 200 == 199:
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
            sizes.append(path.stat().st_size)
    growth = [after - before for before, after in itertools.pairwise(sizes)]
    assert max(growth) < 1.2 * min(growth)


async def test_closing_twice_is_fine_and_nothing_works_afterwards(path: Path) -> None:
    """A closed ledger refuses instead of opening the file again."""
    ledger = SqliteLedger(path, SystemClock())
    await ledger.append("r", EntryKind.NOTE_LEFT, "k")
    await ledger.close()
    await ledger.close()
    with pytest.raises(RuntimeError):
        await ledger.runs()


async def test_only_what_can_be_told_again_is_not_flushed(path: Path) -> None:
    """Entries that are recoverable are committed without a flush; the next other one flushes, and so does forgetting.

    Decided by SQLite's own setting (pragma_synchronous: 1 is NORMAL, 2 is FULL), which holds for the next commit.
    """
    async with SqliteLedger(path, SystemClock()) as ledger:

        def new(key: str) -> Callable[[], list[NewEntry]]:
            return lambda: [NewEntry(EntryKind.NOTE_LEFT, key)]

        async def setting() -> int:
            return int(await ledger._call(lambda: ledger._open().execute("PRAGMA synchronous").fetchone()[0]))

        assert await setting() == 2
        await ledger.append_all("r", new("a"), recoverable=True)
        assert await setting() == 1
        await asyncio.gather(ledger.append_all("r", new("b"), recoverable=True), ledger.append_all("r", new("c")))
        assert await setting() == 2, "one that has to be durable makes the whole batch durable"
        await ledger.append_all("r", new("d"), recoverable=True)
        await ledger.append("r", EntryKind.NOTE_LEFT, "e")
        assert await setting() == 2
        await ledger.append_all("r", new("f"), recoverable=True)
        await ledger.forget("r")
        assert await setting() == 2


async def test_what_comes_before_entries_and_fails_keeps_them_out(path: Path) -> None:
    """An error of the one who makes the entries is theirs; what was appended beside is there."""

    def full() -> list[NewEntry]:
        raise DiskFull("no space left for the transcript")

    async with SqliteLedger(path, SystemClock()) as ledger:
        outcomes = await asyncio.gather(
            ledger.append_all("r", full), ledger.append("r", EntryKind.NOTE_LEFT, "beside"), return_exceptions=True
        )
        assert isinstance(outcomes[0], DiskFull)
        assert [entry.key for entry in await ledger.entries("r")] == ["beside"]
        await ledger.verify("r")
