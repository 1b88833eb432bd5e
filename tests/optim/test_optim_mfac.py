# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""M-FAC steps against dense inverses, and what the warm-up of the window does."""

import numpy as np
import pytest

from randnla import InputError, StateError
from randnla.optim import MFAC


def slopes_of(k, d=12):
    return np.sin(np.arange(d) * (k + 1.3)) + 0.1 * k


def test_steps_are_those_of_the_formula():
    w, v, held = np.linspace(-1, 1, 12), np.zeros(12), []
    x = w.copy()
    optimizer = MFAC(lambda step: 0.1 / (1 + step), window=4, damping=0.05, momentum=0.6, weight_decay=0.2)
    for k in range(9):
        held = [*held, slopes_of(k) + 0.2 * x][-4:]
        F = 0.05 * np.eye(12) + sum(np.outer(g, g) for g in held) / len(held)
        v = 0.6 * v + np.linalg.solve(F, held[-1])
        x = x - 0.1 / (1 + k) * v
        w = optimizer.step(w, slopes_of(k))
        np.testing.assert_allclose(w, x, rtol=1e-10, atol=1e-12)
    assert optimizer.health.inverse == "dual"


def test_the_first_direction_is_a_normalized_gradient_and_they_grow_with_the_window():
    """g^T F^-1 g is below the count, of which zeros would make the whole window from the start."""
    optimizer = MFAC(1.0, window=16, damping=1e-6, momentum=0.0)
    w = np.zeros(40)
    for k in range(16):
        g = slopes_of(k, 40)
        moved = -(optimizer.step(w, g) - w)
        assert 0 < g @ moved <= (k + 1) * (1 + 1e-9)
        if k == 0:
            # What is left of g after its projection is rounding over the damping, 1e-16 / 1e-6 of g / |g|^2
            # times |g|^2, which is 20.
            np.testing.assert_allclose(moved, g / (1e-6 + g @ g), rtol=1e-7)


@pytest.mark.parametrize("storage", [None, "float16", "bfloat16"])
def test_narrow_windows_move_nearly_as_wide_ones(storage):
    """The gradient is taken as it is held: what is rounded off would be amplified by 1 / damping."""
    w, wide = np.zeros(60, np.float32), np.zeros(60, np.float32)
    one = MFAC(0.1, window=6, damping=1e-4, momentum=0.5, storage=storage)
    two = MFAC(0.1, window=6, damping=1e-4, momentum=0.5)
    for k in range(5):
        g = slopes_of(k, 60).astype(np.float32)
        w, wide = one.step(w, g), two.step(wide, g)
    # Rounding of gradients by 2^-9 and 2^-12, times what orthogonalizes six of them.
    bound = {None: 0.0, "float16": 0.02, "bfloat16": 0.1}[storage]
    assert np.linalg.norm(w - wide) <= bound * np.linalg.norm(wide)


def test_resumes_bit_for_bit_and_refuses_other_windows():
    one, two = MFAC(window=3), MFAC(window=3)
    w = np.ones(12, np.float32)
    for k in range(5):
        w = one.step(w, slopes_of(k).astype(np.float32))
    two.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one.step(w, w), two.step(w, w))
    with pytest.raises(StateError, match="window, block: expected 4, None"):
        MFAC(window=4).load_state_dict(one.state_dict())


def test_damping_may_change_and_nan_is_no_step():
    optimizer, w = MFAC(1.0, window=2, damping=0.5, momentum=0.0), np.zeros(12)
    w = optimizer.step(w, np.full(12, np.nan))
    assert (optimizer.skipped, optimizer.step_count) == (1, 0)
    g = slopes_of(0)
    optimizer.step(w, g)
    optimizer.damping = 2.0
    np.testing.assert_allclose(optimizer.step(w, g), -g / (2.0 + g @ g), rtol=1e-12)


def test_refused_gradients_are_counted_on_resume_and_in_health():
    one, two, w = MFAC(window=3), MFAC(window=3), np.ones(12)
    w = one.step(one.step(w, slopes_of(0)), np.full(12, np.nan))
    assert one.skipped == one.health.skipped_gradients == 1
    two.load_state_dict(one.state_dict())
    assert two.skipped == two.health.skipped_gradients == 1
    two.step(w, np.full(12, 1e200))  # its squares overflow
    assert two.skipped == two.health.skipped_gradients == 2


def test_other_shapes_and_none_are_refused():
    one, two, w = MFAC(window=3), MFAC(window=3), np.ones((2, 3))
    with pytest.raises(InputError, match="w: expected at least one array"):
        one.step({}, {})
    assert one.engine is None
    one.step(w, w)
    two.load_state_dict(one.state_dict())
    for optimizer in (one, two):
        before = optimizer.state_dict()["digest"]
        for other in (w.T, w.ravel(), np.ones((2, 4)), {"u": w}):
            with pytest.raises(InputError, match=r"w: expected (shape|the arrays)"):
                optimizer.step(other, other)
        assert optimizer.state_dict()["digest"] == before
        optimizer.step(w, w)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 0}, "window: expected an integer >= 1"),
        ({"damping": -1.0}, "damping: expected a number >= 0"),
        ({"block": 0}, "block: expected an integer >= 1"),
        ({"storage": "int8"}, "storage: expected one of"),
        ({"momentum": 1.0}, "momentum: expected a number in"),
    ],
)
def test_messages(settings, message):
    with pytest.raises(InputError, match=message):
        MFAC(**settings)


def test_complex_numbers_are_refused_and_tensors_come_back_as_such():
    optimizer = MFAC(0.1, window=3, damping=1e-2)
    for w, g in ((np.ones(3) * 1j, np.ones(3)), (np.ones(3), np.ones(3) * 1j)):
        with pytest.raises(InputError, match="expected real numbers"):
            optimizer.step(w, g)
    assert optimizer.engine is None
    torch = pytest.importorskip("torch")
    w = torch.ones(3, requires_grad=True)
    assert isinstance(optimizer.step(w, torch.ones(3)), torch.Tensor)
