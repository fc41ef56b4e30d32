"""Money as people write it, and as whole cents."""


def parse_amount(text: str) -> int:
    """Return the cents that a written amount means: "12" is 1200, "12.34" is 1234.

    Raises ValueError for what is not an amount.
    """
    whole, point, decimals = text.strip().partition(".")
    if not whole.isdecimal() or (point and not decimals.isdecimal()):
        raise ValueError(f"not an amount: {text!r}")
    return int(whole) * 100 + int(decimals or 0)


def format_amount(cents: int) -> str:
    """Return cents as people write them: 1234 is "12.34", -5 is "-0.05"."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}"
