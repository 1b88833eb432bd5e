# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Forks, signals and threads around the compiled orthogonalization."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import randnla

FORK = """
import os, signal
import numpy as np, randnla
A = np.random.default_rng(0).standard_normal((4000, 30))
randnla.set_num_threads(2)
Q = randnla.qr(A, method="cholesky", rng=0).Q
pid = os.fork()
if pid == 0:
    signal.alarm(10)
    os._exit(0 if np.array_equal(randnla.qr(A, method="cholesky", rng=0).Q, Q) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert np.array_equal(randnla.qr(A, method="cholesky", rng=0).Q, Q)
"""

SIGNAL = """
import signal, threading, time
import numpy as np, randnla
from randnla._backend.kernels import dense
A = np.random.default_rng(0).standard_normal((20000, 60))
Q = randnla.qr(A, method="cholesky", rng=0).Q
B = np.broadcast_to(A[:1], (1 << 23, 60))
sent = []
def send():
    time.sleep(.3)
    sent.append(time.perf_counter())
    signal.raise_signal(signal.SIGINT)
threading.Thread(target=send).start()
try:
    while True:
        dense.gram(B)
except KeyboardInterrupt:
    print(time.perf_counter() - sent[0])
assert np.array_equal(randnla.qr(A, method="cholesky", rng=0).Q, Q)
"""


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_forked_child_computes():
    run(FORK)


def test_an_interrupt_is_answered_soon():
    # Promised within 100 ms; a second allows for a machine that runs much else.
    assert float(run(SIGNAL)) < 1.0


def test_python_threads_get_the_same_bits():
    A = np.random.default_rng(0).standard_normal((3000, 20)) * np.logspace(0, -9, 20)
    A[:, 1] = A[:, 0]
    expected = randnla.qr(A, method="cholesky", rng=5)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: randnla.qr(A, method="cholesky", rng=5), range(24)))
    for result in results:
        np.testing.assert_array_equal(result.Q, expected.Q)
        np.testing.assert_array_equal(result.R, expected.R)


def test_bits_do_not_depend_on_the_number_of_threads():
    A = np.random.default_rng(0).standard_normal((5000, 20))
    before = randnla.num_threads()
    try:
        found = []
        for count in (1, 2, 3, 4):
            randnla.set_num_threads(count)
            found.append(randnla.qr(A, method="cholesky", rng=0).Q)
    finally:
        randnla.set_num_threads(before)
    for Q in found[1:]:
        np.testing.assert_array_equal(Q, found[0])
