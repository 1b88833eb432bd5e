# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Torch tensors on CUDA and JAX arrays on a GPU, as far as no device is needed.

The libraries' own exchange of memory asks a driver: it is stood in for. What is tested is everything
around it: who is recognized, what is handed to the exchange, and what comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import randnla
from randnla import InputError
from randnla._backend import namespace

CUDA = (2, 0)  # kDLCUDA, device 0


def matrix(dtype: Any = np.float64) -> Any:
    rng = np.random.default_rng(3)
    U, V = (np.linalg.qr(rng.standard_normal((size, 20)))[0] for size in (60, 20))
    return ((U * 0.5 ** np.arange(20)) @ V.T).astype(dtype)


class Exchange:
    """Stands in for `from_dlpack` of CuPy and of another library, and counts."""

    def __init__(self, gpu: Any, back: Callable[[Any], Any]) -> None:
        self.gpu, self.back, self.given, self.returned = gpu, back, 0, 0

    def to_cupy(self, A: Any) -> Any:
        assert hasattr(A, "__dlpack__")
        self.given += 1
        return self.gpu.put(np.asarray(A))

    def from_cupy(self, A: Any) -> Any:
        assert type(A) is self.gpu.cupy.ndarray
        self.returned += 1
        return self.back(self.gpu.seen(A))


def torch_exchange(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    torch = pytest.importorskip("torch")

    class OnGpu(torch.Tensor):  # type: ignore[misc, name-defined]
        """A tensor that says it were on CUDA."""

        device = property(lambda self: torch.device("cuda", 0))

        def __dlpack_device__(self) -> tuple[int, int]:
            return CUDA

    exchange = Exchange(gpu, lambda A: torch.as_tensor(A).as_subclass(OnGpu))

    def to_cupy(A: Any) -> Any:
        assert A.__dlpack_device__() == CUDA
        assert not A.requires_grad
        return exchange.to_cupy(A.as_subclass(torch.Tensor).numpy())

    monkeypatch.setattr(gpu.cupy, "from_dlpack", to_cupy)
    monkeypatch.setattr(namespace.kind_of(torch.ones(1)).namespace, "from_dlpack", exchange.from_cupy)
    return exchange


def jax_exchange(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    jax_numpy = pytest.importorskip("jax.numpy")
    exchange = Exchange(gpu, jax_numpy.asarray)
    monkeypatch.setattr(namespace, "_is_on_gpu", lambda A: True)
    monkeypatch.setattr(gpu.cupy, "from_dlpack", exchange.to_cupy)
    monkeypatch.setattr(jax_numpy, "from_dlpack", exchange.from_cupy)
    return exchange


@pytest.fixture(params=[torch_exchange, jax_exchange], ids=["torch", "jax"])
def exchange(gpu: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    return request.param(gpu, monkeypatch)


def test_factors_are_of_the_kind_of_the_matrix(exchange: Any) -> None:
    A = matrix(np.float32)
    given = exchange.back(A)
    result = randnla.svd(given, 3, rng=0)
    assert (exchange.given, exchange.returned) == (1, 3)
    assert all(isinstance(x, type(given)) for x in (result.U, result.s, result.Vh))
    np.testing.assert_allclose(np.asarray(result.s), 0.5 ** np.arange(3), rtol=1e-4)


def test_every_array_of_a_call_is_exchanged_once(exchange: Any) -> None:
    A = matrix(np.float32)
    x = randnla.lstsq(exchange.back(A[:, :4]), exchange.back(A @ np.ones(20, np.float32)), rng=0).x
    assert isinstance(x, type(exchange.back(A)))
    assert exchange.returned == 1
    assert exchange.given == 2
    K = randnla.Kronecker(exchange.back(A[:3, :2]), exchange.back(A[:4, :5]))
    y = K @ exchange.back(np.ones(10, np.float32))
    np.testing.assert_allclose(np.asarray(y), np.kron(A[:3, :2], A[:4, :5]).sum(axis=1), rtol=1e-4, atol=1e-6)


def test_a_gradient_is_left_alone(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    A = torch_exchange(gpu, monkeypatch).back(matrix()).requires_grad_()
    assert not randnla.svd(A, 2, rng=0).s.requires_grad
    assert A.grad is None


def test_what_is_not_taken(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    back = torch_exchange(gpu, monkeypatch).back
    A = back(np.ones((4, 4), np.int64))
    with pytest.raises(InputError, match="A: expected float32 or float64 on a GPU, got int64"):
        randnla.svd(A, 1)
    with pytest.raises(InputError, match="expected a tensor on the CPU, got one on cuda:0"):
        randnla.trace(back(matrix()[:20]))
