"""How one bill is divided."""


def share(total: int, people: int) -> list[int]:
    """Divide a bill of `total` cents equally, and return what each person pays.

    A refund is a bill below zero. Raises ValueError when there is nobody to pay.
    """
    if people < 1:
        raise ValueError("a bill needs somebody to pay it")
    return [total // people] * people
