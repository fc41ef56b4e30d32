"""Budgets: sums over ledger entries, and what reaching a bound means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from assay.policies.budgets import Spent, exceeded, extended, price_of, remaining, spent
from assay.policies.settings import Budget
from assay.records.entries import Entry, EntryKind

PRICES = {"openai:big": (2.0, 8.0), "small": (0.5, 1.0)}


def entry(
    number: int, kind: EntryKind, body: dict[str, JsonValue], *, role: str = "coder", unit: str | None = "u"
) -> Entry:
    return Entry(
        run="r", seq=number, kind=kind, key=f"k{number}", unit=unit, role=role, body=body,
        at=datetime(2026, 1, 1, tzinfo=UTC), previous="",
    )  # fmt: skip


def answer(number: int, model: str = "big", *, given: int = 1000, made: int = 100, role: str = "coder") -> Entry:
    body: dict[str, JsonValue] = {"model": model, "input_tokens": given, "output_tokens": made, "seconds": 2.0}
    return entry(number, EntryKind.MODEL_CALLED, body, role=role)


LEDGER = (
    answer(1),
    answer(2, "small", role="tester"),
    entry(3, EntryKind.TOOL_CALLED, {"tool": "execute", "seconds": 1.5}),
    entry(4, EntryKind.TOOL_CALLED, {"tool": "read_file", "seconds": 0.5}),
    entry(5, EntryKind.ROLE_ENDED, {}),
    entry(6, EntryKind.ROLE_ENDED, {}),
    entry(7, EntryKind.ROLE_ENDED, {}, role="tester"),
    entry(8, EntryKind.ROLE_ENDED, {}, unit="v"),
    entry(9, EntryKind.NOTE_LEFT, {"seconds": 99}),
)


def test_a_run_is_the_sum_of_its_entries() -> None:
    """Calls, tokens, money, time, commands; attempts are the most of any role at one unit."""
    total = spent(LEDGER, PRICES)
    assert (total.model_calls, total.tokens, total.commands, total.attempts) == (2, 2200, 1, 2)
    assert total.seconds == pytest.approx(6.0)
    assert total.money == pytest.approx((1000 * 2.0 + 100 * 8.0 + 1000 * 0.5 + 100 * 1.0) / 1e6)
    assert total.unpriced == ()


def test_roles_and_units_are_counted_apart() -> None:
    """The same entries, narrowed."""
    assert spent(LEDGER, PRICES, role="tester").model_calls == 1
    assert spent(LEDGER, PRICES, role="coder", unit="u").attempts == 2
    assert spent(LEDGER, PRICES, role="coder", unit="v").attempts == 1
    assert spent(LEDGER, PRICES, unit="w") == Spent()


def test_what_is_recorded_twice_counts_once() -> None:
    """A step that was done again after a kill has the same keys."""
    assert spent((*LEDGER, *LEDGER), PRICES) == spent(LEDGER, PRICES)


@given(st.integers(1, 50), st.integers(1, 49))
def test_a_restart_resets_nothing(count: int, cut: int) -> None:
    """The sum over a prefix and the rest is the sum over the whole, wherever a run was cut."""
    entries = [answer(n) for n in range(1, count + 1)]
    first, rest = spent(entries[:cut], PRICES), spent(entries[cut:], PRICES)
    assert first.tokens + rest.tokens == spent(entries, PRICES).tokens


@pytest.mark.parametrize("body", [{}, {"input_tokens": "many"}, {"input_tokens": -5}, {"seconds": None}, {"model": 5}])
def test_odd_bodies_count_as_calls_and_nothing_more(body: dict[str, JsonValue]) -> None:
    """A provider that counts nonsense does not break the count, and does not lower it."""
    total = spent([entry(1, EntryKind.MODEL_CALLED, body)], PRICES)
    assert (total.model_calls, total.tokens, total.seconds) == (1, 0, 0.0)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(model_calls=2), "2 of 2 model calls are used up"),
        (Budget(tokens=2200), "2,200 of 2,200 tokens are used up"),
        (Budget(seconds=6), "6 of 6 seconds of work are used up"),
        (Budget(commands=1), "1 of 1 commands are used up"),
        (Budget(money=0.0034), "(money) are used up"),
        (Budget(attempts=1), "2 attempts at one unit are more than 1"),
    ],
)
def test_reaching_a_bound_is_said(budget: Budget, words: str) -> None:
    """Each bound, and the sentence that a person reads."""
    reason = exceeded(budget, spent(LEDGER, PRICES))
    assert reason is not None
    assert words in reason


def test_below_a_bound_nothing_is_said() -> None:
    """One more than was used is room; the last allowed attempt may end."""
    room = Budget(model_calls=3, tokens=2201, seconds=6.1, commands=2, money=0.0035, attempts=2)
    assert exceeded(room, spent(LEDGER, PRICES)) is None
    assert exceeded(Budget(), spent(LEDGER, PRICES)) is None


def test_money_that_cannot_be_counted_is_used_up() -> None:
    """A bound on money fails closed for a model without a price, and scripted models cost nothing."""
    reason = exceeded(Budget(money=100.0), spent([answer(1, "unknown")], PRICES))
    assert reason == "money is limited to 100, and [prices] has no price for 'unknown'"
    assert exceeded(Budget(tokens=10_000), spent([answer(1, "unknown")], PRICES)) is None
    assert exceeded(Budget(money=1.0), spent([answer(1, "scripted:demo.yaml")], PRICES)) is None


def test_prices_are_found_with_and_without_the_provider() -> None:
    """Providers name their models as they like."""
    assert price_of("openai:big", PRICES) == price_of("big", PRICES) == (2.0, 8.0)
    assert price_of("azure:small", PRICES) == (0.5, 1.0)
    assert price_of("", PRICES) is None
    assert price_of("free", {"free": (0.0, 0.0)}) == (0.0, 0.0)


def test_what_is_left() -> None:
    """Never below zero, and nothing where there is no bound."""
    left = remaining(Budget(model_calls=5, commands=1, attempts=1), spent(LEDGER, PRICES))
    assert (left.model_calls, left.commands, left.attempts, left.tokens) == (3, 0, 0, None)


def test_a_person_extends_a_budget_by_as_much_as_it_was() -> None:
    """Once is twice the budget."""
    budget = Budget(model_calls=5, money=1.5)
    assert extended(budget, 0) == budget
    assert extended(budget, 2) == Budget(model_calls=15, money=4.5)
