// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/gram.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "qr_blocks.hpp"
#include "randnla/blas.hpp"
#include "randnla/moments.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// Block sums of a narrower type are added to the totals after this many rows.
constexpr index_t narrow_flush = 1024, wide_flush = 8192;

template <class T, class Block>
struct Shift;
template <>
struct Shift<float, float> {
    static auto row() { return moment_kernels().row_f32; }
    static auto column() { return moment_kernels().column_f32; }
};
template <>
struct Shift<float, double> {
    static auto row() { return moment_kernels().row_widened; }
    static auto column() { return moment_kernels().column_widened; }
};
template <>
struct Shift<double, double> {
    static auto row() { return moment_kernels().row_f64; }
    static auto column() { return moment_kernels().column_f64; }
};

// Rows [begin, end) of A - 1 p^T in the buffer, in the layout of A; sums += their column sums.
// A itself where there is nothing to do to it.
template <class T, class Block>
MatrixView<const Block> load_shifted(MatrixView<const T> a, const T* point, index_t begin,
                                     index_t end, Block* buffer, double* sums) {
    const auto rows = a.block(begin, end, 0, a.cols);
    bool in_place = false;
    if constexpr (std::is_same_v<T, Block>) in_place = point == nullptr;
    if (rows.col_stride == 1) {
        Block* const partial = buffer;  // first row: sums of this block
        Block* const out = buffer + rows.cols;
        std::fill(partial, partial + rows.cols, Block(0));
        for (index_t i = 0; i < rows.rows; ++i)
            Shift<T, Block>::row()(&rows(i, 0), rows.cols, point,
                                   in_place ? nullptr : out + i * rows.cols, partial);
        for (index_t j = 0; j < rows.cols; ++j) sums[j] += static_cast<double>(partial[j]);
        if constexpr (std::is_same_v<T, Block>)
            if (in_place && rows.row_major()) return rows;
        if (!in_place) return row_major_view<const Block>(out, rows.rows, rows.cols);
    }
    if (rows.row_stride == 1) {
        for (index_t j = 0; j < rows.cols; ++j)
            sums[j] += Shift<T, Block>::column()(&rows(0, j), rows.rows,
                                                 point == nullptr ? T(0) : point[j],
                                                 in_place ? nullptr : buffer + j * rows.rows);
        if constexpr (std::is_same_v<T, Block>)
            if (in_place && rows.col_major()) return rows;
        if (!in_place)
            return row_major_view<const Block>(buffer, rows.cols, rows.rows).transposed();
    }
    // Strides that neither the kernels nor BLAS take.
    const auto packed = row_major_view(buffer, rows.rows, rows.cols);
    const bool counted = in_place && (rows.col_stride == 1 || rows.row_stride == 1);
    for (index_t i = 0; i < rows.rows; ++i)
        for (index_t j = 0; j < rows.cols; ++j) {
            const Block p = point == nullptr ? Block(0) : static_cast<Block>(point[j]);
            packed(i, j) = static_cast<Block>(rows(i, j)) - p;
            if (!counted) sums[j] += static_cast<double>(packed(i, j));
        }
    return packed;
}

template <class Block>
void flush_rows(MatrixView<Block> part, index_t i0, index_t i1, index_t j0, index_t j1,
                MatrixView<double> total) {
    for (index_t i = i0; i < i1; ++i)
        for (index_t j = std::max(i, j0); j < j1; ++j) {
            total(i, j) += static_cast<double>(part(i, j));
            part(i, j) = Block(0);
        }
}

// Up to some hundreds of columns: slabs of rows with totals of their own, each block of rows in the
// second cache.
template <class T, class Block>
void narrow_moments(MatrixView<const T> a, const T* point, MatrixView<double> gram, double* sums) {
    const index_t n = a.cols, size = n * n;
    const SlabPlan plan = plan_slabs(a.rows, n);
    constexpr bool same = std::is_same_v<Block, double>;
    const Scratch<double> totals((size + n) * plan.slabs);
    const Scratch<Block> parts(same ? 0 : size * plan.slabs);
    std::fill(totals.data(), totals.data() + (size + n) * plan.slabs, 0.0);
    if (!same) std::fill(parts.data(), parts.data() + size * plan.slabs, Block(0));
    for_each_block(plan, [&](index_t slab, index_t begin, index_t end) {
        double* const total = totals.data() + slab * (size + n);
        const auto matrix = row_major_view(total, n, n);
        const Scratch<Block> buffer((end - begin + 1) * n);
        const auto block =
            load_shifted<T, Block>(a, point, begin, end, buffer.data(), total + size);
        if constexpr (same) {
            add_gram<Block>(block, plan.panel, matrix);
        } else {
            const auto part = row_major_view(parts.data() + slab * size, n, n);
            add_gram<Block>(block, plan.panel, part);
            const index_t last = std::min(plan.rows, (slab + 1) * plan.slab_rows);
            const index_t before = begin / narrow_flush, after = end / narrow_flush;
            if (before != after || end == last) flush_rows<Block>(part, 0, n, 0, n, matrix);
        }
    });
    sum_partials(totals.data(), plan.slabs, size + n);
    std::copy(totals.data() + size, totals.data() + size + n, sums);
    for (index_t i = 0; i < n; ++i)
        for (index_t j = i; j < n; ++j) gram(i, j) = gram(j, i) = totals[i * n + j];
}

