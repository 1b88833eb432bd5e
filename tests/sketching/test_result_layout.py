# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A product has the layout of its input: columns in one piece stay so."""

import numpy as np
import pytest

import randnla


@pytest.mark.parametrize("kind", ["Gaussian", "SparseSign", "CountSketch", "SRHT", "SRFT"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_result_has_the_layout_of_the_array(kind, order):
    S = getattr(randnla, kind)(12, 40, rng=0)
    A = np.asarray(np.random.default_rng(0).standard_normal((40, 7)), order=order)
    for product in (S @ A, S.T @ np.asarray(A[:12], order=order)):
        assert product.flags[f"{order}_CONTIGUOUS"]
    np.testing.assert_allclose(S @ A, S @ A.copy(order="C"), rtol=1e-12, atol=1e-13)
