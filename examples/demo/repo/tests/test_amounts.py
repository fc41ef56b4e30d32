"""Money is read and written as people write it."""

import pytest

from splitbill import format_amount, parse_amount


@pytest.mark.parametrize(("text", "cents"), [("12", 1200), ("12.34", 1234), ("0.05", 5), (" 7.00 ", 700)])
def test_a_written_amount_becomes_cents(text: str, cents: int) -> None:
    assert parse_amount(text) == cents


@pytest.mark.parametrize("text", ["", "twelve", "12,34", "1.2.3", "."])
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_amount(text)


@pytest.mark.parametrize(("cents", "text"), [(0, "0.00"), (5, "0.05"), (1234, "12.34"), (-5, "-0.05")])
def test_cents_are_written_with_two_decimals(cents: int, text: str) -> None:
    assert format_amount(cents) == text