// The lower triangle, by tiles.
template <class T>
void mirror_upper(MatrixView<T> c) {
    constexpr index_t tile = 32;
    const index_t n = c.rows;
    for (index_t i0 = 0; i0 < n; i0 += tile)
        for (index_t j0 = i0; j0 < n; j0 += tile)
            for (index_t i = i0; i < std::min(n, i0 + tile); ++i)
                for (index_t j = std::max(i, j0); j < std::min(n, j0 + tile); ++j)
                    c(j, i) = c(i, j);
}

// Strip [j0, j1) of the upper triangle of acc += B^T B.
template <class Block>
void add_strip(MatrixView<const Block> b, index_t j0, index_t j1, MatrixView<Block> acc) {
    const auto right = b.block(0, b.rows, j0, j1);
    if (j0 > 0)
        blas::gemm<Block>(Block(1), b.block(0, b.rows, 0, j0).transposed(), right, Block(1),
                          acc.block(0, j0, j0, j1));
    blas::syrk<Block>(Block(1), right, Block(1), acc.block(j0, j1, j0, j1));
}

// Many columns: one total, its strips shared by the team.
template <class T, class Block>
void wide_moments(MatrixView<const T> a, const T* point, MatrixView<double> gram, double* sums) {
    const index_t n = a.cols, width = n <= 1024 ? 256 : 512;
    const index_t block_rows = n <= 2048 ? 1024 : 256;
    constexpr bool same = std::is_same_v<Block, double>;
    const Scratch<Block> part_memory(same ? 0 : n * n);
    const Scratch<Block> buffer((block_rows + 1) * n);
    if (!same) std::fill(part_memory.data(), part_memory.data() + n * n, Block(0));
    MatrixView<Block> part = row_major_view(part_memory.data(), n, n);
    if constexpr (same) part = gram;
    for (index_t i = 0; i < n; ++i) std::fill(&gram(i, 0), &gram(i, 0) + n, 0.0);
    std::fill(sums, sums + n, 0.0);
    MatrixView<const Block> block;
    parallel_team([&](Team& team) {
        for (index_t begin = 0; begin < a.rows; begin += block_rows) {
            const index_t end = std::min(a.rows, begin + block_rows);
            if (team.rank() == 0)
                block = load_shifted<T, Block>(a, point, begin, end, buffer.data(), sums);
            team.barrier();
            const bool flush = !same && (end % wide_flush == 0 || end == a.rows);
            // The last strips are the longest: they are dealt first, in turn.
            const index_t strips = (n + width - 1) / width;
            for (index_t s = team.rank(); s < strips; s += team.size()) {
                const index_t j0 = (strips - 1 - s) * width, j1 = std::min(n, j0 + width);
                team.checkpoint();
                add_strip<Block>(block, j0, j1, part);
                if constexpr (!same)
                    if (flush) flush_rows<Block>(part, 0, j1, j0, j1, gram);
            }
            team.barrier();
        }
    });
    mirror_upper(gram);
}

// Where plan_slabs takes narrow panels, slabs are the better cut.
constexpr index_t narrow_limit = 488;

}  // namespace

template <class T, class Block>
void parallel_moments(MatrixView<const T> a, const T* point, MatrixView<double> gram,
                      double* sums) {
    if (gram.empty()) return;
    blas::use_one_thread();
    if (a.cols <= narrow_limit) return narrow_moments<T, Block>(a, point, gram, sums);
    wide_moments<T, Block>(a, point, gram, sums);
}

template <class T, class Accumulate>
void parallel_gram(MatrixView<const T> a, MatrixView<Accumulate> c) {
    if (c.empty()) return;
    blas::use_one_thread();
    const index_t n = c.rows, size = n * n;
    const SlabPlan plan = plan_slabs(a.rows, n);
    // One slab is summed in place.
    const bool in_place = plan.slabs == 1 && c.row_major();
    const Scratch<Accumulate> partial(in_place ? 0 : size * plan.slabs);
    const auto sums = [&](index_t slab) {
        return in_place ? c : row_major_view(partial.data() + slab * size, n, n);
    };
    for (index_t s = 0; s < plan.slabs; ++s)
        for (index_t i = 0; i < n; ++i)
            std::fill(&sums(s)(i, 0), &sums(s)(i, 0) + n, Accumulate(0));
    const ScaledColumns<T> source(a);
    for_each_block(plan, [&](index_t slab, index_t begin, index_t end) {
        const Scratch<Accumulate> buffer((end - begin) * n);
        add_gram<Accumulate>(source.template load<Accumulate>(begin, end, buffer.data()),
                             plan.panel, sums(slab));
    });
    for (index_t s = 1; s < plan.slabs; ++s)
        for (index_t t = 0; t < size; ++t) partial[t] += partial[s * size + t];
    if (!in_place)
        for (index_t i = 0; i < n; ++i)
            for (index_t j = i; j < n; ++j) c(i, j) = partial[i * n + j];
    mirror_upper(c);
}

template void parallel_gram<float, float>(MatrixView<const float>, MatrixView<float>);
template void parallel_gram<float, double>(MatrixView<const float>, MatrixView<double>);
template void parallel_gram<double, double>(MatrixView<const double>, MatrixView<double>);
template void parallel_moments<float, float>(MatrixView<const float>, const float*,
                                             MatrixView<double>, double*);
template void parallel_moments<float, double>(MatrixView<const float>, const float*,
                                              MatrixView<double>, double*);
template void parallel_moments<double, double>(MatrixView<const double>, const double*,
                                               MatrixView<double>, double*);

}  // namespace randnla
