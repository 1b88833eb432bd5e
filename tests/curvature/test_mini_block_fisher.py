# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Block-diagonal Fisher matrices of minibatch gradients: against loops of dense inverses, and their laws."""

from __future__ import annotations

import tracemalloc

import cases
import numpy as np
import pytest
import scipy.linalg

import randnla
from randnla._backend import state as plain_state
from randnla._backend.errors import InputError, NonFiniteError, StateError
from randnla._backend.kernels import mini_blocks
from randnla.curvature import (
    Absolute,
    ConvBlocks,
    Elementwise,
    Every,
    Exact,
    KLClip,
    MiniBlockFisher,
    NeuronBlocks,
    RaggedBlocks,
    Relative,
    RMSClip,
)

EMA, MOMENTUM, STEPS = 0.8, 0.5, 4
PERMUTATION = np.random.default_rng(1).permutation(37)
PARTITIONS = {
    "conv 3x3": ConvBlocks(5, 4, (3, 3)),
    "conv 5x5": ConvBlocks(3, 7, (5, 5)),
    "conv 1d": ConvBlocks(4, 5, 4),
    "neurons, own": NeuronBlocks(6, 8, shared=False),
    "neurons, own, no bias": NeuronBlocks(19, 3, bias=False, shared=False),
    "neurons, shared": NeuronBlocks(6, 8),
    "neurons, shared, no bias": NeuronBlocks(6, 8, bias=False),
    "ragged": RaggedBlocks([2, 3, 2, 1, 4]),
    "ragged, permuted": RaggedBlocks([10, 3, 10, 14], PERMUTATION),
    "single entries": RaggedBlocks([1] * 21),
    "one block": RaggedBlocks([23]),
    "one wide block": RaggedBlocks([170]),
    "wide blocks": RaggedBlocks([165, 2, 165]),
}


def gradient_of(partition, rng, dtype=np.float64, scale=1.0):
    parts = tuple((scale * rng.standard_normal(shape)).astype(dtype) for shape in partition.shapes)
    return parts if len(parts) > 1 else parts[0]


def flat_of(gradient):
    """Weight and bias side by side, row by row, as one vector."""
    if isinstance(gradient, tuple):
        weight, bias = gradient
        return np.concatenate([weight.reshape(len(bias), -1), bias[:, None]], axis=1).ravel()
    return gradient.ravel()


def index_of(partition):
    """The entries of the flat gradient that belong to each block, one after the other."""
    if isinstance(partition, RaggedBlocks):
        where = np.arange(sum(partition.sizes)) if partition.permutation is None else partition.permutation
        return np.split(where, np.cumsum(partition.sizes)[:-1])
    (blocks,) = partition.blocks
    return list(np.arange(blocks.count * blocks.order).reshape(blocks.count, blocks.order))


def oracle(partition, gradients, damping):
    """The last direction by a loop of dense inverses in float64, flat."""
    shared = isinstance(partition, NeuronBlocks) and partition.shared
    flats = [flat_of(g).astype(np.float64) for g in gradients]
    blocks = index_of(partition)
    averages = []
    for index in blocks:
        total = np.zeros((len(index), len(index)))
        for flat in flats:
            total = EMA * total + (1 - EMA) * np.outer(flat[index], flat[index])
        averages.append(total / (1 - EMA ** len(flats)))
    if shared:
        averages = [np.mean(averages, axis=0)] * len(blocks)
    dims = averages[:1] if shared else averages
    mean = sum(map(np.trace, dims)) / sum(map(len, dims))
    shift = damping.value * (mean if isinstance(damping, Relative) else 1.0)
    momentum = np.zeros_like(flats[0])
    for flat in flats:
        momentum = MOMENTUM * momentum + (1 - MOMENTUM) * flat
    momentum /= 1 - MOMENTUM ** len(flats)
    out = np.empty_like(momentum)
    for index, average in zip(blocks, averages, strict=True):
        out[index] = scipy.linalg.inv(average + shift * np.eye(len(index))) @ momentum[index]
    return out


DAMPING = Absolute(0.3)


def engine_of(partition, damping=DAMPING, **settings):
    settings = {"ema": EMA, "momentum": MOMENTUM, "inv_every": 1, "dtype": np.float64, **settings}
    return MiniBlockFisher({"w": partition}, damping=damping, **settings)


