# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Functions of eigenvalues by name, and what is wrong with a value that they cannot take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from randnla._backend import validate
from randnla._backend.errors import BreakdownError, InputError

Array = npt.NDArray[Any]
Function = Callable[[Array], Any]

NAMED: dict[str, Function] = {
    "sqrt": np.sqrt,
    "inverse_sqrt": lambda x: 1 / np.sqrt(x),
    "log": np.log,
    "exp": np.exp,
    "inverse": lambda x: 1 / x,
}


def resolve(f: Any) -> tuple[Function, str]:
    """A function of an array of real eigenvalues, and what messages call it."""
    if isinstance(f, str):
        return NAMED[validate.choice(f, tuple(NAMED), name="f")], f
    if not callable(f):
        names = ", ".join(repr(name) for name in NAMED)
        raise InputError(f"f: expected a function of an array or one of {names}, got {validate.shown(f)}")
    return f, getattr(f, "__name__", "f")


def evaluate(f: Function, name: str, values: Array, floor: float = 0.0) -> Array:
    """f of eigenvalues (or Ritz values, which lie between the extreme eigenvalues).

    Negative values of at most `floor` in magnitude are rounding of zero to `sqrt`.

    Raises
    ------
    InputError
        f returns something of another shape, or no numbers.
    BreakdownError
        f is not finite at one of the values; the message names it.
    """
    if name == "sqrt" and f is NAMED["sqrt"]:
        values = np.where((values < 0) & (values >= -floor), 0.0, values)
    with np.errstate(all="ignore"):
        result = np.asarray(f(values))
    if result.shape != values.shape or result.dtype.kind not in "biufc":
        raise InputError(
            f"f: expected {values.shape} numbers for as many eigenvalues, "
            f"got shape {result.shape} and dtype {result.dtype}"
        )
    finite = np.isfinite(result)
    if not finite.all():
        culprit = float(values[np.argmin(finite)])
        raise BreakdownError(f"f: {name} is not finite at the Ritz value {culprit:.6g} of A")
    wide = np.complex128 if result.dtype.kind == "c" else np.float64
    return result.astype(wide)
