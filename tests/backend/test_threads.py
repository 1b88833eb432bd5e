# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The size of the thread team."""

import pytest

import randnla


def test_fixed_and_returned():
    before = randnla.num_threads()
    try:
        randnla.set_num_threads(3)
        assert randnla.num_threads() == 3
    finally:
        randnla.set_num_threads(0)
    assert randnla.num_threads() == before


@pytest.mark.parametrize("bad", [-1, 1025, True, 2.0, "2", None])
def test_hostile_values(bad):
    before = randnla.num_threads()
    with pytest.raises(randnla.InputError, match=r"^n: "):
        randnla.set_num_threads(bad)
    assert randnla.num_threads() == before
