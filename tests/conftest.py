# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What every test process needs."""

import signal

# A shell that runs the suite in the background hands down an ignored SIGINT, which every child would
# inherit; the tests of Ctrl-C need the default.
signal.signal(signal.SIGINT, signal.default_int_handler)
