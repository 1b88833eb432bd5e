# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pruning of pytrees of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from randnla import curvature
from randnla._backend.errors import InputError
from randnla.curvature import PruneResult


def prune(
    params: Any,
    gradients: Any,
    sparsity: float,
    *,
    leaves: Callable[[str, Any], bool] | None = None,
    mask: Any = None,
    groups: Any = None,
    **options: Any,
) -> PruneResult:
    """Prune the weights of a pytree, by `randnla.curvature.prune`, outside of jit.

    Parameters
    ----------
    params : pytree of arrays
    gradients : pytree, callable or None
        A pytree like `params` with a leading axis of m gradients, as `jax.vmap(jax.grad(loss))` makes it;
        or a callable ``(params, mask) -> pytree``, asked before every step; None for "magnitude".
    sparsity : float
        Share of the weights that are pruned of those that can be.
    leaves : callable (path, leaf) -> bool, optional
        What is pruned, the path as "['dense']['kernel']". By default floating-point leaves of two axes and
        more.
    mask : pytree of bool, optional
        False where a weight is pruned already.
    groups : "rows" or pytree of integers, optional
    **options
        Of `randnla.curvature.prune`.

    Returns
    -------
    PruneResult
        `mask` and `update` are pytrees as `params`: True and 0 on leaves that are not pruned.

    Raises
    ------
    InputError, NonFiniteError, BreakdownError
        As `randnla.curvature.prune`, and for trees of another structure.

    Notes
    -----
    *Cost*: that of `randnla.curvature.prune`, on the host.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from randnla.jax import prune
    >>> params = {"kernel": jnp.array([[3.0, -1.0], [0.5, 2.0]]), "bias": jnp.zeros(2)}
    >>> mask, update = prune(params, None, 0.5, method="magnitude")
    >>> print(params["kernel"] + update["kernel"])
    [[3. 0.]
     [0. 2.]]
    """
    found, structure = jax.tree_util.tree_flatten_with_path(params)
    taken = {}
    for i, (path, leaf) in enumerate(found):
        name = jax.tree_util.keystr(path)
        wanted = _is_weight(leaf) if leaves is None else leaves(name, leaf)
        if wanted:
            taken[name] = i
    if not taken:
        raise InputError("leaves: expected at least one to prune, got none")

    def picked(tree: Any, name: str) -> dict[str, Any]:
        values, other = jax.tree_util.tree_flatten(tree)
        if other != structure:
            raise InputError(f"{name}: expected the structure of params, {structure}, got {other}")
        return {key: values[i] for key, i in taken.items()}

    def filled(values: dict[str, Any], rest: list[Any]) -> Any:
        all_leaves = list(rest)
        for key, i in taken.items():
            all_leaves[i] = values[key]
        return jax.tree_util.tree_unflatten(structure, all_leaves)

    plain = [leaf for _, leaf in found]
    open_mask = [jnp.ones(jnp.shape(leaf), bool) for leaf in plain]

    def asked(values: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
        return picked(gradients(filled(values, plain), filled(kept, open_mask)), "gradients")

    source: Any = asked if callable(gradients) else gradients
    if source is not None and source is not asked:
        source = picked(gradients, "gradients")
    result = curvature.prune(
        picked(params, "params"),
        source,
        sparsity,
        mask=None if mask is None else picked(mask, "mask"),
        groups=groups if groups is None or isinstance(groups, str) else picked(groups, "groups"),
        **options,
    )
    zeros = [jnp.zeros(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in plain]
    return PruneResult(filled(result.mask, open_mask), filled(result.update, zeros), info=result.info)


def _is_weight(leaf: Any) -> bool:
    return bool(jnp.ndim(leaf) >= 2 and jnp.issubdtype(jnp.result_type(leaf), jnp.floating))
