# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Orthogonalization: QR factorizations that stay orthonormal whatever the condition and rank."""

import sys
from types import ModuleType
from typing import Any

from randnla.qr.blocked import qr

__all__ = ["qr"]


class _CallableRoom(ModuleType):
    """``randnla.qr`` names both this room and its main function: the room can be called like it."""

    __wrapped__ = staticmethod(qr)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return qr(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableRoom
