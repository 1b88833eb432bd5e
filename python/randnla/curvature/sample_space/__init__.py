# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Natural gradients by Woodbury's identity in the space of the samples."""
