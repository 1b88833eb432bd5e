# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Kronecker-factored curvature with randomized inverses, or in the eigenbasis with moments of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from randnla._backend.errors import InputError

from ..damping import Absolute, Damping, Exact, Relative
from .blocks import KroneckerBlock
from .eigenbasis import EigenbasisBlock
from .engine import KFAC
from .layers import Embedding, Layer


class RSKFAC(KFAC):
    """`KFAC` with low-rank inverses of wide factors: products and refreshes of O(d^2 r) operations.

    Parameters
    ----------
    layers : mapping {name: layer}
    rank : int, default 220
        Eigenpairs kept at most.
    solver : {"nystrom", "rs", "sre"}, default "nystrom"
        As of `LowRankInverse`. rs is the published one.
    **settings
        Of `KFAC`; ``inverse`` is "low_rank" unless given.

    Attributes
    ----------
    PUBLISHED : dict
        Settings of the paper: ``RSKFAC(layers, **RSKFAC.PUBLISHED)``.

    Notes
    -----
    *Algorithm*: Puiu, *Randomized K-FACs: speeding up K-FAC with randomized numerical linear algebra*
    (2022). Where ours differs: warm Nystrom steps instead of cold randomized SVDs, what the eigenpairs leave
    counts as its mean instead of zero, pairs far below the damping count with it, and factors start unbiased
    instead of from the identity.

    Examples
    --------
    >>> from randnla.curvature import Dense, RSKFAC
    >>> engine = RSKFAC({"wide": Dense(2047, 10)}, rank=100)
    >>> print(engine.report())
    layer  kind   shape      inverse              note
    wide   Dense  10 x 2048  cholesky x low_rank  narrower than the crossover of rank + oversample = 110
    """

    _KIND: ClassVar[str] = "RSKFAC"
    PUBLISHED: ClassVar[dict[str, Any]] = {
        "solver": "rs",
        "continuation": "none",
        "warm_start": False,
        "power_iters": 4,
        "negligible": 0.0,
        "start": "identity",
        "damping": Relative(0.1),
    }

    def __init__(self, layers: Mapping[str, Layer], *, inverse: str = "low_rank", **settings: Any) -> None:
        super().__init__(layers, inverse=inverse, **settings)


class SREKFAC(RSKFAC):
    """`RSKFAC` by the symmetric randomized eigendecomposition: Ritz pairs in the range of X^q Omega.

    Parameters
    ----------
    layers : mapping {name: layer}
    **settings
        Of `KFAC`; ``solver`` is "sre" unless given.

    Attributes
    ----------
    PUBLISHED : dict
        Settings of the paper: ``SREKFAC(layers, **SREKFAC.PUBLISHED)``.

    Examples
    --------
    >>> from randnla.curvature import Dense, SREKFAC
    >>> SREKFAC({"only": Dense(4, 2)}, **SREKFAC.PUBLISHED)
    SREKFAC(1 layers, Absolute(value=0.1)): step 0
    """

    _KIND: ClassVar[str] = "SREKFAC"
    PUBLISHED: ClassVar[dict[str, Any]] = {**RSKFAC.PUBLISHED, "solver": "sre", "damping": Absolute(0.1)}

    def __init__(self, layers: Mapping[str, Layer], *, solver: str = "sre", **settings: Any) -> None:
        super().__init__(layers, solver=solver, **settings)


class EKFAC(KFAC):
    """`KFAC` in its eigenbasis, with second moments of the gradients there averaged on their own.

    Parameters
    ----------
    layers : mapping {name: layer}
    damping : Exact or Relative, float or callable, default 0.1
        Added to the moments, as it is or relative to the largest.
    **settings
        Of `KFAC`.

    Notes
    -----
    *Algorithm*: George, Laurent, Bouthillier, Ballas and Vincent (2018). A change of basis turns the moments
    along. Embeddings, whose basis is that of the unit vectors, stay with K-FAC. Where a layer reduces its
    uses to one the gradient of a sample is taken to be that of the reduced rows, as K-FAC has it.

    Examples
    --------
    >>> from randnla.curvature import Dense, EKFAC, Exact
    >>> EKFAC({"only": Dense(4, 2)}, damping=Exact(1e-3))
    EKFAC(1 layers, Exact(value=0.001)): step 0
    """

    _KIND: ClassVar[str] = "EKFAC"

    def __init__(self, layers: Mapping[str, Layer], *, damping: Any = 0.1, **settings: Any) -> None:
        given = settings.pop("inverse", "eigen")
        if given != "eigen":
            raise InputError(f"inverse: E-KFAC takes 'eigen' only, got {given!r}")
        super().__init__(layers, damping=damping, inverse="eigen", **settings)
        _require_sum(self.damping)

    def _kronecker_block(self, layer: Layer, index: int) -> EigenbasisBlock | KroneckerBlock:
        base: KroneckerBlock = super()._kronecker_block(layer, index)
        return base if isinstance(layer, Embedding) else EigenbasisBlock(base)

    def _require_possible(self, wanted: Damping) -> None:
        _require_sum(wanted)


def _require_sum(damping: Damping) -> None:
    if not isinstance(damping, (Exact, Relative)):
        raise InputError(f"damping: E-KFAC takes Exact or Relative, got {type(damping).__name__}")
