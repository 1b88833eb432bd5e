// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/matrix_view.hpp"

// Functions of A kron B + damping I in the eigenvectors of A and B, on both sides of a matrix.
namespace randnla {

enum class KronFunction { value, inverse, root, inverse_root };

// The numbers scale f(s_i t_j + damping).
struct KronSpectrum {
    const double* left;
    const double* right;
    double damping, scale;
    KronFunction function;
};

// Eigenvectors of a factor of order n. `vectors` is n x r, or empty where it is the identity. With
// `complement` (r < n) all vectors orthogonal to these share one eigenvalue, which stands behind
// the other r. Without it r = n, and the vectors need not be orthonormal.
template <class T>
struct KronBasis {
    MatrixView<const T> vectors;
    index_t order;
    bool complement;

    bool identity() const { return vectors.data == nullptr; }
};

// X = sum_ij f_ij P_i V Q_j, P_i = p_i p_i^T and Q_j those of the columns of the two bases, the
// last the projection onto the complement. X must not share memory with V. Without complements four
// products, f between the second and the third; with both O(r) operations an entry of V.
template <class T>
void kron_apply(const KronBasis<T>& left, const KronBasis<T>& right, const KronSpectrum& spectrum,
                MatrixView<const T> v, MatrixView<T> x);

// The same for every matrix of a batch; small ones one a member of the team.
template <class T>
void kron_apply_batch(const KronBasis<T>& left, const KronBasis<T>& right,
                      const KronSpectrum& spectrum, BatchView<const T> v, BatchView<T> x);

}  // namespace randnla
