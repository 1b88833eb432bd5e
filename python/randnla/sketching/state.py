# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Saving random maps: plain scalars and arrays in, every field checked on the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from randnla._backend.errors import InputError, StateError
from randnla._backend.state import VERSIONS, digest, seal, unwrap

if TYPE_CHECKING:
    from randnla.sketching.base import RandomMap

_INTEGERS = ("d", "m", "seed", "stream", "row_start", "row_stop", "col_start", "col_stop")
_WORDS = ("kind", "dtype", "digest")
_COMMON = ("schema", "stream_version", *_INTEGERS, *_WORDS)

Map = TypeVar("Map", bound="RandomMap")
__all__ = ["build", "revive", "seal"]


def build(cls: type[Map], state: Any) -> Map:
    """The map `state` describes, of `cls` or a subclass of it."""
    if not isinstance(state, dict):
        raise StateError(f"state: expected a dict, got {type(state).__name__}")
    fields = {key: unwrap(value) for key, value in state.items()}
    _check_common(fields)
    kinds = {sub.kind: sub for sub in _subclasses(cls) if hasattr(sub, "kind")}
    if fields["kind"] not in kinds:
        raise StateError(f"kind: expected one of {sorted(kinds)}, got {fields['kind']!r}")
    target = kinds[fields["kind"]]
    extra = {key: value for key, value in fields.items() if key not in _COMMON}
    expected = set(target._state_fields)
    if set(extra) != expected:
        odd = sorted(set(extra) ^ expected, key=str)[0]
        raise StateError(f"{odd}: {'unknown' if odd in extra else 'missing'} field for kind {target.kind!r}")
    if fields["digest"] != digest(fields):
        raise StateError("digest: the fields do not match it, the state was altered")
    rows = _block(fields, "row", fields["d"])
    cols = _block(fields, "col", fields["m"])
    try:
        made = target(
            fields["d"],
            fields["m"],
            rng=fields["seed"],
            dtype=fields["dtype"],
            stream=fields["stream"],
            **extra,
        )
    except (InputError, TypeError) as error:
        raise StateError(f"state of kind {target.kind!r}: {error}") from error
    result = made[slice(*rows), slice(*cols)]
    if result.state_dict()["digest"] != fields["digest"]:  # such as nnz beyond d
        raise StateError(f"state of kind {target.kind!r}: no map has exactly these fields")
    return result


def revive(cls: type[Map], state: dict[str, Any]) -> Map:
    """For pickle."""
    return build(cls, state)


def _check_common(fields: dict[Any, Any]) -> None:
    for key in _COMMON:
        if key not in fields:
            raise StateError(f"{key}: missing field")
    for key in ("schema", "stream_version", *_INTEGERS):
        if isinstance(fields[key], bool) or not isinstance(fields[key], int):
            raise StateError(f"{key}: expected an integer, got {fields[key]!r}")
    for key in _WORDS:
        if not isinstance(fields[key], str):
            raise StateError(f"{key}: expected a string, got {fields[key]!r}")
    for key, known in VERSIONS:
        if fields[key] != known:
            raise StateError(f"{key}: expected {known}, got {fields[key]}")
    for key in ("seed", "stream"):
        if not 0 <= fields[key] < 1 << 64:
            raise StateError(f"{key}: expected an integer in [0, 2**64), got {fields[key]}")
    if fields["dtype"] not in ("float32", "float64"):
        raise StateError(f"dtype: expected 'float32' or 'float64', got {fields['dtype']!r}")


def _block(fields: dict[str, Any], axis: str, size: int) -> tuple[int, int]:
    start, stop = fields[f"{axis}_start"], fields[f"{axis}_stop"]
    if not 0 <= start <= stop <= size:
        raise StateError(f"{axis}_start, {axis}_stop: expected a range in [0, {size}], got {start}, {stop}")
    return start, stop


def _subclasses(cls: type[Map]) -> list[type[Map]]:
    return [cls, *(sub for child in cls.__subclasses__() for sub in _subclasses(child))]
