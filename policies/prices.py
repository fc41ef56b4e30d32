"""Prices in layers: a lower one may add some, but none that takes the meaning of a bound on money above it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assay.policies.layers import Layer, Loosening
from assay.policies.positions import KeyPath


def loosened_prices(layers: Sequence[Layer]) -> Iterator[Loosening]:
    """Yield each price that goes before one of a layer above, or that makes a model free under a bound on money.

    Args:
        layers: from the upper one to the lowest.
    """
    for number, layer in enumerate(layers):
        above = layers[:number]
        for name, price in layer.document.get("prices", {}).items():
            path: KeyPath = ("prices", name)
            if any(name in upper.document.get("prices", {}) for upper in above):
                continue  # which stays as it is, whatever is said below
            if (found := _same_model(above, name, price)) is not None:
                said = f"what {found[0].place(found[1])} says of the same model"
                yield Loosening(
                    layer, path, f"the price of {name!r} goes before {said}; a lower layer may only tighten"
                )
            elif min(price) <= 0 and (found := _bound_on_money(above)) is not None:
                said = f"the bound on money that {found[0].place(found[1])} says"
                yield Loosening(layer, path, f"a price of nothing for {name!r} undoes {said}; give it a price up there")


def _same_model(above: Sequence[Layer], name: str, price: Any) -> tuple[Layer, KeyPath] | None:
    """Return where a model is priced otherwise that is named with its provider here and without it there, or so."""
    for layer in above:
        for other, said in layer.document.get("prices", {}).items():
            if (other == _bare(name) or _bare(other) == name) and said != price:
                return layer, ("prices", other)
    return None


def _bare(name: str) -> str:
    return name.split(":", 1)[-1]


def _bound_on_money(above: Sequence[Layer]) -> tuple[Layer, KeyPath] | None:
    for layer in above:
        roles: Mapping[str, Any] = layer.document.get("agents", {})
        for path in (("budget",), ("units", "budget"), *(("agents", role, "budget") for role in roles)):
            if layer.holds((*path, "money")):
                return layer, (*path, "money")
    return None
