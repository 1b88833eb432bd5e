# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The size of the thread team."""

from __future__ import annotations

from randnla._backend import validate
from randnla._backend.kernels import runtime

MAX_THREADS = 1024


def num_threads() -> int:
    """Number of threads the next call may use.

    It is what `set_num_threads` fixed, else what OpenMP says (``OMP_NUM_THREADS``, threadpoolctl).

    Examples
    --------
    >>> num_threads() >= 1
    True
    """
    return runtime.team_size()


def set_num_threads(n: int) -> None:
    """Fix the number of threads; 0 returns the choice to OpenMP.

    Parameters
    ----------
    n : int
        From 0 to 1024. The random maps do not depend on it; sums inside BLAS may, to rounding.

    Raises
    ------
    InputError
        `n` is no integer in that range.

    Examples
    --------
    >>> set_num_threads(1)
    >>> num_threads()
    1
    >>> set_num_threads(0)
    """
    runtime.set_team_size(validate.integer(n, name="n", low=0, high=MAX_THREADS))
