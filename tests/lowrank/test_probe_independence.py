# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The certificate's probes are no rows of a map that a caller can hand in."""

from __future__ import annotations

import numpy as np
import pytest

import randnla


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_own_map_of_the_same_seed_does_not_blind_the_certificate(stream):
    n, k = 120, 10
    A = np.random.default_rng(0).standard_normal((n, n))
    S = randnla.Gaussian(k + 10, n, rng=7, stream=stream)
    result = randnla.svd(A, k, sketch=S, power_iters=0, method="subspace", certificate="probe", rng=7)
    U, s, Vh = result
    info = result.info
    outside = np.linalg.norm(A - (U * s) @ Vh)
    assert info.certificate == "probe"
    assert outside <= info.error_estimate
