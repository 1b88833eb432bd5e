// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/signs.hpp"

#include <algorithm>
#include <cmath>

#include "randnla/error.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// Rows of a chunk, so that there are at most 64 and each is worth handing to a thread.
index_t grain_of(index_t rows, index_t cols) {
    constexpr index_t most_chunks = 64, least_entries = index_t{1} << 15;
    return std::max((rows + most_chunks - 1) / most_chunks, least_entries / cols + 1);
}

template <class T>
void keep_larger(T& best, T x) {
    best = std::abs(x) > std::abs(best) ? x : best;
}

// The entries of largest magnitude of every column, the first of equal ones.
template <class T>
void extremes(MatrixView<const T> u, T* best) {
    std::fill(best, best + u.cols, T(0));
    if (std::abs(u.col_stride) <= std::abs(u.row_stride)) {
        for (index_t i = 0; i < u.rows; ++i)
            for (index_t j = 0; j < u.cols; ++j) keep_larger(best[j], u(i, j));
        return;
    }
    for (index_t j = 0; j < u.cols; ++j)
        for (index_t i = 0; i < u.rows; ++i) keep_larger(best[j], u(i, j));
}

template <class T>
void turn(MatrixView<T> a, const T* signs) {
    if (a.empty()) return;
    parallel_for(a.rows, grain_of(a.rows, a.cols), [&](index_t begin, index_t end) {
        if (std::abs(a.col_stride) <= std::abs(a.row_stride)) {
            for (index_t i = begin; i < end; ++i)
                for (index_t j = 0; j < a.cols; ++j) a(i, j) *= signs[j];
            return;
        }
        for (index_t j = 0; j < a.cols; ++j)
            if (signs[j] < 0)
                for (index_t i = begin; i < end; ++i) a(i, j) = -a(i, j);
    });
}

}  // namespace

template <class T>
void orient_columns(MatrixView<T> u, MatrixView<T> v) {
    require(u.cols == v.cols, "orient_columns: u and v have as many columns");
    if (u.empty()) return;
    const index_t grain = grain_of(u.rows, u.cols), chunks = (u.rows + grain - 1) / grain;
    const Scratch<T> best(chunks * u.cols);
    parallel_for(u.rows, grain, [&](index_t begin, index_t end) {
        extremes<T>(u.block(begin, end, 0, u.cols), best.data() + begin / grain * u.cols);
    });
    bool any = false;
    for (index_t j = 0; j < u.cols; ++j) {
        T largest = best[j];
        for (index_t c = 1; c < chunks; ++c) keep_larger(largest, best[c * u.cols + j]);
        best[j] = largest < 0 ? T(-1) : T(1);
        any = any || largest < 0;
    }
    if (!any) return;
    turn<T>(u, best.data());
    turn<T>(v, best.data());
}

template void orient_columns<float>(MatrixView<float>, MatrixView<float>);
template void orient_columns<double>(MatrixView<double>, MatrixView<double>);

}  // namespace randnla
