# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Every kind of map has golden digests for both dtypes, and gives them at any team size."""

from __future__ import annotations

import json

import map_digests
import numpy as np
import pytest

import randnla
from randnla._backend.rng import STREAM_VERSION

GOLDEN = json.loads(map_digests.PATH.read_text())


def test_file_holds_this_version_and_all_cases() -> None:
    assert GOLDEN["stream_version"] == STREAM_VERSION
    assert list(GOLDEN["digests"]) == map_digests.cases()
    assert len(set(GOLDEN["digests"].values())) == len(GOLDEN["digests"])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("case", map_digests.cases())
def test_golden_digest(case: str, threads: int) -> None:
    randnla.set_num_threads(threads)
    try:
        assert map_digests.digest(case) == GOLDEN["digests"][case]
    finally:
        randnla.set_num_threads(0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_srft_is_made_of_the_frozen_signs_and_coordinates(dtype: str) -> None:
    """The cosines themselves to rounding: the first column is the signed, scaled constant's transform."""
    S = map_digests.make("srft", dtype)
    signs = map_digests.trig.trig_signs(S.m, seed=S.seed, stream=S.stream, dtype=np.float64)
    rows = map_digests.trig.sample_coordinates(
        kind="trig_rows", seed=S.seed, stream=S.stream, population=S.m, count=S.d
    )
    angles = np.pi * np.outer(rows, 2 * np.arange(S.m) + 1) / (2 * S.m)
    exact = np.cos(angles) * np.where(rows == 0, 1.0, np.sqrt(2.0))[:, None] / np.sqrt(S.d) * signs
    # Angles up to pi m are rounded here: m eps of float64.
    assert np.abs(S.to_dense() - exact).max() <= np.finfo(dtype).eps + 4 * S.m * np.finfo(np.float64).eps


def test_rewriting_this_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    before = map_digests.PATH.read_bytes()
    for arguments in ([], ["--rewrite"]):
        monkeypatch.setattr("sys.argv", ["map_digests.py", *arguments])
        with pytest.raises(SystemExit, match=r"contract|raise the version"):
            map_digests.main()
    assert map_digests.PATH.read_bytes() == before
