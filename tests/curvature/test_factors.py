# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Averaged second moments: the weights of every batch, one triangle, wide sums, an untouched state."""

import pickle
import tracemalloc

import cases
import numpy as np
import pytest

import randnla
from randnla.curvature import BrandFactor, KroneckerFactor, LowRankFactor
from randnla.curvature.factors.average import STARTS

EPS32 = float(np.finfo(np.float32).eps)


def batches(count, n, d, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    made = rng.standard_normal((count, n, d))
    if np.dtype(dtype).kind == "c":
        made = made + 1j * rng.standard_normal((count, n, d))
    return made.astype(dtype)


def exact(stack, rho, start):
    """The average by its definition, in float64."""
    moments = [X.conj().T @ X / len(X) for X in stack.astype(np.result_type(stack, np.float64))]
    value = np.eye(stack.shape[2]) if start == "identity" else np.zeros_like(moments[0])
    for k, moment in enumerate(moments, 1):
        keep = {"running": min(1 - 1 / k, rho), "first": rho if k > 1 else 0.0}.get(start, rho)
        value = keep * value + (1 - keep) * moment
    return value / (1 - rho ** len(moments)) if start == "debias" else value


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("start", STARTS)
def test_average_is_that_of_its_definition(start, dtype):
    stack = batches(12, 9, 20, dtype=dtype)
    factor = KroneckerFactor(20, ema=0.8, start=start, dtype=dtype)
    for X in stack:
        factor.update(X)
    expected = exact(stack, 0.8, start)
    size = np.linalg.norm(expected)
    assert factor.count == 12
    # 12 updates of 9-term sums: far fewer than 100 roundings of the largest term.
    assert np.linalg.norm(factor.value - expected) < 100 * np.finfo(dtype).eps * size
    assert factor.trace == pytest.approx(np.trace(expected).real, rel=100 * float(np.finfo(dtype).eps))
    assert np.array_equal(factor.value, factor.value.conj().T)


@pytest.mark.parametrize("start", ["debias", "running", "first"])
def test_first_average_is_the_first_batch(start):
    X = batches(1, 5, 8)[0]
    factor = KroneckerFactor(8, start=start, dtype=np.float64)
    factor.update(X)
    np.testing.assert_allclose(factor.value, X.T @ X / 5, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("size", [(7, 5), (3000, 40), (30, 700), (1, 400)])
@pytest.mark.parametrize("layout", list(cases.LAYOUTS))
def test_every_layout_and_shape(layout, size):
    X = batches(1, *size)[0]
    factor = KroneckerFactor(size[1], dtype=np.float64)
    factor.update(cases.LAYOUTS[layout](X))
    expected = X.T @ X / size[0]
    np.testing.assert_allclose(factor.value, expected, atol=1e-13 * np.abs(expected).max() * size[0])


def test_torch_batches_give_the_same_bits():
    torch = pytest.importorskip("torch")
    X = batches(1, 6, 10, dtype=np.float32)[0]
    ours, theirs = KroneckerFactor(10), KroneckerFactor(10)
    ours.update(X)
    theirs.update(torch.from_numpy(X).requires_grad_())
    assert np.array_equal(ours.value, theirs.value)


def test_half_precision_is_summed_in_single():
    fives = np.full((4096, 1), 5, np.float16)  # X^T X = 102400 overflows float16
    factor = KroneckerFactor(1)
    factor.update(fives)
    assert factor.value[0, 0] * 4096 == 102400.0
    slow = KroneckerFactor(2, ema=0.999, start="identity")
    ones = np.ones((1, 2), np.float16)
    for _ in range(20000):  # float16 sums stick at about 0.75
        slow.update(ones)
    assert abs(slow.value - 1).max() < 1e-4


FULL = [KroneckerFactor(6, dtype="f8"), BrandFactor(6, 6, dtype="f8"), LowRankFactor(6, 6, dtype="f8")]


@pytest.mark.parametrize("factor", FULL)
def test_weights_multiply_the_outer_products(factor):
    X = batches(1, 4, 6)[0]
    weight = np.array([0.0, 1.0, 2.5, 1.0])
    factor.update(X, weight)
    np.testing.assert_allclose(factor.value, (X.T * weight) @ X / 4, atol=1e-13)
    again = KroneckerFactor(6, dtype=np.float64)
    again.update(X, 2.0)
    np.testing.assert_allclose(again.value, 2 * X.T @ X / 4, atol=1e-13)


BAD_BATCHES = {
    "shape": (np.ones((3, 5)), None, randnla.InputError, r"X: expected shape \(n, 4\)"),
    "empty": (np.ones((0, 4)), None, randnla.InputError, r"X: expected shape \(n, 4\) with n >= 1"),
    "vector": (np.ones(4), None, randnla.InputError, "X: expected 2 dimensions"),
    "text": (np.full((2, 4), "a"), None, randnla.InputError, "X: dtype <U1 is not supported"),
    "complex": (np.ones((2, 4), complex), None, randnla.InputError, "X: expected real numbers"),
    "nan": (np.array([[1, 2, np.nan, 4.0]]), None, randnla.NonFiniteError, "X: 1 entry is NaN or Inf"),
    "inf": (np.array([[1, 2, 3, -np.inf]]), None, randnla.NonFiniteError, "X: 1 entry is NaN or Inf"),
    "squares": (np.full((1, 4), 1e20), None, randnla.NonFiniteError, "X: the squares .* overflow float32"),
    "weight shape": (np.ones((2, 4)), np.ones(3), randnla.InputError, "weight: expected one number for each"),
    "weight sign": (np.ones((2, 4)), -1.0, randnla.InputError, "weight: expected finite numbers >= 0"),
    "weight nan": (np.ones((2, 4)), np.nan, randnla.InputError, "weight: expected finite numbers >= 0"),
}


@pytest.mark.parametrize("case", list(BAD_BATCHES))
@pytest.mark.parametrize(
    "make", [lambda: KroneckerFactor(4), lambda: BrandFactor(4, 2), lambda: LowRankFactor(4, 1, rng=0)]
)
def test_bad_batch_leaves_the_state_bit_unchanged(make, case):
    X, weight, error, message = BAD_BATCHES[case]
    factor = make()
    factor.update(np.arange(8.0).reshape(2, 4))
    before = factor.state_dict()["digest"]
    with pytest.raises(error, match=message):
        factor.update(X, weight)
    assert factor.state_dict()["digest"] == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0}, "dim: expected an integer"),
        ({"dim": True}, "dim: expected an integer"),
        ({"dim": 3, "ema": 1.0}, r"ema: expected a number in \[0, 1\), got 1.0"),
        ({"dim": 3, "ema": np.nan}, "ema: expected"),
        ({"dim": 3, "start": "zero"}, "start: expected one of"),
        ({"dim": 3, "dtype": np.float16}, "dtype: expected float32, .* got float16"),
        ({"dim": 3, "dtype": np.int64}, "dtype: expected float32"),
        ({"dim": 3, "dtype": None}, "dtype: expected float32"),
        ({"dim": 3, "dtype": "q1"}, "dtype: expected float32"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(randnla.InputError, match=message):
        KroneckerFactor(**arguments)


@pytest.mark.parametrize(
    "make",
    [
        lambda: KroneckerFactor(5, ema=0.7),
        lambda: BrandFactor(5, 3, ema=0.7),
        lambda: LowRankFactor(5, 2, oversample=1, ema=0.7, rng=3),
    ],
)
def test_state_goes_on_bit_for_bit(make):
    stack = batches(10, 3, 5, dtype=np.float32)
    whole = make()
    for X in stack:
        whole.update(X)
    half = make()
    for X in stack[:6]:
        half.update(X)
    resumed = KroneckerFactor(1) if isinstance(half, KroneckerFactor) else type(half)(1, 1)
    resumed.load_state_dict(half.state_dict())
    copied = pickle.loads(pickle.dumps(half))
    for X in stack[6:]:
        resumed.update(X)
        copied.update(X)
    assert resumed.state_dict()["digest"] == whole.state_dict()["digest"]
    assert copied.state_dict()["digest"] == whole.state_dict()["digest"]
    altered = whole.state_dict()
    altered["count"] = -1
    with pytest.raises(randnla.StateError, match="digest"):
        resumed.load_state_dict(altered)
    with pytest.raises(randnla.StateError, match="kind"):
        resumed.load_state_dict({**whole.state_dict(), "kind": "svd"})
    assert resumed.state_dict()["digest"] == whole.state_dict()["digest"]


def test_bits_do_not_depend_on_the_number_of_threads():
    stack = batches(3, 60, 700, dtype=np.float32)
    digests = set()
    before = randnla.num_threads()
    try:
        for threads in (1, 2, 3, 4):
            randnla.set_num_threads(threads)
            factor = KroneckerFactor(700)
            for X in stack:
                factor.update(X)
            digests.add(factor.state_dict()["digest"])
    finally:
        randnla.set_num_threads(before)
    assert len(digests) == 1


@pytest.mark.parametrize("power", [-30, -7, 1, 12, 40])
def test_powers_of_two_scale_it_exactly(power):
    X = batches(1, 9, 30, dtype=np.float32)[0]
    plain, scaled = KroneckerFactor(30), KroneckerFactor(30)
    plain.update(X)
    scaled.update(np.ldexp(X, power))
    assert np.array_equal(scaled.value, np.ldexp(plain.value, 2 * power))


def test_an_update_allocates_nothing():
    X = batches(1, 64, 1024, dtype=np.float32)[0]
    factor = KroneckerFactor(1024)
    factor.update(X)
    tracemalloc.start()
    try:
        factor.update(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000


def test_a_factor_beyond_memory_is_refused():
    with pytest.raises(randnla.CapacityError, match=r"dim: .* do not fit in memory"):
        KroneckerFactor(2**40)
    state = KroneckerFactor(2).state_dict()
    del state["digest"]
    from randnla._backend import state as plain_state

    for change, message in (
        ({"dim": 2**40}, r"triangle: expected shape \(1099511627776, "),
        ({"triangle": np.eye(2, dtype=np.float32)}, "count: expected the number of batches"),
        ({"count": 1, "triangle": -np.eye(2, dtype=np.float32)}, "a diagonal >= 0"),
        ({"unit": 5000}, "expected an exponent"),
    ):
        fields = {key: value for key, value in state.items() if key not in ("schema", "stream_version")}
        with pytest.raises(randnla.StateError, match=message):
            KroneckerFactor(2).load_state_dict(plain_state.seal({**fields, **change}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: KroneckerFactor(3, ema=0.5),
        lambda: BrandFactor(3, 3, ema=0.5),
        lambda: LowRankFactor(3, 3, ema=0.5),
    ],
)
def test_squares_below_the_range_are_not_lost(make):
    """Entries of 1e-23, whose squares float32 does not hold, and what came before and comes after."""
    X = np.random.default_rng(5).standard_normal((4, 3))
    factor = make()
    factor.update((X * 1e-23).astype(np.float32))
    moment = X.T @ X / 4
    assert factor.trace == pytest.approx(1e-46 * np.trace(moment), rel=1e-5)
    for power in (-60, 15, -23):
        factor.update(X * 10.0**power)
    exact = sum(w * 10.0 ** (2 * p) for w, p in ((1 / 16, -23), (1 / 8, -60), (1 / 4, 15), (1 / 2, -23)))
    exact *= 2 / (1 - 1 / 16) * np.trace(moment) / 2
    assert factor.trace == pytest.approx(exact, rel=1e-5)
    tiny = make()
    tiny.update(X * 1e-60)  # float64 rows into a float32 factor
    for _ in range(3):
        tiny.update(X * 1e-70)
    weights = 0.5 ** np.arange(4, 0, -1.0)
    expected = np.trace(moment) * (weights * [1e-120, 1e-140, 1e-140, 1e-140]).sum() / weights.sum()
    assert tiny.trace == pytest.approx(expected, rel=1e-5)
    heavy = make()
    heavy.update(np.full((2, 3), 1e-20), 1e30)
    assert heavy.trace == pytest.approx(3e-10, rel=1e-5)


def test_after_an_interrupt_the_factor_says_so(monkeypatch):
    from randnla.curvature.factors import kronecker as factors

    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    factor = KroneckerFactor(4)
    factor.update(np.eye(4))
    saved = factor.state_dict()
    monkeypatch.setattr(factors.symmetric, "update_triangle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        factor.update(np.eye(4))
    monkeypatch.undo()
    for use in (
        lambda: factor.value,
        lambda: factor.trace,
        lambda: factor.update(np.eye(4)),
        factor.state_dict,
    ):
        with pytest.raises(randnla.StateError, match="an update was interrupted half-way"):
            use()
    factor.load_state_dict(saved)
    assert np.array_equal(factor.value, np.eye(4, dtype=np.float32) / 4)


def test_a_batch_of_zeros_after_a_tiny_one_only_lets_the_past_fade():
    factor = KroneckerFactor(4, ema=0.5, start="first")
    factor.update(np.full((8, 4), 1e-25, np.float32))
    before = factor.trace
    factor.update(np.zeros((8, 4), np.float32))
    assert factor.trace == before / 2 > 0
