# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the sketchy optimizers hold of a stream at a time."""

import math
import subprocess
import sys
import weakref

import numpy as np
import pytest

from randnla import RowStream
from randnla.optim import SketchyKatyusha, SketchySAGA, SketchySGD, SketchySVRG

STREAMED = """
import resource
import numpy as np
from randnla import RowStream
from randnla.optim import {method}
n, p, parts = 400_000, 50, 80  # 160 MB in all, 2 MB a block

def blocks(count=parts):
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield rng.standard_normal((n // parts, p))

def labels(count):
    return np.concatenate([block[:, 0] for block in blocks(count)]) > 0

few = RowStream(lambda: blocks(2), shape=(n // parts * 2, p))
{method}(epochs=1, rng=0).fit(few, labels(2))  # what is loaded and kept is there from here on
y = labels(parts)
with open("/proc/self/status") as status:
    held = next(int(line.split()[1]) for line in status if line.startswith("VmData")) << 10
resource.setrlimit(resource.RLIMIT_DATA, (held + (64 << 20),) * 2)  # less than the stream
stream = RowStream(blocks, shape=(n, p))
fitted = {method}(epochs=2, rng=0).fit(stream, y)
print(fitted.objective(stream, y))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits what a process may allocate as Linux counts it")
@pytest.mark.parametrize("method", ["SketchySGD", "SketchySVRG", "SketchyKatyusha"])
def test_a_stream_is_never_held_whole(method):
    done = subprocess.run(
        [sys.executable, "-c", STREAMED.format(method=method)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.5 * math.log(2)


class Counted:
    """Blocks of rows, and the most of them that have been alive at a time."""

    def __init__(self, parts, rows, columns):
        self.parts, self.rows, self.columns, self.alive, self.most = parts, rows, columns, 0, 0

    def __call__(self):
        rng = np.random.default_rng(0)
        for _ in range(self.parts):
            block = rng.standard_normal((self.rows, self.columns))
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(block, self._gone)
            yield block
            del block

    def _gone(self):
        self.alive -= 1


@pytest.mark.parametrize("method", [SketchySGD, SketchySVRG, SketchySAGA, SketchyKatyusha])
def test_few_blocks_of_a_stream_are_alive_at_a_time(method):
    blocks = Counted(16, 100, 5)
    y = np.concatenate([block[:, 0] for block in blocks()]) > 0
    blocks.most = 0
    method(epochs=2, rng=0).fit(RowStream(blocks, shape=(1600, 5)), y)
    assert 1 <= blocks.most <= 3  # of 16
