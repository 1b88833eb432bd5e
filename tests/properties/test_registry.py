# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Nothing public goes untested, nothing is imported before it is used."""

import importlib
import subprocess
import sys
from pathlib import Path

import cases
import pytest

import randnla
from randnla import curvature, operators, sketching

TESTS = Path(__file__).resolve().parents[1]


def test_every_public_name_has_a_row():
    assert set(randnla.__all__) - cases.registered_names() == set()


def test_public_names_exist_and_are_listed():
    listing = dir(randnla)
    for name in randnla.__all__:
        assert getattr(randnla, name) is not None
        assert name in listing
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = randnla.nothing_like_this


def test_every_row_of_others_names_a_file():
    rows = [*cases.OTHERS.values(), *cases.CURVATURE.values()]
    rows += [file for names in cases.FACES.values() for file in names.values()]
    missing = {file for file in rows if not (TESTS / file).exists()}
    assert missing == set()


def test_every_name_of_curvature_has_a_row():
    assert set(curvature.__all__) == set(cases.CURVATURE)
    assert set(curvature.__all__) <= set(dir(curvature))
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = curvature.nothing_like_this


@pytest.mark.parametrize("room", cases.FACES)
def test_every_name_of_a_face_has_a_row(room):
    module = importlib.import_module(f"randnla.{room}")
    assert set(module.__all__) == set(cases.FACES[room])
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("room", ["curvature", *cases.FACES])
def test_no_name_is_that_of_a_module_beside_it(room):
    # Importing a module puts it under its name in the package, in the place of a function of that name.
    module = importlib.import_module(f"randnla.{room}")
    files = {path.stem for path in Path(module.__file__).parent.iterdir()}
    assert set(module.__all__) & files == set()


def test_every_map_and_operator_class_has_a_row():
    made = {type(case.make(2, 4, rng=0)).__name__ for case in cases.SKETCHES.values()}
    assert made == {name for name in sketching.__all__ if _is_map(getattr(sketching, name))}
    rows = {name.split("_")[0] for name in cases.OPERATORS}
    assert {"Dense", "Sparse", "RowStream"} <= rows & set(operators.__all__)


def _is_map(thing):
    return (
        isinstance(thing, type)
        and issubclass(thing, sketching.RandomMap)
        and thing is not sketching.RandomMap
    )


def test_import_loads_no_framework():
    code = (
        "import sys, randnla; randnla.info; randnla.Gaussian; randnla.sketch; randnla.Dense\n"
        "import numpy as np; randnla.Gaussian(2, 4, rng=0) @ np.ones((4, 2))\n"
        "names = ('torch', 'jax', 'sklearn', 'matplotlib', 'dask', 'cupy', 'rich')\n"
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_plain_import_loads_no_numpy():
    code = "import sys, randnla; print('numpy' in sys.modules, 'scipy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False False"
