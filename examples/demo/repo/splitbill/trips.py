"""A trip: who paid what for whom, where everybody stands, and how they get even."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass

from splitbill.amounts import parse_amount
from splitbill.shares import share


@dataclass(frozen=True)
class Payment:
    """One person paid a bill for several, perhaps including themselves."""

    payer: str
    cents: int
    people: tuple[str, ...]
    what: str = ""


@dataclass(frozen=True)
class Transfer:
    """What one person gives another to get even."""

    debtor: str
    creditor: str
    cents: int


def read_trip(lines: Iterable[str]) -> list[Payment]:
    """Read payments from CSV lines: payer, amount, people joined by "+", and for what.

    Raises ValueError naming the line that cannot be read.
    """
    payments = []
    for number, row in enumerate(csv.reader(lines), start=1):
        if not row:
            continue
        try:
            payer, amount, people, *what = row
            payments.append(Payment(payer, parse_amount(amount), tuple(people.split("+")), ",".join(what)))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    return payments


def balances(payments: Iterable[Payment]) -> dict[str, int]:
    """Return where everybody stands, in cents: above zero is owed to them, below zero they owe."""
    standing: dict[str, int] = {}
    for payment in payments:
        standing[payment.payer] = standing.get(payment.payer, 0) + payment.cents
        for person, cents in zip(payment.people, share(payment.cents, len(payment.people)), strict=True):
            standing[person] = standing.get(person, 0) - cents
    return dict(sorted(standing.items()))


def settle(standing: dict[str, int]) -> list[Transfer]:
    """Return transfers that bring everybody to zero: the largest debt goes to the largest credit first."""
    left = dict(standing)
    transfers = []
    while True:
        debtor = min(left, key=lambda name: (left[name], name), default="")
        creditor = max(left, key=lambda name: (left[name], name), default="")
        cents = min(-left.get(debtor, 0), left.get(creditor, 0))
        if cents <= 0:
            return transfers
        left[debtor] += cents
        left[creditor] -= cents
        transfers.append(Transfer(debtor, creditor, cents))
