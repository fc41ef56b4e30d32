"""`python -m splitbill TRIP.csv` prints where everybody stands, and how they get even."""

import sys
from pathlib import Path

from splitbill import balances, format_amount, read_trip, settle


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m splitbill TRIP.csv", file=sys.stderr)
        return 2
    try:
        payments = read_trip(Path(arguments[0]).read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        print(f"splitbill: {error}", file=sys.stderr)
        return 1
    standing = balances(payments)
    width = max(map(len, standing), default=0)
    for person, cents in standing.items():
        sign = "+" if cents > 0 else ""
        print(f"{person:{width}} {sign + format_amount(cents):>8}")
    print()
    for transfer in settle(standing):
        print(f"{transfer.debtor} pays {transfer.creditor} {format_amount(transfer.cents)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
