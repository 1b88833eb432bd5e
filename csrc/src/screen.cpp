// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/screen.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "randnla/reductions.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// The order of the elements does not matter here: make the strides nonnegative and the shorter
// one the inner, and join rows that follow each other without a gap.
template <class T>
MatrixView<const T> straighten(MatrixView<const T> a) {
    if (a.row_stride < 0) {
        a.data += (a.rows - 1) * a.row_stride;
        a.row_stride = -a.row_stride;
    }
    if (a.col_stride < 0) {
        a.data += (a.cols - 1) * a.col_stride;
        a.col_stride = -a.col_stride;
    }
    if (a.cols == 1 || (a.rows > 1 && a.row_stride < a.col_stride)) a = a.transposed();
    if (a.rows == 1 || (a.col_stride == 1 && a.row_stride == a.cols))
        return {a.data, 1, a.rows * a.cols, 0, a.col_stride};
    return a;
}

template <class T>
Extent extent_of_run(const T* x, index_t n, double scale) {
    if constexpr (std::is_same_v<T, float>)
        return reduction_kernels().extent_f32(x, n, scale);
    else
        return reduction_kernels().extent_f64(x, n, scale);
}

void join(Extent& all, const Extent& part) {
    all.sum_squares += part.sum_squares;
    all.largest = std::max(all.largest, part.largest);
    all.smallest = std::min(all.smallest, part.smallest);
}

constexpr Extent nothing{0, 0, std::numeric_limits<double>::infinity()};

// Rows [i0, i1) by columns [j0, j1), strided runs by way of a small buffer.
template <class T>
Extent extent_of_block(MatrixView<const T> a, double scale, T* buffer, index_t buffer_size) {
    Extent all = nothing;
    for (index_t i = 0; i < a.rows; ++i) {
        const T* row = a.data + i * a.row_stride;
        if (a.col_stride == 1) {
            join(all, extent_of_run<T>(row, a.cols, scale));
            continue;
        }
        for (index_t j = 0; j < a.cols; j += buffer_size) {
            const index_t n = std::min(buffer_size, a.cols - j);
            for (index_t t = 0; t < n; ++t) buffer[t] = row[(j + t) * a.col_stride];
            join(all, extent_of_run<T>(buffer, n, scale));
        }
    }
    return all;
}

template <class T>
Extent extent_of_matrix(MatrixView<const T> a, double scale) {
    // At most 4096 chunks of at least 2^16 elements, cut along the longer side.
    constexpr index_t chunk_elements = index_t{1} << 16, most_chunks = 4096, run = 1024;
    const bool by_rows = a.rows >= a.cols;
    const index_t length = std::max(a.rows, a.cols), other = std::min(a.rows, a.cols);
    const index_t grain = std::max((length + most_chunks - 1) / most_chunks,
                                   std::max<index_t>(1, chunk_elements / other));
    const index_t chunks = (length + grain - 1) / grain;
    const Scratch<Extent> parts(chunks);
    parallel_for(length, grain, [&](index_t begin, index_t end) {
        T buffer[run];
        const auto block =
            by_rows ? a.block(begin, end, 0, a.cols) : a.block(0, a.rows, begin, end);
        parts[begin / grain] = extent_of_block<T>(block, scale, buffer, run);
    });
    Extent all = nothing;
    for (index_t c = 0; c < chunks; ++c) join(all, parts[c]);
    return all;
}

}  // namespace

template <class T>
ScreenResult screen_matrix(MatrixView<const T> a) {
    constexpr int safe_exponent = 400;
    if (a.empty()) return {0, 0, 0, nothing.smallest, true};
    a = straighten<T>(a);
    Extent all = extent_of_matrix<T>(a, 1.0);
    const bool finite = std::isfinite(all.largest) && !std::isnan(all.sum_squares);
    int exponent = 0;
    if (finite && all.largest > 0 && std::abs(std::ilogb(all.largest)) > safe_exponent) {
        // Squares may have overflowed or vanished: a second look at 2^-exponent A. Powers below
        // 2^-1022 would be inexact; a scale of 2^1022 is enough for the least denormal.
        exponent = std::max(std::ilogb(all.largest), -1022);
        all = extent_of_matrix<T>(a, std::ldexp(1.0, -exponent));
    }
    return {all.sum_squares, exponent, all.largest, all.smallest, finite};
}

template ScreenResult screen_matrix<float>(MatrixView<const float>);
template ScreenResult screen_matrix<double>(MatrixView<const double>);

}  // namespace randnla
