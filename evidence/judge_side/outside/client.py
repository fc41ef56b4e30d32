"""The judge's end where the judge stands outside of the judged program (S9).

This file is written into the judge's sandbox, in which no file of the program lies; assay itself never imports it. It
may use nothing but the standard library and pytest.

The program's modules are offered to tests as proxies; every use of one is a request to the worker in the other sandbox.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from .commands import route_commands
from .ground import Ground
from .ports import route_connections
from .proxies import Function, Link, Proxy, Unclear, Uncrossable
from .watching import watch_execution

_ASKED_FOR = frozenset({"__all__", "__version__"})
"""Names with two underscores for which the program is asked; whoever makes a traceback asks every module for others."""


class ProxyModule(types.ModuleType):
    """A module of the program's."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _ASKED_FOR:
            raise AttributeError(name)
        return self._assay_proxy().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__") or isinstance(value, ProxyModule):
            super().__setattr__(name, value)
            return
        setattr(self._assay_proxy(), name, value)
        self.__dict__.pop(name, None)

    def __delattr__(self, name: str) -> None:
        delattr(self._assay_proxy(), name)
        self.__dict__.pop(name, None)

    def assay_told(self) -> list[Any]:
        """Return it for a message."""
        return ["named", self.__name__]

    def _assay_proxy(self) -> Proxy:
        return Proxy(self.__dict__["__assay_link__"], self.assay_told(), "module", None)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Offers the program's modules.

    Args:
        link: the way to the worker.
        names: dotted names of modules and packages.
    """

    def __init__(self, link: Link, names: frozenset[str]) -> None:
        self._link = link
        self._names = names

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a module of the program's is had from; None for any other."""
        del path, target
        if name not in self._names:
            return None
        package = any(other.startswith(name + ".") for other in self._names)
        return importlib.machinery.ModuleSpec(name, self, is_package=package)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Return the proxy of a module."""
        module = ProxyModule(spec.name)
        module.__dict__["__assay_link__"] = self._link
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Import it in the worker. What has a lasting name is known from here on, and nobody is asked for it again."""
        for name, value in self._link.ask("import", name=module.__name__).items():
            if name.startswith("__"):
                continue
            told = ["named", module.__name__, name]
            module.__dict__[name] = Function(self._link, told, "function", None) if value is None else value


class Outsider:
    """A pytest plugin: a fresh worker for each test file, and no result of a test that could not be asked outside.

    Args:
        link: the way to the worker.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._file: Path | None = None

    def pytest_sessionstart(self) -> None:
        """Remember what is around before any test is there."""
        self._link.settle()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: Any) -> None:
        """Begin a test before its fixtures do."""
        if item.path != self._file:
            self._file = item.path
            self._link.renew()
        self._link.begin_test()
        item.runtest = self._watching(item)

    def _watching(self, item: Any) -> Callable[[], None]:
        link, run = self._link, item.runtest

        def run_and_doubt() -> None:
            failed = False
            try:
                run()
            except Exception:
                failed = True
                if not (link.doubt or link.foreign):
                    raise
            failed = failed or bool(getattr(item, "_excinfo", None))  # unittest's failures are not raised
            if link.doubt:
                item._excinfo = None
                raise Uncrossable(link.doubt)
            if failed and link.foreign:
                item._excinfo = None
                raise Unclear(f"a value of type {link.foreign} cannot cross")

        return run_and_doubt


def take_part(emit: object, tree: str, asked: dict[str, Any]) -> Outsider:
    """Offer the program's modules to whatever is imported from now on, and return the plugin for pytest.

    Args:
        emit: not used; this part reports nothing of its own.
        tree: folder of the tests, in both sandboxes.
        asked: `names` of the program's modules, `paths` of its files, and `seconds` that one answer may take.
    """
    del emit
    offered = frozenset(asked["names"])
    link = Link(Ground(tree, asked["paths"], offered), asked["seconds"])
    sys.meta_path.insert(0, Finder(link, offered))
    route_commands(link)
    route_connections(link)
    watch_execution(link)
    return Outsider(link)
