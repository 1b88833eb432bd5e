# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The examples of the docstrings, module by module, exactly as printed."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import pkgutil

import pytest

import randnla

# Rooms that import a package of their own name, which is optional.
FRAMEWORKS = {"torch"}


def names() -> list[str]:
    """All modules with examples; importing none of those that would run something."""
    absent = {room for room in FRAMEWORKS if importlib.util.find_spec(room) is None}
    found = (info.name for info in pkgutil.walk_packages(randnla.__path__, "randnla."))
    kept = (name for name in found if name.split(".")[1] not in absent)
    return ["randnla", *(name for name in kept if not name.endswith("__main__") and name != "randnla._core")]


MODULES = [importlib.import_module(name) for name in names()]
FINDER = doctest.DocTestFinder(exclude_empty=True)
EXAMPLES = {
    module.__name__: tests
    for module in MODULES
    if (tests := [test for test in FINDER.find(module, module.__name__) if test.examples])
}


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_print_what_they_show(module: str) -> None:
    output: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=0)
    for test in EXAMPLES[module]:
        runner.run(test, out=output.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(output)


def test_every_public_function_and_class_has_an_example() -> None:
    covered = {test.name for tests in EXAMPLES.values() for test in tests}
    missing = []
    for name in randnla.__all__:
        thing = getattr(randnla, name)
        if inspect.isroutine(thing) or (
            inspect.isclass(thing) and not issubclass(thing, (Exception, Warning))
        ):
            where = f"{thing.__module__}.{thing.__qualname__}"
            if not any(test == where or test.startswith(where + ".") for test in covered):
                missing.append(where)
    assert missing == []
