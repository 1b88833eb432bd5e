# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""``sketch="sign"`` in the drivers: in float32 a product in fixed point, with its bits and its accuracy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from instruction_sets import on_every_instruction_set

import randnla
from randnla import _core
from randnla._backend.generic import fixed_point as oracle
from randnla._backend.kernels import fixed_point

Array = np.ndarray[Any, Any]
RANK = 12


@pytest.fixture(autouse=True)
def _team() -> Iterator[None]:
    yield
    _core.set_num_threads(0)


@cache
def matrix(kind: str) -> Array:
    """Singular (eigen) values 0.9^i, or a tall matrix for least squares, in float64."""
    rng = np.random.default_rng(1)
    if kind == "tall":
        return rng.standard_normal((2000, 20))
    V = np.linalg.qr(rng.standard_normal((100, 100)))[0]
    U = V if kind == "definite" else np.linalg.qr(rng.standard_normal((400, 100)))[0]
    return (U * 0.9 ** np.arange(100)) @ V.T


def call(name: str, dtype: Any, *, sketch: str = "sign", rng: int = 3, order: Any = "C") -> Any:
    driver, kind, options = DRIVERS[name]
    A = np.asarray(matrix(kind), dtype=dtype, order=order)
    return driver(A, sketch=sketch, rng=rng, **options)


def least_squares(A: Array, **options: Any) -> Any:
    return randnla.lstsq(A, A[:, 0] + 1, **options)


DRIVERS: dict[str, tuple[Callable[..., Any], str, dict[str, Any]]] = {
    "svd": (randnla.svd, "general", {"rank": RANK}),
    "svd_proto": (randnla.svd, "general", {"rank": RANK, "method": "proto"}),
    "svd_krylov": (randnla.svd, "general", {"rank": RANK, "method": "krylov"}),
    "range_finder": (randnla.range_finder, "general", {"rank": RANK}),
    "eigh": (randnla.eigh, "definite", {"rank": RANK, "method": "subspace"}),
    "eigh_auto": (randnla.eigh, "definite", {"rank": RANK}),
    "nystrom": (randnla.nystrom, "definite", {"rank": RANK}),
    "lstsq": (least_squares, "tall", {"method": "cholesky_qr"}),
    "lstsq_auto": (least_squares, "tall", {}),
}


class Products(list[tuple[Array, Array, dict[str, Any]]]):
    """The products in fixed point that were made: input, output and the map."""

    def __init__(self) -> None:
        self.product = fixed_point.apply_sign_map

    def __call__(self, A: Array, out: Array, **which: Any) -> Array:
        self.product(A, out, **which)
        self.append((np.array(A), np.array(out), which))
        return out


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> Products:
    made = Products()
    monkeypatch.setattr(fixed_point, "apply_sign_map", made)
    return made


@pytest.mark.parametrize("name", DRIVERS)
def test_float32_runs_in_fixed_point_and_has_the_bits_of_the_oracle(name: str, products: Products) -> None:
    result = call(name, np.float32)
    assert result.info.sketch == "sign"
    assert len(products) == (2 if name.startswith("lstsq") else 1)  # of A, and of the right-hand side
    for A, out, which in products:
        assert which["seed"] == result.info.seed == 3
        want = oracle.apply_sign_map(A, np.empty_like(out), **which)
        np.testing.assert_array_equal(out.view(np.uint32), want.view(np.uint32))


@pytest.mark.parametrize("name", DRIVERS)
def test_float64_runs_in_float64(name: str, products: Products) -> None:
    assert call(name, np.float64).info.sketch == "sign"
    assert not products


@pytest.mark.parametrize("name", DRIVERS)
def test_auto_draws_no_sign_map(name: str, products: Products) -> None:
    """The same choice on every machine, and without byte units a sign map is the slower one."""
    assert call(name, np.float32, sketch="auto").info.sketch != "sign"
    assert not products


def digest() -> dict[str, str]:
    """Of all products that the drivers make, for one to four threads and both orders of the input."""
    found = {}
    product = fixed_point.apply_sign_map
    for name in DRIVERS:
        seen = set()
        for threads in (1, 2, 3, 4):
            for order in "CF":
                _core.set_num_threads(threads)
                fixed_point.apply_sign_map = made = Products()  # type: ignore[assignment]
                call(name, np.float32, order=order)
                fixed_point.apply_sign_map = product
                sha = hashlib.sha256()
                for _, out, _ in made:
                    sha.update(np.ascontiguousarray(out).astype("<f4").tobytes())
                seen.add(sha.hexdigest()[:12])
        found[name] = " ".join(sorted(seen))
    return found


def test_sketches_have_the_same_bits_on_every_instruction_set_and_team() -> None:
    found = on_every_instruction_set(__file__, "digest()")
    first = next(iter(found.values()))
    assert all(len(value) == 12 for value in first.values())  # one digest for all teams and orders
    assert all(value == first for value in found.values())


SEEDS = 60


@pytest.mark.parametrize("name", ["svd_proto", "svd_krylov", "range_finder", "eigh", "nystrom"])
def test_errors_are_those_of_a_gaussian_map(name: str) -> None:
    """Means over sixty seeds differ by no more than sampling: six standard errors of the difference.

    The means being nearly normal, a false alarm has a chance of about 2e-9; six standard errors are below
    4 % of the error, so that a map that is worse by more does not pass.
    """
    A = matrix(DRIVERS[name][1])
    size = np.linalg.norm(A)

    def error(sketch: str, seed: int) -> float:
        result = call(name, np.float32, sketch=sketch, rng=seed)
        if name == "range_finder":
            Q = result.Q.astype(np.float64)
            return float(np.linalg.norm(A - Q @ (Q.T @ A)) / size)
        if name.startswith("svd"):
            return float(np.linalg.norm(A - (result.U * result.s) @ result.Vh) / size)
        return float(np.linalg.norm(A - (result.V * result.w) @ result.V.T) / size)

    found = np.array([[error(sketch, seed) for seed in range(SEEDS)] for sketch in ("sign", "gaussian")])
    mean = found.mean(axis=1)
    spread = np.sqrt((found.var(axis=1, ddof=1) / SEEDS).sum())
    assert abs(mean[0] - mean[1]) <= 6 * spread
    assert 6 * spread <= 0.04 * mean[1]
