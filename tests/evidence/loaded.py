"""Transformed tests over a small program, loaded into this process."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from assay.evidence.twins import helper_name, helper_source, mark_of, transform

from .conftest import plain

SECRET = "s"

PROGRAM = """
import contextlib


class Liar:
    def __eq__(self, other):
        return True

    def __lt__(self, other):
        return True

    def __contains__(self, item):
        return True

    __hash__ = None


def double(x):
    return 2 * x


def assert_price(got, want):
    return None


def assert_is(got, want):
    assert got == want


class raises:
    def __init__(self, *kinds):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return True

    __call__ = lambda self, *given: None


assert_same = raises()


@contextlib.contextmanager
def warns():
    yield


def lie(x):
    return Liar()


class Word(str):
    def __eq__(self, other):
        return isinstance(other, str) and self.lower() == other.lower()

    __hash__ = str.__hash__


class Rough(float):
    def __eq__(self, other):
        return abs(float(self) - float(other)) < 100

    __hash__ = float.__hash__


class Whole(int):
    def __eq__(self, other):
        return abs(int(self) - int(other)) < 100

    __hash__ = int.__hash__


class Angle:
    def __init__(self, degrees):
        self.degrees = degrees

    def __eq__(self, other):
        return abs(self.degrees - getattr(other, "degrees", other)) < 1e-9

    __hash__ = None


class Coarse(Angle):
    def __eq__(self, other):
        return abs(self.degrees - getattr(other, "degrees", other)) < 100


class Any(list):
    def __contains__(self, item):
        return isinstance(item, (int, str))


class Text(str):
    def __contains__(self, item):
        return isinstance(item, str)


class Named:
    def __init__(self, name, cents):
        self.name, self.cents = name, cents

    def __eq__(self, other):
        return self.name == other.name

    __hash__ = None
"""


class Loaded:
    """Tests that were transformed and can be called."""

    def __init__(self, folder: Path, text: str, *, perturbed: bool) -> None:
        self.mark = mark_of(SECRET)
        made = transform({"test_it.py": (plain(PROGRAM_IMPORTS) + plain(text)).encode()}, SECRET)
        self.text = made.files["test_it.py"].decode()
        (folder / "prog.py").write_text(PROGRAM)
        self.helper = self._load(folder, helper_name(SECRET), helper_source(SECRET, made, perturbed=perturbed).decode())
        self._load(folder, "prog", PROGRAM)
        self.tests = self._load(folder, "test_it", self.text)

    @staticmethod
    def _load(folder: Path, name: str, text: str) -> ModuleType:
        module = ModuleType(name)
        module.__file__ = str(folder / f"{name}.py")
        sys.modules[name] = module
        exec(compile(text, module.__file__, "exec"), module.__dict__)
        return module

    def run(self, *arguments: Any) -> str:
        """Call the test and return what it says: `passed`, or how its twin failed."""
        try:
            self.tests.test_it(*arguments)
        except AssertionError as error:
            return str(error).removeprefix(self.mark + " ") if str(error).startswith(self.mark) else "failed"
        return "passed"


PROGRAM_IMPORTS = """
import math
import unittest
from unittest import mock

import prog
import pytest
from prog import Angle, Coarse, Named, Rough, Text, Whole, Word, double, lie


def check_price(got, want):
    assert got == want, "another price"


"""
