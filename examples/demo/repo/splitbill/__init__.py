"""Who owes whom after a trip with friends."""

from splitbill.amounts import format_amount, parse_amount
from splitbill.shares import share
from splitbill.trips import Payment, Transfer, balances, read_trip, settle

__all__ = ["Payment", "Transfer", "balances", "format_amount", "parse_amount", "read_trip", "settle", "share"]
