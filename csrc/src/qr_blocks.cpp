// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "qr_blocks.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "randnla/blas.hpp"
#include "randnla/qr_kernels.hpp"
#include "randnla/workspace.hpp"

namespace randnla {

// On AVX-512, OpenBLAS multiplies matrices of rows x columns x inner <= 10^6 without packing them,
// which is worth a factor of 1.5 to 2 for our narrow operands (measured: panels of 32 columns and
// 128 to 256 rows run at 120-170 GF/s in float64 where one call for all runs at 65-75). Elsewhere
// it packs every operand, and longer blocks pack the other one less often.
SlabPlan plan_slabs(index_t rows, index_t cols) {
    constexpr index_t unpacked = 1000000, narrow_panel = 32, partial_bytes = index_t{32} << 20;
    SlabPlan plan{rows, cols, 1, rows, 512, 256};
    if (cols * narrow_panel * 64 <= unpacked) {
        const index_t width = std::max<index_t>(1, cols);
        plan.panel = narrow_panel;
        plan.block_rows =
            blas::packs_always()
                ? std::clamp<index_t>(65536 / width / 32 * 32, 128, 1024)
                : std::clamp<index_t>(unpacked / (narrow_panel * width) / 32 * 32, 64, 256);
    }
    const index_t affordable =
        std::max<index_t>(2, partial_bytes / (8 * std::max<index_t>(1, cols * cols)));
    plan.slabs = std::clamp<index_t>(rows / 1024, 1, std::min<index_t>(32, affordable));
    plan.slab_rows = (rows + plan.slabs - 1) / plan.slabs;
    plan.slab_rows = (plan.slab_rows + plan.block_rows - 1) / plan.block_rows * plan.block_rows;
    return plan;
}

void for_each_block(const SlabPlan& plan, const BlockBody& body) {
    std::atomic<index_t> next{0};
    const auto work = [&](Team& team) {
        for (index_t s = next.fetch_add(1); s < plan.slabs; s = next.fetch_add(1)) {
            const index_t end = std::min(plan.rows, (s + 1) * plan.slab_rows);
            for (index_t i = s * plan.slab_rows; i < end; i += plan.block_rows) {
                team.checkpoint();
                body(s, i, std::min(end, i + plan.block_rows));
            }
        }
    };
    parallel_team(work, static_cast<int>(std::min<index_t>(plan.slabs, num_threads())));
}

template <class T>
void add_crossed(MatrixView<const T> a, MatrixView<const T> b, index_t panel, MatrixView<T> acc) {
    for (index_t j = 0; j < a.cols; j += panel) {
        const index_t end = std::min(a.cols, j + panel);
        blas::gemm<T>(T(1), a.block(0, a.rows, j, end).transposed(), b.block(0, a.rows, j, a.cols),
                      T(1), acc.block(j, end, j, a.cols));
    }
}

template <class T>
void add_gram(MatrixView<const T> a, index_t panel, MatrixView<T> acc) {
    if (blas::packs_always()) return blas::syrk<T>(T(1), a, T(1), acc);
    add_crossed<T>(a, a, panel, acc);
}

template <class T>
void add_gram_wide(MatrixView<const T> a, index_t panel, MatrixView<double> acc) {
    if constexpr (std::is_same_v<T, double>) {
        add_gram<double>(a, panel, acc);
    } else {
        const index_t n = a.cols;
        const Scratch<T> memory(n * n);
        const auto own = row_major_view(memory.data(), n, n);
        std::fill(own.data, own.data + n * n, T(0));
        add_gram<T>(a, panel, own);
        for (index_t i = 0; i < n; ++i)
            for (index_t j = i; j < n; ++j) acc(i, j) += static_cast<double>(own(i, j));
    }
}

template <class T>
void multiply_upper(MatrixView<const T> a, MatrixView<const T> m, index_t panel,
                    MatrixView<T> out) {
    for (index_t j = 0; j < m.cols; j += panel) {
        const index_t end = std::min(m.cols, j + panel);
        blas::gemm<T>(T(1), a.block(0, a.rows, 0, end), m.block(0, end, j, end), T(0),
                      out.block(0, a.rows, j, end));
    }
}

void sum_partials(double* sums, index_t count, index_t size) {
    for (index_t c = 1; c < count; ++c)
        for (index_t t = 0; t < size; ++t) sums[t] += sums[c * size + t];
}

template <class T>
void ScaledColumns<T>::scale_by(const int* exponents, double* factors) {
    // No power of two reaches 2^1074: two factors, applied one after the other.
    for (index_t j = 0; j < y_.cols; ++j) {
        const int half = -exponents[j] / 2;
        factors[2 * j] = std::ldexp(1.0, half);
        factors[2 * j + 1] = std::ldexp(1.0, -exponents[j] - half);
    }
    factors_ = factors;
}

template <class T>
template <class U>
MatrixView<const U> ScaledColumns<T>::load(index_t begin, index_t end, U* buffer) const {
    const auto rows = y_.block(begin, end, 0, y_.cols);
    const auto packed = row_major_view(buffer, rows.rows, rows.cols);
    if (factors_ == nullptr && rows.row_major()) {
        if constexpr (std::is_same_v<T, U>) {
            return rows;
        } else if constexpr (std::is_same_v<T, float>) {
            if (rows.row_stride == rows.cols || rows.rows == 1)
                qr_kernels().widen(rows.data, rows.rows * rows.cols, buffer);
            else
                for (index_t i = 0; i < rows.rows; ++i)
                    qr_kernels().widen(rows.data + i * rows.row_stride, rows.cols, &packed(i, 0));
            return packed;
        }
    }
    // Column by column where columns are the contiguous runs.
    const bool by_columns = std::abs(rows.row_stride) < std::abs(rows.col_stride);
    const auto value = [&](index_t i, index_t j) {
        if (factors_ == nullptr) return static_cast<U>(rows(i, j));
        return static_cast<U>(static_cast<double>(rows(i, j)) * factors_[2 * j] *
                              factors_[2 * j + 1]);
    };
    if (by_columns)
        for (index_t j = 0; j < rows.cols; ++j)
            for (index_t i = 0; i < rows.rows; ++i) packed(i, j) = value(i, j);
    else
        for (index_t i = 0; i < rows.rows; ++i)
            for (index_t j = 0; j < rows.cols; ++j) packed(i, j) = value(i, j);
    return packed;
}

#define RANDNLA_INSTANTIATE(T)                                                         \
    template void add_crossed<T>(MatrixView<const T>, MatrixView<const T>, index_t,    \
                                 MatrixView<T>);                                       \
    template void add_gram<T>(MatrixView<const T>, index_t, MatrixView<T>);            \
    template void add_gram_wide<T>(MatrixView<const T>, index_t, MatrixView<double>);  \
    template void multiply_upper<T>(MatrixView<const T>, MatrixView<const T>, index_t, \
                                    MatrixView<T>);                                    \
    template class ScaledColumns<T>;
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)
template MatrixView<const float> ScaledColumns<float>::load(index_t, index_t, float*) const;
template MatrixView<const double> ScaledColumns<float>::load(index_t, index_t, double*) const;
template MatrixView<const double> ScaledColumns<double>::load(index_t, index_t, double*) const;

}  // namespace randnla
