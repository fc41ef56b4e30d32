"""Commits of a test's own, and the gates of a policy over them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from assay.evidence.gates import PolicyGates
from assay.policies.gates import GateResult
from assay.policies.settings import GateKind, GateSettings, Settings
from assay.records.trees import REGULAR, TreeFile
from assay.sandboxes.fake import Commands, FakeSandboxProvider
from assay.sandboxes.protocol import SandboxProvider
from assay.store.clocks import SystemClock
from assay.store.git import GitStore
from assay.store.ledger import SqliteLedger

Files = Mapping[str, str | bytes]


def gate(kind: GateKind, **more: object) -> GateSettings:
    """Return a gate of a kind, which blocks."""
    return GateSettings.model_validate({"kind": kind, "on_failure": "block", **more})


class GateBench:
    """A store with commits of a test's own, and gates over them."""

    def __init__(self, git: GitStore, ledger: SqliteLedger) -> None:
        self.git, self.ledger = git, ledger

    async def commit(self, files: Files) -> str:
        tree = {}
        for path, content in files.items():
            oid = await self.git.write_blob(content.encode() if isinstance(content, str) else content)
            tree[path] = TreeFile(REGULAR, oid)
        at = SystemClock().now()
        return await self.git.commit_tree(await self.git.write_tree(tree), [], "x\n", author="t <t@localhost>", at=at)

    async def judge(
        self,
        gate: GateSettings,
        base: Files,
        head: Files,
        commands: Commands | None = None,
        *,
        provider: SandboxProvider | None = None,
        run: str | None = None,
        settings: Settings | None = None,
    ) -> GateResult:
        """Return what one gate says of the change from files to files."""
        settings = (settings or Settings()).model_copy(update={"gates": {"g": gate}})
        one, two = await self.commit(base), await self.commit(head)
        gates = PolicyGates(
            git=self.git, ledger=self.ledger, sandboxes=provider or FakeSandboxProvider(commands), settings=settings
        )
        (result,) = await gates.judge(run or f"check-{secrets.token_hex(4)}", "u", one, two)
        return result
