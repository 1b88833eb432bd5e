# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The emulator itself: sound kernels pass in every order, every detector reports its bug."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

ORDERS = ("forward", "reverse", "random")
X = np.arange(64, dtype=np.int32)

SOUND = {
    "reversal": X[::-1],
    "two_arrays": X[::-1] + 1000,
    "warp_sums": np.repeat(X.reshape(2, 32).sum(1), 32),
    "half_warps": np.concatenate([np.repeat([w + 3, w + 20], 16) for w in (0, 32)]),
    "warp_exchange_in_memory": X ^ 1,
    "several_readers": np.full(64, 11),
    "tensor_product": 100 + X % 32 // 4 * (8 - X % 4 * 2),
}
# What each bug is reported as, whatever the order of the threads.
BUGS = {
    "missing_barrier": r"race on shared s\[\d+\]|shared s\[\d+\], which no thread has written",
    "missing_barrier_before_reuse": r"race on shared s\[\d+\]: \w+ and \w+ by threads \d+ and \d+",
    "two_writers": r"race on shared s\[0\]: two writes",
    "missing_syncwarp": r"race on shared s\[\d+\]|shared s\[\d+\], which no thread has written",
    "divergent_barrier": r"divergent __syncthreads: thread .* at .*seeded_bugs.cu:\d+ but others wait at .+",
    "barrier_after_exit": r"__syncthreads after a thread of the block has returned|deadlock",
    "barrier_and_exit": r"__syncthreads after a thread of the block has returned|deadlock: barrier",
    "barrier_against_warp": r"deadlock:.* barrier, thread .*seeded_bugs.cu:\d+",
    "mask_without_caller": r"warp mask lacks the calling lane",
    "masks_differ": r"warp masks differ|warp mask lacks the calling lane",
    "lane_has_returned": r"warp operation waits for a lane that has returned|deadlock: warp operation",
    "tensor_product_without_a_lane": r"waits for a lane that has returned|deadlock: warp operation",
    "source_outside_of_mask": r"shuffle reads a lane outside of its mask",
    "shared_out_of_bounds": r"index 64 outside of shared s\[64\]",
    "shared_never_written": r"read of shared s\[9\], which no thread has written",
    "global_out_of_bounds": r"access outside of the registered buffers",
    "global_misaligned": r"misaligned access to global memory",
    "shared_misaligned": r"misaligned pack of shared memory",
    "static_too_large": r"more than 48 KB of static shared memory",
    "dynamic_too_large": r"dynamic shared array s does not fit the launch",
    "dynamic_overlap": r"dynamic shared arrays t and s overlap",
    "too_many_threads": r"expected 1 to 1024 threads a block, got 1025",
    "empty_grid": r"the grid is empty or too large",
    "launch_shared_too_large": r"at most 227 KB of shared memory",
}


def run(module: Any, name: str, order: str, seed: int = 1) -> Any:
    data = X.copy()
    aligned = np.zeros(80, np.int32)  # its first multiple of 16 bytes
    start = -aligned.ctypes.data % 16 // 4
    aligned[start : start + 64] = data
    view = aligned[start : start + 64]
    module.set_order(order, seed)
    module.register_buffer(view.ctypes.data, view.nbytes)
    try:
        module.run_trial(name, view.ctypes.data)
    finally:
        module.clear_buffers()
        module.set_order("forward", 1)
    return view


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", SOUND)
def test_sound_kernels_pass(emulated_module: Any, name: str, order: str) -> None:
    np.testing.assert_array_equal(run(emulated_module, name, order), SOUND[name])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", BUGS)
def test_every_detector_fires(emulated_module: Any, name: str, order: str) -> None:
    with pytest.raises(emulated_module.EmulatorError, match=BUGS[name]):
        run(emulated_module, name, order)
    # and leaves the emulator usable
    np.testing.assert_array_equal(run(emulated_module, "reversal", order), SOUND["reversal"])


def test_orders_disagree_on_a_race_in_global_memory(emulated_module: Any) -> None:
    forward, reverse = (run(emulated_module, "depends_on_order", order) for order in ORDERS[:2])
    np.testing.assert_array_equal(forward, np.zeros(64))  # the first value went all the way
    np.testing.assert_array_equal(reverse, np.concatenate([[0], X[:-1]]))
    # A seed is a schedule.
    shuffled = [run(emulated_module, "depends_on_order", "random", seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(shuffled[0], shuffled[1])
    assert (shuffled[0] != shuffled[2]).any()


def test_counters(emulated_module: Any) -> None:
    emulated_module.reset_counters()
    run(emulated_module, "several_readers", "forward")
    counters = emulated_module.counters()
    assert counters == {
        "launches": 1,
        "blocks": 1,
        "barriers": 3,
        "warp_operations": 0,
        "bytes_read": 0,
        "bytes_written": 256,
    }


def test_order_is_checked(emulated_module: Any) -> None:
    with pytest.raises(ValueError, match="order: expected forward, reverse or random, got sideways"):
        emulated_module.set_order("sideways", 1)


def test_emulator_is_in_no_package() -> None:
    """Tests alone load it: the installed package does not know its name."""
    code = "import randnla, pathlib; print(*pathlib.Path(randnla.__file__).parent.rglob('*emulat*'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
