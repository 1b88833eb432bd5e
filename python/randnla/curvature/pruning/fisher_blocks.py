# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The inverse of a damped average of outer products, in diagonal blocks, from all gradients at once."""

from __future__ import annotations

import numpy as np

from randnla._backend.errors import BreakdownError
from randnla._backend.kernels import dense
from randnla._backend.kernels.batched import batched_inverse
from randnla._backend.kernels.dense import Array
from randnla._backend.kernels.woodbury import blocks_of, window_combine, window_dots

from ..windows.window_core import core_of

_BYTES = 8 << 20  # of matrices that are inverted together, or of columns that are widened
_EPS = float(np.finfo(np.float64).eps)


class FisherBlocks:
    """``F = damping I + (1/m) G^T G``, of which the diagonal blocks of `block` rows are kept.

    Parameters
    ----------
    G : (m, d) array of float32 or float64
        Read only, and referred to as long as this lives.
    damping : float
        Positive.
    block : int
        The last block may be smaller.

    Attributes
    ----------
    diagonal, inverse_diagonal : (d,) arrays of float64
        Of F, and of the inverse of the blocks.
    singular : int
        Blocks that were singular to rounding: short ones got more damping, of long ones the eigenvectors that
        are not rounding were taken.

    Notes
    -----
    *Algorithm*: blocks of at most m rows are formed and inverted; of longer ones the m x m matrix
    ``G G^T + m damping I`` is factored, as in the dual form of M-FAC. Sums are float64 whatever G is.

    An entry of the diagonal of the inverse lies between ``1 / F_ii``, by Cauchy and Schwarz, and 1 / damping:
    where rounding leads beyond, it is set to the bound.

    *Cost*: with B = min(block, m), about 2 d m B flops, and d B numbers of memory.
    """

    def __init__(self, G: Array, damping: float, block: int) -> None:
        self._G, self._damping, self._block = G, damping, min(block, G.shape[1])
        self.singular = 0
        m, d = G.shape
        self.diagonal = np.empty(d)
        for columns in blocks_of(d, max(1, _BYTES // (8 * m))):
            wide = G[:, columns].astype(np.float64)
            self.diagonal[columns] = np.einsum("ij,ij->j", wide, wide) / m + damping
        self.inverse_diagonal = np.empty(d)
        self._inverses: list[tuple[slice, Array]] = []
        self._places = blocks_of(d, self._block)
        if self._block <= m:
            whole = d - d % self._block
            batch = self._block * max(1, _BYTES // (8 * self._block**2))
            for columns in blocks_of(whole, batch):
                self._invert(columns, self._block)
            if whole < d:
                self._invert(slice(whole, d), d - whole)
        else:
            self._inverses = [(columns, self._root(columns)) for columns in self._places]
        np.clip(self.inverse_diagonal, 1 / self.diagonal, 1 / damping, out=self.inverse_diagonal)

    def _invert(self, columns: slice, size: int) -> None:
        """Inverses of neighboring blocks of one size."""
        places = [slice(start, start + size) for start in range(columns.start, columns.stop, size)]
        A = np.stack([dense.gram(self._G[:, place], wide=True) for place in places]).astype(np.float64)
        A /= len(self._G)
        inverse, info = batched_inverse(A, self._damping)
        if info.any():
            # Rounding of a block is some eps of its trace.
            more = 64 * _EPS * np.trace(A, axis1=1, axis2=2) * (info > 0)
            self.singular += int(np.count_nonzero(info))
            inverse, info = batched_inverse(A, self._damping + more)
        if info.any():
            raise BreakdownError(
                f"gradients: {np.count_nonzero(info)} blocks of the Fisher matrix are singular"
            )
        self.inverse_diagonal[columns] = np.diagonal(inverse, axis1=1, axis2=2).reshape(-1)
        kept = inverse.astype(self._G.dtype, copy=False)
        self._inverses += list(zip(places, kept, strict=True))

    def _root(self, columns: slice) -> Array:
        """W (m, r) with ``W W^T = (G G^T + m damping I)^-1`` for the columns of a block."""
        part = self._G[:, columns]
        core = core_of(np.asarray(dense.gram(part.T, wide=True), np.float64), self._damping)
        self.singular += core.path == "eigh"
        for some in blocks_of(part.shape[1], max(1, _BYTES // (8 * len(part)))):
            Z = dense.gemm(part[:, some].T.astype(np.float64), core.root)
            values = (1 - np.einsum("ij,ij->i", Z, Z)) / self._damping
            self.inverse_diagonal[columns.start + some.start : columns.start + some.stop] = values
        return core.root

    def solve(self, x: Array) -> Array:
        """``F^-1 x`` for x (d,), in float64; blocks in which x is zero are passed over."""
        y = np.zeros(x.shape)
        for columns, inner in self._inverses:
            if not x[columns].any():
                continue
            if self._block <= len(self._G):
                y[columns] = inner @ x[columns]
                continue
            part, side = self._G[:, columns], self._side(x[columns])
            C = dense.gemm(inner, dense.gemm(inner.T, window_dots(part, side))) / -self._damping
            y[columns] = window_combine(part, C, 1 / self._damping, side)[0]
        return y

    def apply(self, x: Array, images: Array) -> Array:
        """``F x`` for x (d,) and its images, in float64."""
        y = np.zeros(x.shape)
        for columns, image in zip(self._places, images, strict=True):
            if image.any() or x[columns].any():
                C = (image / len(image))[:, None]
                y[columns] = window_combine(self._G[:, columns], C, self._damping, self._side(x[columns]))[0]
        return y

    def images(self, x: Array) -> Array:
        """``G_b x_b`` of every block b of columns, (blocks, m) in float64."""
        return window_dots(self._G, self._side(x), self._block)[:, :, 0]

    def _side(self, x: Array) -> Array:
        """A vector as the compiled products take it."""
        return np.ascontiguousarray(x[None], self._G.dtype)

    def quadform(self, x: Array, images: Array) -> float:
        """``x^T F x``, a sum of squares, of x and its images."""
        return self._damping * float(x @ x) + float(np.einsum("ij,ij->", images, images)) / len(self._G)

    def marginal(self, labels: Array, count: int, w: Array) -> Array:
        """``w_Q^T ([F^-1]_QQ)^-1 w_Q`` for all groups Q of entries with equal labels, (count,).

        What the quadratic model says a group costs when all other entries make up for it. A group that
        reaches into several blocks costs the sum of its pieces. Entries with label -1 are in no group.
        """
        total = np.zeros(count)
        for columns, inner in self._inverses:
            inside = labels[columns]
            order = np.argsort(inside, kind="stable")
            order = order[np.searchsorted(inside[order], 0) :]
            bounds = np.flatnonzero(np.diff(inside[order])) + 1
            for piece in np.split(order, bounds):
                if piece.size and w[columns][piece].any():
                    total[inside[piece[0]]] += self._piece(columns, inner, piece, w[columns][piece])
        return total

    def _piece(self, columns: slice, inner: Array, piece: Array, w: Array) -> float:
        if self._block <= len(self._G):
            return float(w @ np.linalg.solve(inner[np.ix_(piece, piece)].astype(np.float64), w))
        # [F^-1]_QQ = (I - Z Z^T) / damping, and (I - Z Z^T)^-1 = I + Z (I - Z^T Z)^-1 Z^T.
        Z = dense.gemm(self._G[:, columns][:, piece].T.astype(np.float64), inner)
        if len(Z) <= Z.shape[1]:
            return self._damping * float(w @ np.linalg.solve(np.eye(len(Z)) - Z @ Z.T, w))
        v = w @ Z
        core = np.linalg.solve(np.eye(len(v)) - dense.gram(Z), v)
        return self._damping * float(w @ w + v @ core)
