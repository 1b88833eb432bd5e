# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The error classes are what NumPy users expect to catch."""

import numpy as np
import pytest

import randnla


@pytest.mark.parametrize(
    ("cls", "base"),
    [
        (randnla.InputError, ValueError),
        (randnla.NonFiniteError, randnla.InputError),
        (randnla.CapacityError, MemoryError),
        (randnla.StateError, ValueError),
        (randnla.BreakdownError, np.linalg.LinAlgError),
        (randnla.RangeError, randnla.BreakdownError),
        (randnla.RangeError, randnla.InputError),
        (randnla.ConvergenceWarning, UserWarning),
    ],
)
def test_base_classes(cls, base):
    assert issubclass(cls, base)
    with pytest.raises(base, match="why"):
        raise cls("why")


def test_warnings_name_the_line_that_called():
    """However deep the shortfall is noticed, and through whichever method."""
    A = np.random.default_rng(0).standard_normal((60, 60))
    B = A @ A.T
    calls = [
        lambda: randnla.svd(A, 2, tol=1e-3, rng=0),
        lambda: randnla.svd(A, 2, tol=1e-3, method="subspace", rng=0),
        lambda: randnla.svd(A, 2, tol=1e-3, method="farpca", rng=0),
        lambda: randnla.pca(A, 2, tol=1e-3, rng=0),
        lambda: randnla.eigh(B, 2, tol=1e-3, rng=0),
        lambda: randnla.eigh(B, 2, tol=1e-3, method="subspace", rng=0),
        lambda: randnla.nystrom(B, 2, tol=1e-3, rng=0),
        lambda: randnla.qb(A, 2, tol=1e-3, rng=0),
        lambda: randnla.range_finder(A, 2, tol=1e-3, rng=0),
        lambda: randnla.utv(A, 2, tol=1e-3, rng=0),
        lambda: randnla.pivoted_qr(A, 2, tol=1e-3, rng=0),
        lambda: randnla.rpcholesky(B, 2, tol=1e-3, rng=0),
        lambda: randnla.solve(B, np.ones(60), maxiter=1, rng=0),
    ]
    for call in calls:
        with pytest.warns(randnla.ConvergenceWarning) as seen:
            call()
        assert [warning.filename for warning in seen] == [__file__] * len(seen)
        assert seen[0].lineno == call.__code__.co_firstlineno
