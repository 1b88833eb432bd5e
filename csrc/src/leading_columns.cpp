// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/leading_columns.hpp"

#include <algorithm>
#include <utility>

#include "qr_blocks.hpp"
#include "randnla/blas.hpp"
#include "randnla/error.hpp"
#include "randnla/qr_kernels.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// Blocks whose sums of float32 are added to the totals one by one, and whose panels the library
// multiplies where they lie.
SlabPlan plan_blocks(index_t rows, index_t cols, index_t stretch) {
    SlabPlan plan = plan_slabs(rows, cols);
    plan.panel = 32;
    const index_t fitting = 1000000 / (plan.panel * std::max<index_t>(1, cols)) / 16 * 16;
    plan.block_rows = std::min(stretch, std::clamp<index_t>(fitting, 32, 64));
    plan.slabs = std::min<index_t>(plan.slabs, 8);
    plan.slab_rows = (rows + plan.slabs * plan.block_rows - 1) / (plan.slabs * plan.block_rows) *
                     plan.block_rows;
    return plan;
}

// Upper triangle of total += part, which becomes zeros.
void flush(MatrixView<float> part, MatrixView<double> total) {
    for (index_t i = 0; i < part.rows; ++i) {
        float* __restrict from = &part(i, 0);
        double* __restrict to = &total(i, 0);
        for (index_t j = i; j < part.cols; ++j) {
            to[j] += static_cast<double>(from[j]);
            from[j] = 0.0F;
        }
    }
}

// [X M_1, Y + X M_2] of a block of rows.
void add_block(MatrixView<float> a, MatrixView<const double> m) {
    const index_t k = m.rows, n = a.cols;
    const Scratch<double> first_memory(a.rows * k), memory(a.rows * n);
    const auto first = row_major_view(first_memory.data(), a.rows, k);
    const auto added = row_major_view(memory.data(), a.rows, n);
    for (index_t i = 0; i < a.rows; ++i) {
        qr_kernels().widen(&a(i, 0), k, &first(i, 0));
        std::fill(&a(i, 0), &a(i, 0) + k, 0.0F);
    }
    blas::gemm<double>(1.0, first, m, 0.0, added);
    for (index_t i = 0; i < a.rows; ++i) qr_kernels().add_rounded(&added(i, 0), n, &a(i, 0));
}

}  // namespace

void leading_moments(MatrixView<float> a, index_t apart, MatrixView<double> out) {
    require(a.row_major() && out.row_major() && out.rows <= a.cols && out.cols == a.cols &&
                apart > 0 && out.rows * apart <= a.cols,
            "leading_moments: shapes of A and of the result do not agree");
    if (out.empty()) return;
    blas::use_one_thread();
    const index_t size = out.rows * out.cols;
    const SlabPlan plan = plan_slabs(a.rows, a.cols);
    const ScaledColumns<float> source(a);
    const Scratch<double> sums(size * plan.slabs);
    std::fill(sums.data(), sums.data() + size * plan.slabs, 0.0);
    for_each_block(plan, [&](index_t slab, index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i)
            for (index_t j = 0; j < out.rows; ++j) std::swap(a(i, j), a(i, j * apart));
        const Scratch<double> buffer((end - begin) * a.cols);
        const auto block = source.load<double>(begin, end, buffer.data());
        blas::gemm<double>(1.0, block.block(0, block.rows, 0, out.rows).transposed(), block, 1.0,
                           row_major_view(sums.data() + slab * size, out.rows, out.cols));
    });
    sum_partials(sums.data(), plan.slabs, size);
    for (index_t i = 0; i < out.rows; ++i)
        std::copy(sums.data() + i * out.cols, sums.data() + (i + 1) * out.cols, &out(i, 0));
}

void add_leading(MatrixView<float> a, MatrixView<const double> m, MatrixView<double> gram,
                 index_t stretch) {
    const index_t k = m.rows, rest = a.cols - k, size = rest * rest;
    require(a.row_major() && m.row_major() && gram.row_major() && rest >= 0 && m.cols == a.cols &&
                gram.rows == rest && gram.cols == rest && stretch > 0,
            "add_leading: shapes of A, M and the Gram matrix do not agree");
    blas::use_one_thread();
    const SlabPlan plan = plan_blocks(a.rows, rest, stretch);
    const Scratch<double> totals(size * plan.slabs);
    const Scratch<float> parts(size * plan.slabs);
    std::fill(totals.data(), totals.data() + size * plan.slabs, 0.0);
    std::fill(parts.data(), parts.data() + size * plan.slabs, 0.0F);
    for_each_block(plan, [&](index_t slab, index_t begin, index_t end) {
        if (k > 0) add_block(a.block(begin, end, 0, a.cols), m);
        const auto part = row_major_view(parts.data() + slab * size, rest, rest);
        // Where they lie, rows may be a power of two apart, which few lines of a cache can hold.
        const Scratch<float> copy((end - begin) * rest);
        const auto block = row_major_view(copy.data(), end - begin, rest);
        for (index_t i = 0; i < block.rows; ++i)
            std::copy(&a(begin + i, k), &a(begin + i, k) + rest, &block(i, 0));
        add_gram<float>(block, plan.panel, part);
        const index_t last = std::min(plan.rows, (slab + 1) * plan.slab_rows);
        if (begin / stretch != end / stretch || end == last)
            flush(part, row_major_view(totals.data() + slab * size, rest, rest));
    });
    sum_partials(totals.data(), plan.slabs, size);
    for (index_t i = 0; i < rest; ++i)
        for (index_t j = i; j < rest; ++j) gram(i, j) = gram(j, i) = totals[i * rest + j];
}

}  // namespace randnla
