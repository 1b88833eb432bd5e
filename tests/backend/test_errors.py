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
        (randnla.ConvergenceWarning, UserWarning),
    ],
)
def test_base_classes(cls, base):
    assert issubclass(cls, base)
    with pytest.raises(base, match="why"):
        raise cls("why")
