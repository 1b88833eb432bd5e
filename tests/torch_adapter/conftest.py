# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Small models on one thread: the pools of two libraries and two workers would wait for each other."""

import sys

import pytest

import randnla


@pytest.fixture(autouse=True)
def _one_thread():
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads(), randnla.num_threads()
    torch.set_num_threads(1)
    randnla.set_num_threads(1)
    yield
    torch.set_num_threads(before[0])
    randnla.set_num_threads(before[1])