@pytest.mark.parametrize("damping", [Absolute(0.3), Relative(0.5)], ids=["absolute", "relative"])
@pytest.mark.parametrize("name", PARTITIONS)
def test_directions_are_those_of_a_loop_of_dense_inverses(name, damping) -> None:
    partition, rng = PARTITIONS[name], np.random.default_rng(0)
    gradients = [gradient_of(partition, rng) for _ in range(STEPS)]
    engine = engine_of(partition, damping)
    for gradient in gradients:
        direction = engine.step({"w": gradient})["w"]
    wanted = oracle(partition, gradients, damping)
    # The damped blocks have condition numbers below 1e3.
    assert np.abs(flat_of(direction) - wanted).max() <= 1e-11 * np.abs(wanted).max()
    assert engine.health["w"].fallback == ""


@pytest.mark.parametrize("name", ["conv 3x3", "neurons, shared", "ragged, permuted", "wide blocks"])
def test_directions_in_float32_agree_to_its_rounding(name) -> None:
    partition, rng = PARTITIONS[name], np.random.default_rng(0)
    gradients = [gradient_of(partition, rng, np.float32) for _ in range(STEPS)]
    engine = engine_of(partition, Relative(0.5), dtype=np.float32)
    for gradient in gradients:
        direction = engine.step({"w": gradient})["w"]
    wanted = oracle(partition, gradients, Relative(0.5))
    # eps times the condition, at most 1 + 2 b / EMA^STEPS or so of rank-one terms, times a few sums.
    assert np.abs(flat_of(direction) - wanted).max() <= 1e-4 * np.abs(wanted).max()
    assert flat_of(direction).dtype == np.float32


def test_blocks_of_one_entry_are_the_diagonal_rule() -> None:
    rng = np.random.default_rng(0)
    gradients = [rng.standard_normal(21) for _ in range(STEPS)]
    engine = engine_of(PARTITIONS["single entries"], momentum=0.0)
    squares = np.zeros(21)
    for gradient in gradients:
        direction = engine.step({"w": gradient})["w"]
        squares = EMA * squares + (1 - EMA) * gradient**2
    wanted = gradients[-1] / (squares / (1 - EMA**STEPS) + 0.3)
    np.testing.assert_allclose(direction, wanted, rtol=1e-14)


@pytest.mark.parametrize("name", ["conv 3x3", "neurons, shared", "one wide block", "ragged"])
def test_without_gradients_a_block_is_the_damping_alone(name) -> None:
    partition, rng = PARTITIONS[name], np.random.default_rng(0)
    for damping in (Absolute(0.25), Relative(0.25)):
        engine = engine_of(partition, damping)
        zero = gradient_of(partition, rng, scale=0.0)
        engine.accumulate({"w": zero})
        engine.refresh()
        gradient = gradient_of(partition, rng)
        # A wide block is scaled before it is inverted: by a few roundings.
        found = flat_of(engine.precondition({"w": gradient})["w"])
        np.testing.assert_allclose(found, 4 * flat_of(gradient), rtol=1e-14)


def test_a_block_without_gradients_among_others_is_the_damping_alone() -> None:
    rng = np.random.default_rng(0)
    engine = engine_of(ConvBlocks(4, 5, (3, 3)), momentum=0.0)
    masked = rng.standard_normal((4, 5, 3, 3))
    masked[2, 3] = 0
    engine.accumulate({"w": masked})
    engine.refresh()
    probe = rng.standard_normal((4, 5, 3, 3))
    np.testing.assert_allclose(engine.precondition({"w": probe})["w"][2, 3], probe[2, 3] / 0.3, rtol=1e-14)


def test_elementwise_parameters_follow_adam() -> None:
    rng = np.random.default_rng(0)
    engine = MiniBlockFisher(
        {"b": Elementwise(11, ema=0.99, eps=1e-6)}, momentum=0.9, stats_every=10, dtype=np.float64
    )
    m = v = np.zeros(11)
    for t in range(1, 6):
        g = rng.standard_normal(11)
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        wanted = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-6)
        np.testing.assert_allclose(engine.step({"b": g})["b"], wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "power"),
    # A shared inverse is held as it is: its entries, 4^-power or so, are to be numbers of float32.
    [
        (name, p)
        for name in ("conv 3x3", "neurons, shared", "ragged")
        for p in (-90, -17, 20, 55)
        if p > -60 or name != "neurons, shared"
    ],
)
def test_directions_scale_with_gradients_where_the_damping_is_relative(name, power) -> None:
    """(4^p M + 4^p lambda I)^-1 2^p m = 2^-p (M + lambda I)^-1 m, bit for bit."""
    partition, rng = PARTITIONS[name], np.random.default_rng(0)
    plain, scaled = (engine_of(partition, Relative(0.5), dtype=np.float32) for _ in range(2))
    factor = np.float32(2.0**power)
    for _ in range(3):
        parts = gradient_of(partition, rng, np.float32)
        many = parts if isinstance(parts, tuple) else (parts,)
        larger = tuple(factor * part for part in many)
        one = flat_of(plain.step({"w": parts})["w"])
        other = flat_of(scaled.step({"w": larger if len(larger) > 1 else larger[0]})["w"])
        assert np.array_equal(other * factor, one)


