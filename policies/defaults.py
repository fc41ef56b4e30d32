"""What holds where no file says otherwise: the four roles with their tools, rules and budgets."""

from __future__ import annotations

from typing import Final

from assay.policies.settings import Budget, RoleSettings, Settings, ToolRules

ROLES: Final = ("planner", "tester", "coder", "reviewer")

_READING: Final = ("ls", "read_file", "glob", "grep")
_WRITING: Final = ("write_file", "edit_file")

_SENSELESS: Final = (
    "execute(sudo *)",
    "execute(su *)",
    "execute(doas *)",
    "execute(git push *)",
    "execute(docker *)",
    "execute(podman *)",
    "execute(npm publish *)",
    "execute(twine upload *)",
    "execute(shutdown *)",
    "execute(reboot *)",
)
"""What cannot succeed in a sandbox without network and rights, and would reach out of it if it could.
Being told so at once saves a model the attempts. Programs that have a use on the machine itself,
like curl against a server that a test started, are not among them."""


def _rules(writes_to: tuple[str, ...]) -> ToolRules:
    """Return rules under which a role reads and executes everything in its sandbox, and writes to some places.

    The sandbox contains what is executed, and the floors judge what it left behind: commands are not
    judged one by one here, as they are where no sandbox stands around them.
    """
    reading = tuple(f"{tool}({where})" for tool in _READING for where in ("**", "//**"))
    writing = tuple(f"{tool}({where})" for tool in _WRITING for where in writes_to)
    return ToolRules(deny=_SENSELESS, allow=(*reading, *writing, "execute(*)"))


def default_role(name: str) -> RoleSettings:
    """Return the built-in settings of a role; for a name that is none of the four, a role that may do nothing."""
    match name:
        case "planner":
            budget = Budget(model_calls=60, tokens=2_000_000, seconds=1800, commands=100, attempts=3)
            return RoleSettings(tools=(*_READING, "execute"), budget=budget, rules=_rules(()))
        case "tester":
            budget = Budget(model_calls=120, tokens=4_000_000, seconds=3600, commands=200, attempts=3)
            return RoleSettings(
                tools=(*_READING, *_WRITING, "execute"),
                budget=budget,
                rules=_rules(("**", "//held_out/**", "//tmp/**")),
            )
        case "coder":
            budget = Budget(model_calls=200, tokens=8_000_000, seconds=7200, commands=400, attempts=4)
            return RoleSettings(
                tools=(*_READING, *_WRITING, "execute"), budget=budget, rules=_rules(("**", "//tmp/**"))
            )
        case "reviewer":
            budget = Budget(model_calls=80, tokens=3_000_000, seconds=1800, commands=150, attempts=3)
            return RoleSettings(tools=(*_READING, "execute"), budget=budget, rules=_rules(()))
        case _:
            return RoleSettings()


def default_settings() -> Settings:
    """Return what an empty `assay.toml` means."""
    return with_defaults(Settings())


def with_defaults(settings: Settings) -> Settings:
    """Return settings in which the four roles have what a file left out.

    A list of the file takes the place of the built-in one, but what is denied adds up: a file can
    only tighten that.
    """
    roles = {name: _completed(default_role(name), settings.agents.get(name)) for name in ROLES}
    return settings.model_copy(update={"agents": {**settings.agents, **roles}})


def _completed(built_in: RoleSettings, given: RoleSettings | None) -> RoleSettings:
    if given is None:
        return built_in
    changes = {name: getattr(given, name) for name in given.model_fields_set}
    if "budget" in changes:
        limits = {name: getattr(given.budget, name) for name in given.budget.model_fields_set}
        changes["budget"] = built_in.budget.model_copy(update=limits)
    if "rules" in changes:
        lists = {name: getattr(given.rules, name) for name in given.rules.model_fields_set}
        lists["deny"] = (*given.rules.deny, *(r for r in built_in.rules.deny if r not in given.rules.deny))
        changes["rules"] = built_in.rules.model_copy(update=lists)
    return built_in.model_copy(update=changes)
