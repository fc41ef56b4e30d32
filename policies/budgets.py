"""Budgets: what was used up, summed from ledger entries, held against upper bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from assay.policies.settings import Budget
from assay.records.base import Record
from assay.records.entries import Entry, EntryKind


class Spent(Record):
    """What a run, or one role or unit of it, has used up."""

    model_calls: int = 0
    tokens: int = 0
    money: float = 0.0
    """In the currency of the price table."""
    seconds: float = 0.0
    """Wall time of models and tools."""
    commands: int = 0
    attempts: int = 0
    """The most that any role ended its work at one unit."""
    unpriced: tuple[str, ...] = ()
    """Models that the price table does not hold, so that `money` leaves them out."""


class Remaining(Record):
    """What is left; None is no bound. Never below zero."""

    model_calls: int | None = None
    tokens: int | None = None
    money: float | None = None
    seconds: float | None = None
    commands: int | None = None
    attempts: int | None = None


def spent(
    entries: Iterable[Entry],
    prices: Mapping[str, tuple[float, float]],
    *,
    role: str | None = None,
    unit: str | None = None,
) -> Spent:
    """Return what entries of the ledger sum up to; an entry that is there twice counts once.

    Args:
        entries: of one run, in any order.
        prices: model name to price per million input and output tokens.
        role: count only this role's.
        unit: count only this unit's.
    """
    calls = tokens = commands = 0
    money = seconds = 0.0
    attempts: Counter[tuple[str | None, str | None]] = Counter()
    unpriced: set[str] = set()
    for entry in {entry.key: entry for entry in entries}.values():
        if (role is not None and entry.role != role) or (unit is not None and entry.unit != unit):
            continue
        if entry.kind is EntryKind.MODEL_CALLED:
            given, made = int(_number(entry.body, "input_tokens")), int(_number(entry.body, "output_tokens"))
            calls, tokens, seconds = calls + 1, tokens + given + made, seconds + _number(entry.body, "seconds")
            model = str(entry.body.get("model", ""))
            price = price_of(model, prices)
            if price is None:
                unpriced.add(model)
            else:
                money += (given * price[0] + made * price[1]) / 1_000_000
        elif entry.kind is EntryKind.TOOL_CALLED:
            seconds += _number(entry.body, "seconds")
            commands += entry.body.get("tool") == "execute"
        elif entry.kind is EntryKind.ROLE_ENDED:
            attempts[entry.unit, entry.role] += 1
    return Spent(
        model_calls=calls,
        tokens=tokens,
        money=money,
        seconds=seconds,
        commands=commands,
        attempts=max(attempts.values(), default=0),
        unpriced=tuple(sorted(unpriced)),
    )


def price_of(model: str, prices: Mapping[str, tuple[float, float]]) -> tuple[float, float] | None:
    """Return the price of a model, named with or without its provider; scripted models cost nothing."""
    if model.startswith("scripted"):
        return (0.0, 0.0)
    return prices.get(model) or prices.get(model.split(":", 1)[-1]) or _by_bare_name(model, prices)


def _by_bare_name(model: str, prices: Mapping[str, tuple[float, float]]) -> tuple[float, float] | None:
    """Find `openai:gpt-x` in the table for a provider that calls itself just `gpt-x`."""
    return next((price for name, price in prices.items() if model and name.split(":", 1)[-1] == model), None)


def _number(body: Mapping[str, JsonValue], key: str) -> float:
    value = body.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0.0


def remaining(budget: Budget, used: Spent) -> Remaining:
    """Return what a budget still holds."""
    left = {
        name: None if limit is None else max(0, limit - getattr(used, name))
        for name, limit in budget.model_dump().items()
    }
    return Remaining.model_validate(left)


def exceeded(budget: Budget, used: Spent) -> str | None:
    """Return which bound was reached, as a sentence; None while there is room.

    A bound on money with a model that has no price is reached at once: what cannot be counted
    cannot be kept. Attempts are reached only by one more than allowed, for they are counted when
    they end.
    """
    units = {"model_calls": "model calls", "tokens": "tokens", "seconds": "seconds of work", "commands": "commands"}
    for name, words in units.items():
        limit, count = getattr(budget, name), getattr(used, name)
        if limit is not None and count >= limit:
            return f"{count:,.0f} of {limit:,.0f} {words} are used up"
    if budget.money is not None:
        if used.unpriced:
            named = ", ".join(repr(model) for model in used.unpriced)
            return f"money is limited to {budget.money:g}, and [prices] has no price for {named}"
        if used.money >= budget.money:
            return f"{used.money:.4f} of {budget.money:g} (money) are used up"
    if budget.attempts is not None and used.attempts > budget.attempts:
        return f"{used.attempts} attempts at one unit are more than {budget.attempts}"
    return None


def extended(budget: Budget, times: int) -> Budget:
    """Return a budget that a person extended so many times: each time by as much as it was."""
    return Budget.model_validate(
        {name: None if limit is None else limit * (times + 1) for name, limit in budget.model_dump().items()}
    )
