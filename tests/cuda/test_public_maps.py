# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Random maps applied to CuPy's arrays through the public API, kernels under emulation.

The arrays are real ``cupy.ndarray`` objects over host memory. Nothing but drawn indices may cross.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import randnla
from randnla import InputError
from randnla._backend import device, namespace

M, N, D = 70, 5, 12
MAPS = {
    "gaussian": lambda dtype: randnla.Gaussian(D, M, rng=3, dtype=dtype),
    "sign": lambda dtype: randnla.Sign(D, M, rng=3, dtype=dtype),
    "block": lambda dtype: randnla.Gaussian(40, 200, rng=3, dtype=dtype)[5:17, 100:170],
    "sparse_sign": lambda dtype: randnla.SparseSign(D, M, rng=3, dtype=dtype),
    "countsketch": lambda dtype: randnla.CountSketch(D, M, rng=3, dtype=dtype),
    "srht": lambda dtype: randnla.SRHT(D, M, rng=3, dtype=dtype),
    "rows": lambda dtype: randnla.RowSampling(D, M, rng=3, dtype=dtype),
}
FORWARD_ONLY = {"rows"}
DRAWN = {"srht": 5, "rows": 3}  # products below that send the indices of d rows
SUMS_IN_ANOTHER_ORDER = {"gaussian", "sign", "block"}


def matrix(shape: tuple[int, ...], dtype: Any, layout: str) -> Any:
    A = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    if layout == "strided":
        wide = np.zeros([2 * side for side in shape], dtype)
        inner = wide[tuple(slice(None, None, 2) for _ in shape)]
        inner[...] = A
        return inner
    return np.asarray(A, order=layout)


def agree(name: str, found: Any, expected: Any) -> None:
    in_fixed_point = name == "sign" and found.dtype == np.float32
    if name in SUMS_IN_ANOTHER_ORDER and not in_fixed_point:
        scale = float(abs(expected).max())
        np.testing.assert_allclose(found, expected, rtol=0, atol=20 * np.finfo(found.dtype).eps * scale)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MAPS)
def test_the_products_of_a_map(gpu: Any, name: str, dtype: Any, layout: str) -> None:
    S = MAPS[name](dtype)
    A, B = matrix((M, N), dtype, layout), matrix((D, N), dtype, layout)
    cases = [(lambda X: S @ X, A), (lambda X: X @ S.T, A.T), (lambda X: S @ X, A[:, 0])]
    if name not in FORWARD_ONLY:
        cases += [(lambda X: S.T @ X, B), (lambda X: X @ S, B.T)]
    for product, X in cases:
        expected = product(np.ascontiguousarray(X))
        found = product(gpu.put(X))
        assert type(found) is gpu.cupy.ndarray
        assert found.shape == expected.shape
        agree(name, gpu.seen(found), expected)
    assert gpu.transfers.to_host == 0
    assert gpu.transfers.to_device == 8 * D * DRAWN.get(name, 0)


def test_the_receiver_of_a_product(gpu: Any) -> None:
    S = MAPS["countsketch"](np.float64)
    A = matrix((M, N), np.float64, "C")
    out = gpu.put(np.zeros((D, N)))
    assert S.apply(gpu.put(A), out=out) is out
    np.testing.assert_array_equal(gpu.seen(out), S @ A)
    with pytest.raises(InputError, match="out: expected shape"):
        S.apply(gpu.put(A), out=gpu.put(np.zeros((D, N + 1))))
    with pytest.raises(InputError, match="out: expected a ndarray of CuPy"):
        S.apply(gpu.put(A), out=np.zeros((D, N)))
    whole = gpu.put(np.zeros((M + D, N)))
    S.apply(whole[:M], out=whole[M:])
    with pytest.raises(InputError, match="out: shares memory"):
        S.apply(whole[:M], out=whole[M - 1 : -1])


def test_products_without_a_kernel_are_refused(gpu: Any) -> None:
    S = MAPS["rows"](np.float64)
    with pytest.raises(InputError, match=r"B: S.T @ B of .* has no kernel for arrays on a GPU"):
        S.T @ gpu.put(np.ones((D, N)))
    with pytest.raises(InputError, match=r"A: S @ A of .* has no kernel"):
        S[:, 1:] @ gpu.put(np.ones((M - 1, N)))
    with pytest.raises(InputError, match=r"A: S @ A of .* has no kernel"):
        MAPS["srht"](np.float64)[:, 1:] @ gpu.put(np.ones((M - 1, N)))
    with pytest.raises(InputError, match=r"A: S @ A of .* has no kernel"):
        MAPS["sparse_sign"](np.float64)[1:] @ gpu.put(np.ones((M, N)))
    assert gpu.transfers.count == 0


def test_a_map_without_kernels_is_refused(gpu: Any) -> None:
    with pytest.raises(InputError, match=r"A: S @ A of SRFT.* has no kernel"):
        randnla.SRFT(D, M, rng=0) @ gpu.put(np.ones((M, N)))


def test_wrong_arrays_are_refused(gpu: Any) -> None:
    S = MAPS["gaussian"](np.float64)
    with pytest.raises(InputError, match="A: expected float64, that of the map, on a GPU, got float32"):
        S @ gpu.put(np.ones((M, N), np.float32))
    with pytest.raises(InputError, match="A: expected float32 or float64 on a GPU, got int64"):
        S @ gpu.put(np.ones((M, N), np.int64))
    with pytest.raises(InputError, match="A: expected 1 or 2 dimensions, got 3"):
        S @ gpu.put(np.ones((M, N, 1)))
    with pytest.raises(InputError, match="S @ A: S has shape"):
        S @ gpu.put(np.ones((M + 1, N)))
    with pytest.raises(InputError, match="A: this takes no arrays on a GPU"):
        randnla.leverage_scores(gpu.put(np.ones((M, N))))


@pytest.mark.parametrize("state", ["not built", "no driver", "no device"])
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    from randnla._backend.kernels import cuda

    monkeypatch.setattr(cuda, "state", lambda: state)
    device._open.cache_clear()
    with pytest.raises(InputError, match=device.MISSING[state]):
        device.runtime()


def test_only_contiguous_memory_is_copied(gpu: Any) -> None:
    A = gpu.put(np.arange(12.0).reshape(3, 4))
    with pytest.raises(ValueError, match="only contiguous memory"):
        gpu.to_host(A[:, ::2])
    for part in (A, A.T, A[1:]):
        np.testing.assert_array_equal(gpu.to_host(part), gpu.seen(part))
    assert gpu.transfers == device.Transfers(count=3, to_host=8 * 32)


def test_results_on_the_device_have_the_kind_of_the_argument(gpu: Any) -> None:
    given = gpu.put(np.ones(3))
    kind = namespace.kind_of(given)
    assert kind.on_device
    with gpu.on(given):
        made = namespace.restore(kind, np.arange(3.0))
    assert type(made) is gpu.cupy.ndarray
    np.testing.assert_array_equal(gpu.seen(made), np.arange(3.0))
    assert namespace.restore(kind, made) is made
