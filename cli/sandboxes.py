"""`assay sandbox build`, `list`, `prune` and `shell`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.table import Table
from rich.text import Text

from assay.app.machines import build, images_held, prune_sandboxes, sandboxes_held
from assay.app.shells import Wish, open_shell
from assay.cli.endings import Ended
from assay.cli.sessions import run_session
from assay.cli.shells import run_input, run_terminal
from assay.cli.streams import Streams
from assay.errors import UsageError
from assay.reports.untrusted import make_visible
from assay.sandboxes.images import HeldImage
from assay.sandboxes.inventory import HeldSandbox

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def build_image(name: str, *, base: str | None, force: bool, as_json: bool, state: Path | None) -> None:
    """Build an image and say what it is."""

    async def work(streams: Streams) -> None:
        def tell(line: str) -> None:
            streams.say(f"  {line}", "dim")

        image = await build(name, base=base, force=force, progress=tell, root=state)
        if as_json:
            streams.line(image.model_dump(mode="json"))
            return
        streams.page.print(f"image {image.name} is {image.id} ({len(image.packages)} packages)", soft_wrap=True)

    run_session(work)


def list_held(*, images: bool, as_json: bool, state: Path | None) -> None:
    """Print a line for each sandbox, or for each image."""

    async def work(streams: Streams) -> None:
        held: tuple[HeldSandbox | HeldImage, ...] = await images_held(state) if images else await sandboxes_held()
        if as_json:
            for one in held:
                streams.line(one.model_dump(mode="json"))
        elif not held:
            none = "No images yet. Build one: assay sandbox build" if images else "There are no sandboxes now."
            streams.page.print(none, soft_wrap=True)
        else:
            streams.page.print(_table(held))

    run_session(work)


def _table(held: tuple[HeldSandbox | HeldImage, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    sandboxes = [one for one in held if isinstance(one, HeldSandbox)]
    headings = ("sandbox", "age", "memory", "owner") if sandboxes else ("image", "kind", "size", "")
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    table.add_column("for" if sandboxes else "name", overflow="fold")
    for one in held:
        table.add_row(*(_sandbox_row(one) if isinstance(one, HeldSandbox) else _image_row(one)))
    return table


def _sandbox_row(one: HeldSandbox) -> tuple[str, str, str, Text, Text]:
    memory = "" if one.memory is None else f"{one.memory / 2**20:.0f} MiB"
    state = f"{one.owner}, {one.state}" if one.state != "running" else one.owner
    owner = Text(f"{state}{', left over' if one.left_over else ''}", "yellow" if one.left_over else "")
    who = " ".join(filter(None, (one.run, one.role, one.step))) or "nobody yet"
    return one.id, _age(one.seconds), memory, owner, Text(make_visible(f"{who}{' (work)' if one.holds_work else ''}"))


def _image_row(one: HeldImage) -> tuple[str, str, str, Text, Text]:
    names = ", ".join(one.names) or "no name"
    needed = Text("" if one.needed else "not needed", "" if one.needed else "yellow")
    return (
        one.id.removeprefix("sha256:")[:12],
        one.kind,
        f"{one.size / 1e6:.0f} MB",
        needed,
        Text(make_visible(f"{names}{f' ({one.lock})' if one.lock else ''}")),
    )


def _age(seconds: int) -> str:
    for unit, letter in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {letter}"
    return f"{seconds} s"


def prune_held(*, older_than: int, dry: bool, as_json: bool, state: Path | None) -> None:
    """Remove what is of no use any more, and say what went."""

    async def work(streams: Streams) -> None:
        def tell(line: str) -> None:
            streams.say(f"  {line}", "dim")

        pruned = await prune_sandboxes(older_than, dry=dry, progress=tell, root=state)
        if as_json:
            streams.line({**pruned.model_dump(mode="json"), "dry_run": dry})
            return
        verb = "would go" if dry else "removed"
        counts = f"{_count(pruned.sandboxes, 'sandbox', 'sandboxes')} and {_count(pruned.images, 'image', 'images')}"
        streams.page.print(f"{counts} {verb}", soft_wrap=True)
        for left in pruned.left:
            streams.page.print(make_visible(f"  {left.id} of {left.run} stays: {left.reason}"), soft_wrap=True)

    run_session(work)


def _count(things: tuple[str, ...], one: str, many: str) -> str:
    return f"{len(things)} {one if len(things) == 1 else many}"


def open_sandbox(wish: Wish, *, export: Path | None, state: Path | None) -> None:
    """Give a person a shell in a fresh sandbox, and end with its exit code."""
    if export is not None:
        _check_place(export)

    async def work(streams: Streams) -> int:
        def tell(line: str) -> None:
            streams.say(f"  {line}", "dim")

        async with open_shell(wish, tell, state) as shell:
            interactive = streams.interactive
            if interactive:
                streams.say(f"assay: a sandbox with {shell.origin}. Nothing is written back. Leave with `exit`.", "dim")
            code = await (run_terminal(shell, streams) if interactive else run_input(shell, streams))
            if export is not None:
                count = await shell.export(export)
                streams.say(f"assay: {count} files are in {export}", "dim")
        return code

    raise Ended(run_session(work))


def _check_place(export: Path) -> None:
    """Raise UsageError where a file cannot be written: later, what a person did in the sandbox would be lost."""
    try:
        if export.exists():
            raise UsageError(f"{export} is there already", next_step="name a file that is not")
        tempfile.TemporaryFile(dir=export.parent).close()
    except OSError as error:
        raise UsageError(
            f"{export} cannot be written: {error.strerror or error}", next_step="name a file in a folder of yours"
        ) from error
