"""Programs that are started by name: whatever is installed upon an image, they must stay the image's own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from assay.errors import ConfigurationError
from assay.sandboxes.engine import Engine
from assay.sandboxes.images.workbench import ask_image

PROTECTED: Final = frozenset(
    ("sh", "bash", "dash", "env", "git", "patch", "python", "python3", "date", "setpriv", "faketime")
)
"""Programs that the proof and the agents' tools start by name: no distribution may put itself in their place."""

_PLACES: Final = r"""
last=$1
shift
for name in "$@"; do
    folders=$PATH
    if ! command -v "$name" >/dev/null; then folders=$PATH${last:+:$last}; fi
    IFS=:
    for folder in $folders; do
        place=$folder/$name
        while :; do
            real=$(cd -P "${place%/*}/" 2>/dev/null && pwd -P) || real=${place%/*}
            echo "$name ${real%/}/${place##*/}"
            if ! [ -L "$place" ] || ! [ -e "$place" ]; then break; fi
            link=$(readlink "$place")
            case $link in /*) place=$link ;; *) place=$real/$link ;; esac
        done
    done
    unset IFS
done
"""
"""Prints, for each name, each path at which a change would be one of what is started by it: in every folder of the
path, and wherever links lead from there. `last` is a folder that will be put last on the path."""


async def refuse_replaced(engine: Engine, image: str, container: str, lock: str, last: str = "") -> None:
    """Look whether what was installed in a container stands in the place of a program of its image.

    The engine says what changed. Nothing of it is executed, and nobody need foresee what an installer does.

    Args:
        engine: holds both.
        image: from which the container was made.
        container: one that does not run.
        lock: the lock file's name, for messages.
        last: folder that will be put last on the path, if any.

    Raises ConfigurationError, naming the program and the lock file.
    """
    said = await ask_image(engine, image, ["/bin/sh", "-c", _PLACES, "sh", last, *sorted(PROTECTED)])
    changes = await engine.call("diff", container) or ()
    replaced = _replaced(said, {str(change["Path"]) for change in changes})
    if replaced:
        raise ConfigurationError(
            f"what {lock} pins brings programs that would be started instead of the image's own: {', '.join(replaced)}",
            next_step="take the distribution that brings them out of the lock file, or give the profile an `image` of "
            "your own that has it",
        )


def _replaced(places: str, changed: Collection[str]) -> tuple[str, ...]:
    found = {}
    for line in places.splitlines():
        name, _, path = line.partition(" ")
        if path in changed:
            found[name] = path
    return tuple(f"{name!r} at {path}" for name, path in sorted(found.items()))
