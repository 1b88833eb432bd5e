# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""``precision=`` of power iterations: products in fixed point where asked for, and what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import randnla
from randnla import InputError
from randnla._backend.kernels import fixed_point

Array = np.ndarray[Any, Any]
SLICES = {"two_slices": 2, "three_slices": 3}
RANK = 10


def matrix(ratio: float, shape: tuple[int, int] = (300, 80)) -> Array:
    """Singular values ratio^i, in float32."""
    rng = np.random.default_rng(2)
    U = np.linalg.qr(rng.standard_normal((shape[0], shape[1])))[0]
    V = np.linalg.qr(rng.standard_normal((shape[1], shape[1])))[0]
    return ((U * ratio ** np.arange(shape[1])) @ V.T).astype(np.float32)


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Slices of the products in fixed point that were made."""
    made: list[int] = []
    product = fixed_point.multiply

    def counted(A: Array, B: Array, out: Array, *, slices: int = 3) -> Array:
        made.append(slices)
        return product(A, B, out, slices=slices)

    monkeypatch.setattr(fixed_point, "multiply", counted)
    return made


@pytest.mark.parametrize("precision", SLICES)
@pytest.mark.parametrize("method", ["auto", "subspace", "power"])
@pytest.mark.parametrize("driver", [randnla.svd, randnla.range_finder])
def test_power_iterations_alone_run_in_fixed_point(
    driver: Any, method: str, precision: str, slices: list[int]
) -> None:
    for order in "CF":
        A = np.asarray(matrix(0.9), order=order)  # type: ignore[call-overload]
        full = driver(A, RANK, method=method, power_iters=3, rng=0)
        assert not slices
        found = driver(A, RANK, method=method, power_iters=3, precision=precision, rng=0)
        assert slices == [SLICES[precision]] * 6
        assert precision.replace("_", " ") in found.info.path
        assert found.info.method == ("subspace" if method == "auto" else method)
        assert full.info.method == found.info.method or method == "auto"
        slices.clear()
    driver(A, RANK, power_iters=0, precision=precision, rng=0)
    assert not slices


def error(A: Array, result: Any) -> float:
    wide = A.astype(np.float64)
    return float(np.linalg.norm(wide - (result.U.astype(np.float64) * result.s) @ result.Vh))


@pytest.mark.parametrize(("precision", "ratio"), [("two_slices", 0.7), ("three_slices", 0.4)])
def test_errors_are_those_of_full_precision_above_the_rounding(precision: str, ratio: float) -> None:
    # sigma_10 / sigma_1 is .028 and 1e-4: far above the products' errors of 5e-5 and 5e-7.
    A = matrix(ratio)
    full = randnla.svd(A, RANK, method="subspace", rng=0)
    found = randnla.svd(A, RANK, precision=precision, rng=0)
    assert error(A, found) <= 1.001 * error(A, full)
    np.testing.assert_allclose(found.s, full.s, rtol=1e-5, atol=1e-6 * full.s[0])


def test_two_slices_lose_directions_below_their_rounding() -> None:
    """So that the bound of the docstring is one that is met: with 1e-7 of sigma_1 they are noise."""
    A = matrix(0.2)
    full, found = (
        randnla.svd(A, RANK, method="subspace", precision=p, rng=0) for p in ("full", "two_slices")
    )
    assert abs(found.s[:6] / full.s[:6] - 1).max() < 1e-2
    assert error(A, full) < error(A, found) < 5e-5 * full.s[0]


@pytest.mark.parametrize("precision", SLICES)
def test_the_certificate_speaks_of_what_was_lost(precision: str) -> None:
    """Below the products' errors the basis is worse, and the last product and the probes say so."""
    A = matrix(0.2)
    for certificate in ("auto", "probe", "exact"):
        for seed in range(5):
            found = randnla.svd(A, RANK, precision=precision, certificate=certificate, rng=seed)
            assert error(A, found) <= found.info.error_estimate


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**90])
def test_powers_of_two_change_no_bit(scale: float) -> None:
    A = matrix(0.8)
    first = randnla.svd(A, RANK, precision="two_slices", rng=0)
    other = randnla.svd(A * np.float32(scale), RANK, precision="two_slices", rng=0)
    np.testing.assert_array_equal(other.U, first.U)
    np.testing.assert_array_equal(other.s, first.s * np.float32(scale))


def test_what_is_not_finite_is_refused_as_ever() -> None:
    A = matrix(0.9)
    A[3, 4] = np.nan
    with pytest.raises(randnla.NonFiniteError, match=r"\(3, 4\)"):
        randnla.svd(A, RANK, precision="two_slices", rng=0)


@pytest.mark.parametrize("driver", [randnla.svd, randnla.range_finder])
def test_misuse_is_refused(driver: Any) -> None:
    A = matrix(0.9)
    with pytest.raises(InputError, match=r"precision: expected one of .*two_slices.*'half'"):
        driver(A, RANK, precision="half")
    for bad in (A.astype(np.float64), A.astype(np.complex64), sp.csr_array(A)):
        with pytest.raises(InputError, match="precision: 'two_slices' needs a float32 array in memory, got"):
            driver(bad, RANK, precision="two_slices")
    for options in ({"rank": RANK, "method": "krylov"}, {"rank": RANK, "method": "proto"}, {"tol": 0.1}):
        with pytest.raises(InputError, match="precision: 'three_slices' needs a fixed rank and method="):
            driver(A, precision="three_slices", **options)
