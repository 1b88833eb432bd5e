# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""First guesses, checked and brought to the units of a system."""

from __future__ import annotations

from typing import Any

import numpy as np

from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.lowrank.scaling import Array, exponent_of, largest_magnitude, scale_by_power

from .system import System


def checked_guess(system: System, x0: Any) -> Array | None:
    """`x0` with as many columns as the right-hand sides."""
    if x0 is None:
        return None
    guess = validate.as_array(x0, name="x0", ndim=(1, 2))
    n, k = system.B.shape
    wanted = (n,) if system.vector else (n, k // 2 if system.parts else k)
    if guess.shape != wanted:
        raise InputError(f"x0: expected the shape of b, {wanted}, got {guess.shape}")
    validate.require_finite(guess, name="x0")
    guess = guess[:, None] if system.vector else guess
    if system.parts:
        guess = np.concatenate([guess.real, guess.imag], axis=1)
    return validate.native(guess, system.dtype, name="x0")


def in_system(system: System, guess: Array | None) -> Array:
    """The unknowns of the system, ``2^(unit of A - unit of b_j)`` times the caller's; zeros for None.

    Where b_j is zero so is the solution, and no residual is small beside it: the guess is dropped.
    """
    if guess is None:
        return np.zeros(system.B.shape, system.dtype, order="F")
    X = np.where(system.B.any(axis=0), guess, 0).astype(system.dtype, order="F")
    most = 2 * int(np.finfo(system.dtype).maxexp) // 5  # what products with A and squares leave room for
    for j, unit in enumerate(system.units):
        power = (system.exponent or 0) - int(unit)
        size = largest_magnitude(X[:, j])
        if size and exponent_of(size) + power > most:
            raise InputError(
                f"x0: expected a guess of the size of a solution, got {size:.3g} in column {j}, "
                f"more than 2^{most} times as large; start from zeros"
            )
        scale_by_power(X[:, j], power)
    return X
