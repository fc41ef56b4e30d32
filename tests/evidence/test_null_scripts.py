"""Null implementations of JavaScript: what changed does nothing, what did not stays, and what is not known stays."""

from __future__ import annotations

import pytest

from assay.evidence.null_scripts import null_scripts

BEFORE = b"""\
import { x } from "./x.js";

export function kept(a) {
  return a + x;
}
"""
RAISED = '{ throw new Error("a null implementation"); }'


@pytest.mark.parametrize(
    ("added", "nulled"),
    [
        ("export function twice(a) {\n  return 2 * a;\n}\n", f"export function twice() {RAISED}\n"),
        ("export default async function (a) {\n  return a;\n}\n", f"export default async function () {RAISED}\n"),
        ("async function* all(\n  a,\n) {\n  yield a;\n}\n", f"async function* all() {RAISED}\n"),
        ("export const twice = (a) => 2 * a;\n", f"export const twice = function () {RAISED};\n"),
        ("const twice = async a => {\n  return a;\n};\n", f"const twice = async function () {RAISED};\n"),
        ("exports.twice = function (a) {\n  return a;\n};\n", f"exports.twice = function () {RAISED};\n"),
    ],
)
def test_a_new_function_does_nothing(added: str, nulled: str) -> None:
    """In each form that a module has for it; what was there before works as it did."""
    made = null_scripts({"a.js": BEFORE}, {"a.js": BEFORE + added.encode()}, "raise")
    assert made == {"a.js": BEFORE + nulled.encode()}
    assert b"return undefined;" in null_scripts({}, {"a.js": added.encode()}, "return")["a.js"]


@pytest.mark.parametrize(
    "after",
    [
        BEFORE,
        BEFORE.replace(b"  return", b"    return"),
        BEFORE + b"export const LIMIT = 3;\n",
        BEFORE + b"export class Box {\n  open() {\n    return 1;\n  }\n}\n",
        b"\xff\xfe",
        b"",
    ],
)
def test_what_is_no_changed_function_stays(after: bytes) -> None:
    """The negative control: other layout, values, classes, and what is no script."""
    assert null_scripts({"a.js": BEFORE}, {"a.js": after}, "raise") == {}