def test_gradients_that_change_by_powers_of_ten_are_averaged_as_in_float64() -> None:
    rng, partition = np.random.default_rng(0), ConvBlocks(3, 3, (3, 3))
    gradients = [gradient_of(partition, rng, np.float32, 10.0**k) for k in (-25, -8, 9, 20, 20)]
    engine = engine_of(partition, Relative(0.5), dtype=np.float32)
    for gradient in gradients:
        direction = engine.step({"w": gradient})["w"]
    wanted = oracle(partition, gradients, Relative(0.5))
    assert np.abs(direction.ravel() - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_a_gradient_with_nan_or_infinity_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    parts = {"w": ConvBlocks(4, 3, (3, 3)), "d": NeuronBlocks(5, 6), "b": Elementwise(7)}
    engine = MiniBlockFisher(parts, inv_every=1)
    good = {name: gradient_of(part, rng, np.float32) for name, part in parts.items()}
    for _ in range(2):
        engine.step(good)
    before = engine.state_dict()
    for bad in (np.nan, np.inf):
        spoilt = {**good, "b": np.full(7, bad, np.float32)}
        assert engine.step(spoilt)["b"] is spoilt["b"]
        assert not engine.accumulate(spoilt)
        with pytest.raises(NonFiniteError, match="gradients: expected finite numbers"):
            engine.quadform(spoilt)
    after = engine.state_dict()
    assert engine.step_count == 2
    assert before.keys() == after.keys()
    for key in before.keys() - {"digest", "health"}:
        assert np.array_equal(before[key], after[key]), key
    assert engine.health["b"].reason == "the gradient holds NaN or Inf"
    assert (engine.health["b"].skipped_gradients, engine.health["b"].skipped_statistics) == (2, 2)


def everything(engine):
    return {key: value for key, value in engine.state_dict().items() if key != "digest"}


def test_a_state_goes_on_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    parts = {**PARTITIONS, "adam": Elementwise(5)}

    def made():
        return MiniBlockFisher(parts, damping=0.4, ema=0.9, inv_every=2)

    gradients = [{name: gradient_of(part, rng, np.float32) for name, part in parts.items()} for _ in range(6)]
    whole, half = made(), made()
    for gradient in gradients[:3]:
        whole.step(gradient)
        half.step(gradient)
    resumed = made()
    resumed.load_state_dict(half.state_dict())
    for gradient in gradients[3:]:
        wanted, found = whole.step(gradient), resumed.step(gradient)
        for name in parts:
            assert np.array_equal(flat_of(wanted[name]), flat_of(found[name])), name
    first, second = everything(whole), everything(resumed)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_states_of_others_are_refused_and_change_nothing() -> None:
    engine = engine_of(ConvBlocks(4, 3, (3, 3)))
    engine.step({"w": np.ones((4, 3, 3, 3))})
    state = engine.state_dict()
    others = [
        (engine_of(ConvBlocks(3, 4, (3, 4))), "blocks: expected"),
        (engine_of(ConvBlocks(4, 3, (3, 3)), ema=0.7), "blocks: expected"),
        (engine_of(ConvBlocks(4, 3, (3, 3)), Relative(0.3)), "damping: expected Relative, got Absolute"),
        (MiniBlockFisher({"v": ConvBlocks(4, 3, (3, 3))}), r"names: expected \['v'\]"),
    ]
    for other, message in others:
        before = everything(other)
        with pytest.raises(StateError, match=message):
            other.load_state_dict(state)
        assert all(np.array_equal(before[key], value) for key, value in everything(other).items())
    for key in ("0/0/sum", "0/0/momentum", "step_count"):
        with pytest.raises(StateError, match=f"{key.split('/')[-1]}: missing field"):
            engine.load_state_dict(plain_state.seal({k: v for k, v in state.items() if k != key}))
    altered = {**state, "0/0/sum": state["0/0/sum"] + 1}
    with pytest.raises(StateError, match="digest: the fields do not match"):
        engine.load_state_dict(altered)


def test_a_singular_block_is_damped_by_the_ladder() -> None:
    engine = engine_of(ConvBlocks(4, 3, (3, 3)), Absolute(0.0))
    direction = engine.step({"w": np.ones((4, 3, 3, 3))})["w"]
    health = engine.health["w"]
    assert np.isfinite(direction).all()
    assert health.fallback.startswith("damping x ")
    assert health.reason == "BreakdownError: 12 of 12 blocks are not positive definite to rounding"


def test_a_refresh_that_fails_keeps_the_last_good_inverse(monkeypatch) -> None:
    partition, rng = ConvBlocks(4, 3, (3, 3)), np.random.default_rng(0)
    engine, fresh = engine_of(partition, momentum=0.0), engine_of(partition)
    gradient, probe = gradient_of(partition, rng), gradient_of(partition, rng)
    engine.step({"w": gradient})
    before = engine.precondition({"w": probe})["w"]

    def broken(*arguments, **settings):
        raise MemoryError("no room")

    monkeypatch.setattr(mini_blocks, "invert", broken)
    direction = engine.step({"w": probe})["w"]
    assert np.array_equal(direction, before)
    health = engine.health["w"]
    assert (health.fallback, health.failed_refreshes) == ("last good inverse", 1)
    assert health.reason == "MemoryError: no room"
    assert np.array_equal(fresh.step({"w": probe})["w"], probe)
    assert fresh.health["w"].fallback == "identity"


def test_an_ill_conditioned_block_is_inverted_in_float64() -> None:
    rng, partition = np.random.default_rng(0), ConvBlocks(2, 2, (3, 3))
    gradients = [gradient_of(partition, rng, np.float32) for _ in range(STEPS)]
    engine = engine_of(partition, Relative(3e-7), dtype=np.float32)
    for gradient in gradients:
        direction = engine.step({"w": gradient})["w"]
    (average,) = engine.blocks("w")
    mean = np.trace(average, axis1=1, axis2=2).mean() / 9
    momentum = flat_of(gradients[0]).astype(np.float64) * 0
    for gradient in gradients:
        momentum = MOMENTUM * momentum + (1 - MOMENTUM) * flat_of(gradient)
    momentum = momentum.reshape(4, 9, 1) / (1 - MOMENTUM**STEPS)
    inverse = np.linalg.inv(average + 3e-7 * mean * np.eye(9))
    # Entries of the inverse and of the momentum are rounded to float32, once; computed in float32 it would
    # have no digit, for the condition is 1e7.
    bound = 9 * 4 * np.finfo(np.float32).eps * np.abs(inverse).max() * np.abs(momentum).max()
    assert np.abs(direction.ravel() - (inverse @ momentum).ravel()).max() <= bound
    assert engine.health["w"].fallback == ""


def test_damping_counts_from_the_next_refresh_on() -> None:
    partition, rng = ConvBlocks(4, 3, (3, 3)), np.random.default_rng(0)
    engine, gradient = engine_of(partition), gradient_of(partition, rng)
    engine.step({"w": gradient})
    before = engine.precondition({"w": gradient})["w"]
    engine.damping = 3.0
    assert engine.damping == Absolute(3.0)
    assert np.array_equal(engine.precondition({"w": gradient})["w"], before)
    engine.refresh()
    (average,) = engine.blocks("w")
    wanted = np.linalg.solve(average + 3 * np.eye(9), gradient.reshape(12, 9, 1)).reshape(gradient.shape)
    np.testing.assert_allclose(engine.precondition({"w": gradient})["w"], wanted, rtol=1e-12)
    scheduled = engine_of(partition, lambda step: Absolute(0.3 if step < 1 else 3.0))
    scheduled.step({"w": gradient})
    assert scheduled.damping == Absolute(0.3)
    scheduled.step({"w": gradient})
    assert scheduled.damping == Absolute(3.0)


@pytest.mark.parametrize("name", ["conv 3x3", "neurons, own", "neurons, shared", "wide blocks"])
def test_quadratic_form_and_determinant_are_those_of_the_dense_matrix(name) -> None:
    partition, rng = PARTITIONS[name], np.random.default_rng(0)
    engine = engine_of(partition, Relative(0.5))
    for _ in range(STEPS):
        engine.accumulate({"w": gradient_of(partition, rng)})
    engine.refresh()
    averages = [block for group in engine.blocks("w") for block in group]
    dims = sum(map(len, averages))
    shift = 0.5 * sum(map(np.trace, averages)) / dims
    repeated = averages * (partition.blocks[0].count if name == "neurons, shared" else 1)
    wanted = sum(np.linalg.slogdet(A + shift * np.eye(len(A)))[1] for A in repeated)
    assert engine.logdet() == pytest.approx(wanted, rel=1e-11)
    probe = gradient_of(partition, rng)
    applied = engine.precondition({"w": probe})
    assert engine.quadform({"w": probe}) == pytest.approx(flat_of(probe) @ flat_of(applied["w"]), rel=1e-12)
    largest = max(np.linalg.eigvalsh(A)[-1] + shift for A in averages)
    smallest = min(np.linalg.eigvalsh(A)[0] + shift for A in averages)
    assert engine.health["w"].condition >= 0.99 * largest / smallest
    with pytest.raises(StateError, match="expected a refresh"):
        engine_of(partition).logdet()


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    partition = ConvBlocks(64, 33, (3, 3))
    found = []
    before = randnla.num_threads()
    try:
        for threads in (1, 2, 3):
            randnla.set_num_threads(threads)
            rng, engine = np.random.default_rng(0), engine_of(partition, dtype=np.float32)
            for _ in range(2):
                direction = engine.step({"w": gradient_of(partition, rng, np.float32)})["w"]
            found.append(direction)
    finally:
        randnla.set_num_threads(before)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_averaging_allocates_nothing_after_the_first_time() -> None:
    rng = np.random.default_rng(0)
    parts = {
        "conv": ConvBlocks(64, 32, (3, 3)),
        "dense": NeuronBlocks(100, 200),
        "own": NeuronBlocks(200, 60, shared=False),
        "ragged": RaggedBlocks([5, 7] * 2000),
        "adam": Elementwise(20_000),
    }
    engine = MiniBlockFisher(parts)
    gradient = {name: gradient_of(part, rng, np.float32) for name, part in parts.items()}
    engine.accumulate(gradient)
    tracemalloc.start()
    try:
        for _ in range(3):
            engine.accumulate(gradient)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16_000  # every gradient takes 48 kB and more


def test_strided_and_half_precision_gradients_are_taken() -> None:
    rng, partition = np.random.default_rng(0), ConvBlocks(4, 6, (3, 3))
    gradient = gradient_of(partition, rng, np.float32)
    wanted = engine_of(partition, dtype=np.float32).step({"w": gradient})["w"]
    last = np.ascontiguousarray(gradient.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert np.array_equal(engine_of(partition, dtype=np.float32).step({"w": last})["w"], wanted)
    half = gradient.astype(np.float16)
    found = engine_of(partition, dtype=np.float32).step({"w": half})["w"]
    assert found.dtype == np.float16
    close = engine_of(partition, dtype=np.float32).step({"w": half.astype(np.float32)})["w"]
    assert np.array_equal(found, close.astype(np.float16))


@pytest.mark.parametrize("kind", cases.BACKENDS)
def test_directions_are_of_the_kind_of_the_gradients(kind) -> None:
    rng, partition = np.random.default_rng(0), NeuronBlocks(3, 4)
    weight, bias = (part.astype(np.float32) for part in gradient_of(partition, rng))
    made = cases.BACKENDS[kind](weight), cases.BACKENDS[kind](bias)
    found = engine_of(partition, dtype=np.float32).step({"w": made})["w"]
    wanted = engine_of(partition, dtype=np.float32).step({"w": (weight, bias)})["w"]
    for part, like, expected in zip(found, made, wanted, strict=True):
        assert type(part) is type(like)
        assert np.array_equal(np.asarray(part), expected)


def test_directions_may_be_taken_from_the_memory_of_the_engine() -> None:
    rng, partition = np.random.default_rng(0), NeuronBlocks(3, 4)
    engine, gradient = engine_of(partition), gradient_of(partition, rng)
    own = engine.step({"w": gradient})["w"]
    kept = own[0].copy()
    borrowed = engine.step({"w": gradient}, reuse=True)["w"]
    again = engine.step({"w": gradient}, reuse=True)["w"]
    assert np.shares_memory(borrowed[0], again[0])
    assert np.array_equal(own[0], kept)


def test_directions_are_clipped() -> None:
    rng = np.random.default_rng(0)
    parts = {"w": ConvBlocks(4, 3, (3, 3)), "b": Elementwise(4)}
    gradient = {name: gradient_of(part, rng) for name, part in parts.items()}
    plain, by_kl, by_rms = (
        MiniBlockFisher(parts, damping=Absolute(0.3), clip=clip, dtype=np.float64)
        for clip in (None, KLClip(1e-4), RMSClip(0.01))
    )
    free, kl, rms = (engine.step(gradient, lr=0.5) for engine in (plain, by_kl, by_rms))
    nu = np.sqrt(1e-4 / (0.25 * np.sum(free["w"] * gradient["w"])))
    np.testing.assert_allclose(kl["w"], nu * free["w"], rtol=1e-12)
    assert np.sqrt(np.mean(rms["w"] ** 2)) == pytest.approx(0.01, rel=1e-12)
    assert np.array_equal(kl["b"], free["b"])


def test_an_overflowing_direction_gives_way_to_the_momentum() -> None:
    engine = engine_of(ConvBlocks(1, 1, (3, 3)), Absolute(1e-30), dtype=np.float32, momentum=0.0)
    engine.step({"w": np.zeros((1, 1, 3, 3), np.float32)})
    engine.inv_every = Every(1000, first=0)
    large = np.full((1, 1, 3, 3), 1e10, np.float32)
    assert np.array_equal(engine.step({"w": large})["w"], large)
    assert engine.health["w"].reason == "the direction overflows"


def test_a_report_tells_how_blocks_are_inverted() -> None:
    engine = MiniBlockFisher({"w": ConvBlocks(8, 3, (3, 3)), "d": NeuronBlocks(4, 5), "b": Elementwise(8)})
    text = str(engine.report())
    assert "24 of 9" in text
    assert "shared by 4" in text
    assert "elementwise" in text


def test_triangles_are_packed_and_grouped_without_loss() -> None:
    triangles = np.random.default_rng(0).standard_normal((37, 15))
    assert np.array_equal(mini_blocks.packed(mini_blocks.grouped(triangles, np.float64), 37), triangles)
    whole = mini_blocks.unfolded(triangles, 5)
    assert np.array_equal(whole, whole.transpose(0, 2, 1))
    grouped = mini_blocks.grouped(triangles, np.float64)
    np.testing.assert_allclose(
        mini_blocks.traces(grouped, 37, 5), np.trace(whole, axis1=1, axis2=2), rtol=1e-14
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MiniBlockFisher({}), "partition: expected a mapping"),
        (lambda: engine_of(Elementwise(3), damping=Exact(0.1)), "damping: expected Absolute or Relative"),
        (lambda: engine_of(Elementwise(3), damping="0.1"), "damping: expected a number"),
        (lambda: engine_of(Elementwise(3), momentum=1.0), r"momentum: expected a number in \[0, 1\)"),
        (lambda: engine_of(Elementwise(3), ema=1.0), r"ema: expected a number in \[0, 1\)"),
        (lambda: engine_of(Elementwise(3), clip=0.1), "clip: expected KLClip"),
        (lambda: engine_of(Elementwise(3), dtype=np.complex64), "dtype: expected float32 or float64"),
        (lambda: Elementwise(3, ema=1.0), r"ema: expected a number in \[0, 1\)"),
        (lambda: RaggedBlocks([]), "sizes: expected at least one block"),
        (lambda: RaggedBlocks([2, 0]), "sizes: expected an integer >= 1, got 0"),
        (lambda: RaggedBlocks([2, 1], [0, 1, 1]), "permutation: expected every index below 3 once"),
        (lambda: ConvBlocks(2, 3, (3, 0)), "kernel: expected an integer >= 1"),
        (lambda: engine_of(Elementwise(3)).step({"v": np.ones(3)}), "name: expected one of w; got 'v'"),
        (
            lambda: engine_of(Elementwise(3)).step({"w": np.ones(4)}),
            r"w: expected real numbers of shape \(3,\)",
        ),
        (lambda: engine_of(NeuronBlocks(3, 2)).step({"w": np.ones((3, 2))}), "w: expected 2 arrays, got 1"),
        (lambda: engine_of(Elementwise(3)).blocks("w"), "name: expected one with blocks"),
    ],
)
def test_arguments_that_do_not_fit_are_named(call, message) -> None:
    with pytest.raises(InputError, match=message):
        call()
