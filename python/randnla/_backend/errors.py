# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The error classes: misuse raises, a numerical shortfall is a value plus a warning."""

from __future__ import annotations

import sys
import warnings

import numpy as np

PACKAGE = __name__.partition(".")[0]


class InputError(ValueError):
    """An argument is wrong; the message names it, its value and what was expected."""


class NonFiniteError(InputError):
    """An argument holds NaN or Inf; the message names it, how many and the first place."""


class CapacityError(MemoryError):
    """A size exceeds what the machine or the 32-bit BLAS interface can hold."""


class StateError(ValueError):
    """A saved state is truncated, altered or of another kind or version."""


class BreakdownError(np.linalg.LinAlgError):
    """A factorization broke down and no fallback could recover it."""


class RangeError(BreakdownError, InputError):
    """A value of the answer is finite but beyond the range of its dtype; the message says how to scale."""


class ConvergenceWarning(UserWarning):
    """A result was returned whose certified error did not reach the tolerance asked for."""


def warn(message: str, category: type[Warning] = ConvergenceWarning) -> None:
    """Warn at the line that called this package, however deep inside it the shortfall is noticed."""
    level, frame = 2, sys._getframe(1)
    while frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
