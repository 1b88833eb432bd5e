# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Saved state: plain scalars and arrays under versions and a digest, read back only as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from randnla._backend.errors import StateError
from randnla._backend.rng import STREAM_VERSION

SCHEMA = 1
VERSIONS = (("schema", SCHEMA), ("stream_version", STREAM_VERSION))


def seal(fields: dict[str, Any]) -> dict[str, Any]:
    """Add versions and a digest over all fields."""
    state = {**dict(VERSIONS), **fields}
    state["digest"] = digest(state)
    return state


def digest(state: Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and values in the order of the names."""
    total = hashlib.sha256()
    for key in sorted(state):
        if key == "digest":
            continue
        value = state[key]
        if isinstance(value, np.ndarray):
            total.update(f"{key}:{value.dtype.str}{value.shape};".encode())
            total.update(np.ascontiguousarray(value).tobytes())
        else:
            total.update(f"{key}={value!r};".encode())
    return total.hexdigest()


def unwrap(value: Any) -> Any:
    """What np.savez makes of a scalar, and NumPy's scalars, as Python's."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    return value.item() if isinstance(value, np.generic) else value


def opened(state: Any, kind: str, types: Mapping[str, type], *, parts: bool = False) -> dict[str, Any]:
    """The fields of a sealed state of `kind`, all of them there, of their types and unaltered.

    With `parts`, fields with a slash in their name belong to states within, and are only held to the digest.

    Raises
    ------
    StateError
        Names the first field that is missing, unknown, of another type or version.
    """
    if not isinstance(state, dict):
        raise StateError(f"state: expected a dict, got {type(state).__name__}")
    fields = {key: unwrap(value) for key, value in state.items()}
    expected = {"schema": int, "stream_version": int, "kind": str, "digest": str, **types}
    own = {key for key in fields if not (parts and "/" in str(key))}
    for key in sorted(expected.keys() ^ own, key=str):
        raise StateError(f"{key}: {'unknown' if key in fields else 'missing'} field for kind {kind!r}")
    for key, wanted in expected.items():
        value = fields[key]
        fits = isinstance(value, wanted) and not (isinstance(value, bool) and wanted is not bool)
        if not fits and not (wanted is float and type(value) is int):
            raise StateError(f"{key}: expected {wanted.__name__}, got {type(value).__name__}")
    for key, known in VERSIONS:
        if fields[key] != known:
            raise StateError(f"{key}: expected {known}, got {fields[key]}")
    if fields["kind"] != kind:
        raise StateError(f"kind: expected {kind!r}, got {fields['kind']!r}")
    if fields["digest"] != digest(fields):
        raise StateError("digest: the fields do not match it, the state was altered")
    return fields


@contextmanager
def reading(what: str = "state") -> Iterator[None]:
    """Whatever the fields of a state do not allow to be made of them is a StateError that says so."""
    try:
        yield
    except StateError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError) as problem:
        raise StateError(f"{what}: {type(problem).__name__}: {problem}") from problem


def array_of(fields: Mapping[str, Any], key: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """A private copy of the finite array `fields[key]`, which has this shape and dtype.

    Raises
    ------
    StateError
    """
    value = fields[key]
    if value.shape != shape or value.dtype != np.dtype(dtype):
        raise StateError(
            f"{key}: expected shape {shape} and {np.dtype(dtype)}, got {value.shape}, {value.dtype}"
        )
    if not np.isfinite(value).all():
        raise StateError(f"{key}: expected finite numbers")
    return np.array(value, order="C")
