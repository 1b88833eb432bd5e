# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What every test process needs."""

import os
import signal

# A shell that runs the suite in the background hands down an ignored SIGINT, which every child would
# inherit; the tests of Ctrl-C need the default.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Two workers with two threads each on two cores: members of teams would spin while the other worker has
# their core. NumPy's BLAS, an oracle only, gets one thread; our teams keep theirs and sleep while they wait.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
