# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Objects that are saved as plain scalars and arrays, and made again of them."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from randnla._backend import state as plain_state
from randnla._backend.errors import StateError


class Resumable:
    """What has a state of its own: subclasses name its fields and make themselves of them."""

    _KIND: ClassVar[str]
    _TYPES: ClassVar[dict[str, type]]

    def _fields(self) -> dict[str, Any]:
        """The fields of `_types`, arrays as copies."""
        raise NotImplementedError

    @classmethod
    def _types(cls) -> dict[str, type]:
        return cls._TYPES

    @classmethod
    def _restored(cls, fields: dict[str, Any]) -> Self:
        """One in the state that fields of the right types describe, if they do."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Plain scalars and arrays from which `load_state_dict` goes on, bit for bit."""
        return plain_state.seal({"kind": self._KIND, **self._fields()})

    @classmethod
    def from_state_dict(cls, state: Any) -> Self:
        """One in the state described, as `load_state_dict`."""
        fields = plain_state.opened(state, cls._KIND, cls._types())
        with plain_state.reading():
            return cls._restored(fields)

    def load_state_dict(self, state: Any) -> None:
        """Become what a state describes; all fields are checked before anything changes.

        Raises
        ------
        StateError
            A field is missing, unknown, of another version, altered or impossible; the message names it.
        """
        vars(self).update(vars(self.from_state_dict(state)))

    def __reduce__(self) -> Any:
        return (type(self).from_state_dict, (self.state_dict(),))


def joined(parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Nested states as one, keys behind the name of their part and a slash."""
    return {f"{name}/{key}": value for name, state in parts.items() for key, value in state.items()}


def parted(state: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The reverse of `joined`, by the first slash."""
    parts: dict[str, dict[str, Any]] = {}
    for key, value in state.items():
        name, slash, rest = str(key).partition("/")
        if not slash:
            raise StateError(f"{key}: unknown field")
        parts.setdefault(name, {})[rest] = value
    return parts
