"""A trip is read, added up and settled."""

import pytest

from splitbill import Payment, Transfer, balances, read_trip, settle

DINNER = Payment("ana", 6000, ("ana", "ben", "caro"), "dinner")
TAXI = Payment("ben", 2000, ("ben", "caro"), "taxi")


def test_a_trip_is_read_from_lines() -> None:
    lines = ["ana,60.00,ana+ben+caro,dinner", "", "ben,20.00,ben+caro,taxi"]
    assert read_trip(lines) == [DINNER, TAXI]


def test_a_line_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValueError, match="line 2"):
        read_trip(["ana,60.00,ana+ben,dinner", "ben,much,ben,taxi"])


def test_balances_say_who_owes() -> None:
    assert balances([DINNER, TAXI]) == {"ana": 4000, "ben": -1000, "caro": -3000}


def test_settling_pays_the_largest_debt_first() -> None:
    assert settle({"ana": 4000, "ben": -1000, "caro": -3000}) == [
        Transfer("caro", "ana", 3000),
        Transfer("ben", "ana", 1000),
    ]


def test_who_is_even_pays_nothing() -> None:
    assert settle({"ana": 0, "ben": 0}) == []
