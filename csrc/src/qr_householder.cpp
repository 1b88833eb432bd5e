// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/qr_householder.hpp"

#include <algorithm>

#include "randnla/blas.hpp"
#include "randnla/gemm.hpp"
#include "randnla/threads.hpp"

namespace randnla {

template <class T>
void householder_qr(MatrixView<T> a, MatrixView<T> r) {
    blas::use_one_thread();
    lapack::geqrf_orgqr<T>(a, r);
}

// Strip after strip, so that most of the work is a product: the BLAS solves at a third to half of a
// product's speed.
template <class T>
void solve_right(MatrixView<const T> r, MatrixView<T> b) {
    constexpr index_t strip = 32;
    for (index_t j = 0; j < b.cols; j += strip) {
        const index_t end = std::min(b.cols, j + strip);
        const auto part = b.block(0, b.rows, j, end);
        if (j > 0)  // in a region, this runs on the calling member
            parallel_gemm<T>(T(-1), b.block(0, b.rows, 0, j), r.block(0, j, j, end), T(1), part);
        blas::trsm_right_upper<T>(r.block(j, end, j, end), part);
    }
}

template <class T>
void parallel_solve_right(MatrixView<const T> r, MatrixView<T> b) {
    if (b.empty()) return;
    blas::use_one_thread();
    // About 2^24 multiplications a block: a few milliseconds.
    const index_t grain = std::clamp<index_t>((index_t{1} << 24) / (b.cols * b.cols), 16, 4096);
    parallel_for(b.rows, grain, [&](index_t begin, index_t end) {
        solve_right<T>(r, b.block(begin, end, 0, b.cols));
    });
}

#define RANDNLA_INSTANTIATE(T)                                     \
    template void householder_qr<T>(MatrixView<T>, MatrixView<T>); \
    template void parallel_solve_right<T>(MatrixView<const T>, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
