// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/qr_householder.hpp"

#include <algorithm>

#include "randnla/blas.hpp"
#include "randnla/threads.hpp"

namespace randnla {

template <class T>
void householder_qr(MatrixView<T> a, MatrixView<T> r) {
    blas::use_one_thread();
    lapack::geqrf_orgqr<T>(a, r);
}

template <class T>
void parallel_solve_right(MatrixView<const T> r, MatrixView<T> b) {
    if (b.empty()) return;
    blas::use_one_thread();
    // About 2^24 multiplications a block: a few milliseconds.
    const index_t grain = std::clamp<index_t>((index_t{1} << 24) / (b.cols * b.cols), 16, 4096);
    parallel_for(b.rows, grain, [&](index_t begin, index_t end) {
        blas::trsm_right_upper<T>(r, b.block(begin, end, 0, b.cols));
    });
}

#define RANDNLA_INSTANTIATE(T)                                     \
    template void householder_qr<T>(MatrixView<T>, MatrixView<T>); \
    template void parallel_solve_right<T>(MatrixView<const T>, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
