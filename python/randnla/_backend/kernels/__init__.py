# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Typed wrappers of the compiled core, one file a room; nothing else imports the core."""
