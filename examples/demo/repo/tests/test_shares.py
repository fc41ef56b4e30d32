"""A bill is divided equally."""

import pytest

from splitbill import share


@pytest.mark.parametrize(("total", "people", "each"), [(900, 3, 300), (500, 1, 500), (0, 4, 0), (-600, 2, -300)])
def test_a_bill_that_divides_evenly_is_shared_evenly(total: int, people: int, each: int) -> None:
    assert share(total, people) == [each] * people


def test_nobody_cannot_pay() -> None:
    with pytest.raises(ValueError, match="somebody"):
        share(100, 0)
