"""Who does which role: the built-in agent, unless a platform put another one there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from langchain_core.language_models import BaseChatModel

from assay.agents.desk import Desk
from assay.agents.loop import ToolLoopAgent
from assay.agents.objects import GitObjects
from assay.agents.prompting import BUILT_IN
from assay.agents.protocol import RoleAgent, RoleTask
from assay.errors import ConfigurationError
from assay.policies.rules import RuleBook
from assay.policies.settings import RoleSettings, Settings
from assay.sandboxes.protocol import SandboxProvider
from assay.store.protocol import Blobs, Clock, Ledger
from assay.store.redaction import Redact
from assay.store.state import StateDirectory

Models = Callable[[str, RoleSettings], BaseChatModel]
"""From a role and its settings to its chat model."""


class AgentRoles:
    """Implements `Roles`."""

    def __init__(
        self,
        *,
        settings: Settings,
        git: GitObjects,
        ledger: Ledger,
        blobs: Blobs,
        sandboxes: SandboxProvider,
        state: StateDirectory,
        models: Models,
        clock: Clock,
        redact: Redact | None = None,
        extra_roles: Mapping[str, Callable[[RoleTask], RoleAgent]] | None = None,
    ) -> None:
        """Name what the agents work with.

        Args:
            settings: models, prompts, tools, sandboxes and budgets of the roles.
            git: the store that their trees come from and go to.
            ledger: where their steps are recorded.
            blobs: where their results are kept.
            sandboxes: where their tools run.
            state: where their transcripts lie.
            models: opens a role's chat model.
            clock: where dates come from.
            redact: takes secrets out of whatever is written down.
            extra_roles: agents of a platform's own, by role; they win over the built-in ones.
        """
        self._desk = Desk(
            settings=settings,
            git=git,
            ledger=ledger,
            blobs=blobs,
            sandboxes=sandboxes,
            transcripts=state.transcript,
            clock=clock,
            redact=redact,
        )
        self._models = models
        self._rules: dict[str, RuleBook] = {}
        self._extra = dict(extra_roles or {})

    def agent(self, task: RoleTask) -> RoleAgent:
        """Return the agent for this task; raises ConfigurationError for a role that nobody fills."""
        if task.role in self._extra:
            return self._extra[task.role](task)
        settings = self._desk.settings
        role = settings.role(task.role)
        if task.role not in BUILT_IN and role.prompt is None:
            raise ConfigurationError(
                f"Nobody fills the role {task.role!r}.",
                next_step=f"give [agents.{task.role}] a prompt, or pass an agent for it in extra_roles",
            )
        if task.role not in self._rules:
            self._rules[task.role] = RuleBook(role.rules, origin=f"agents.{task.role}.rules")
        return ToolLoopAgent(task, self._desk, self._rules[task.role], lambda: self._models(task.role, role))
