// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/symmetric_eigh.hpp"

#include <algorithm>

#include "randnla/blas.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// Rows a member takes at a time; of the order alone, so that results are too.
index_t grain_of(index_t n) {
    constexpr index_t least = 32, most = 256, blocks = 4;
    return std::clamp((n + blocks - 1) / blocks, least, most);
}

// Eigenpairs of A = Q T Q^T as symmetric_eigh gives them. R, if any, is an upper triangle whose
// inverse is applied to the vectors too.
template <class T>
index_t tridiagonal_eigh(MatrixView<T> a, const MatrixView<const T>* r, T* w) {
    const index_t n = a.rows;
    const Scratch<T> off_diagonal(n), tau(n), memory(n * n);
    lapack::sytrd_upper<T>(a, w, off_diagonal.data(), tau.data());
    const auto vectors = row_major_view(memory.data(), n, n);  // one in a row
    const index_t failed = lapack::stedc<T>(w, off_diagonal.data(), vectors);
    if (failed != 0) return failed;
    parallel_for(n, grain_of(n), [&](index_t begin, index_t end) {
        const auto mine = vectors.block(begin, end, 0, n);
        lapack::ormtr_upper<T>(a, tau.data(), mine);
        if (r != nullptr) blas::trsm_right_upper_transposed<T>(*r, mine);
    });
    for (index_t i = 0; i < n; ++i)
        std::copy(memory.data() + i * n, memory.data() + (i + 1) * n, &a(i, 0));
    return 0;
}

}  // namespace

template <class T>
index_t symmetric_eigh(MatrixView<T> a, T* w) {
    if (a.empty()) return 0;
    blas::use_one_thread();
    return tridiagonal_eigh<T>(a, nullptr, w);
}

// G = R^T R:  C x = w G x  <=>  (R^-T C R^-1) z = w z,  x = R^-1 z.
template <class T>
index_t symmetric_pencil(MatrixView<T> c, MatrixView<T> g, T* w) {
    if (c.empty()) return 0;
    blas::use_one_thread();
    if (lapack::potrf_upper<T>(g) != 0) return -1;
    const MatrixView<const T> r = g;
    lapack::sygst_upper<T>(r, c);
    return tridiagonal_eigh<T>(c, &r, w);
}

#define RANDNLA_INSTANTIATE(T)                             \
    template index_t symmetric_eigh<T>(MatrixView<T>, T*); \
    template index_t symmetric_pencil<T>(MatrixView<T>, MatrixView<T>, T*);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
