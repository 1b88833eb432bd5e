// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/qr_preconditioned.hpp"

#include <algorithm>
#include <cstdlib>
#include <type_traits>

#include "qr_blocks.hpp"
#include "randnla/blas.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// Rows [begin, end) of the chosen columns of A in the buffer, along the runs of A's memory.
template <class T, class U>
MatrixView<U> gather(MatrixView<const T> a, const std::int32_t* columns, index_t count,
                     index_t begin, index_t end, U* buffer) {
    const index_t rows = end - begin;
    if (std::abs(a.row_stride) < std::abs(a.col_stride)) {
        const auto packed = row_major_view(buffer, count, rows).transposed();
        for (index_t j = 0; j < count; ++j) {
            const T* from = &a(begin, columns[j]);
            U* to = &packed(0, j);
            for (index_t i = 0; i < rows; ++i) to[i] = static_cast<U>(from[i * a.row_stride]);
        }
        return packed;
    }
    const auto packed = row_major_view(buffer, rows, count);
    for (index_t i = 0; i < rows; ++i) {
        const T* from = &a(begin + i, 0);
        U* to = &packed(i, 0);
        if (a.col_stride == 1)
            for (index_t j = 0; j < count; ++j) to[j] = static_cast<U>(from[columns[j]]);
        else
            for (index_t j = 0; j < count; ++j)
                to[j] = static_cast<U>(from[columns[j] * a.col_stride]);
    }
    return packed;
}

// Sums of Gram matrices of blocks, a share for every slab.
class GramSums {
  public:
    GramSums(const SlabPlan& plan, index_t order, bool wanted)
        : plan_(plan), size_(wanted ? order * order : 0), order_(order), sums_(size_ * plan.slabs) {
        std::fill(sums_.data(), sums_.data() + size_ * plan.slabs, 0.0);
    }

    template <class T>
    void add(index_t slab, MatrixView<const T> block) const {
        if (size_ > 0)
            add_gram_wide<T>(block, plan_.panel,
                             row_major_view(sums_.data() + slab * size_, order_, order_));
    }

    void total(MatrixView<double> gram) const {
        if (size_ == 0) return;
        sum_partials(sums_.data(), plan_.slabs, size_);
        for (index_t i = 0; i < order_; ++i)
            for (index_t j = i; j < order_; ++j) gram(i, j) = gram(j, i) = sums_[i * order_ + j];
    }

  private:
    const SlabPlan& plan_;
    index_t size_, order_;
    const Scratch<double> sums_;
};

template <class T>
void narrow_upper(MatrixView<const double> m, MatrixView<T> out) {
    for (index_t i = 0; i < m.rows; ++i)
        for (index_t j = 0; j < m.cols; ++j) out(i, j) = j < i ? T(0) : static_cast<T>(m(i, j));
}

}  // namespace

template <class T>
void precondition(MatrixView<const T> a, const std::int32_t* columns,
                  MatrixView<const double> factor, Precondition how, MatrixView<T> q,
                  MatrixView<double> gram) {
    const index_t k = q.cols;
    require(q.rows == a.rows && q.row_major() && factor.row_major() && factor.rows == k &&
                factor.cols == k && (gram.empty() || (gram.rows == k && gram.cols == k)),
            "precondition: shapes of A, R, Q and the Gram matrix do not agree");
    if (k == 0) return;
    blas::use_one_thread();
    const SlabPlan plan = plan_slabs(a.rows, k);
    const GramSums sums(plan, k, !gram.empty());
    const bool solve = how == Precondition::solve;
    const Scratch<T> memory(solve ? 0 : k * k);
    const auto inverse = row_major_view(memory.data(), k, k);
    if (!solve) narrow_upper<T>(factor, inverse);
    for_each_block(plan, [&](index_t slab, index_t begin, index_t end) {
        const auto out = q.block(begin, end, 0, k);
        if (!solve) {
            const Scratch<T> buffer((end - begin) * k);
            multiply_upper<T>(gather<T, T>(a, columns, k, begin, end, buffer.data()), inverse,
                              plan.panel, out);
            return sums.add<T>(slab, out);
        }
        const Scratch<double> buffer((end - begin) * k);
        const auto block = gather<T, double>(a, columns, k, begin, end, buffer.data());
        blas::trsm_right_upper<double>(factor, block);
        for (index_t i = 0; i < block.rows; ++i)
            for (index_t j = 0; j < k; ++j) out(i, j) = static_cast<T>(block(i, j));
        sums.add<double>(slab, block);
    });
    sums.total(gram);
}

namespace {

// Columns of M at a time: of wider panels more of what is multiplied is its zero triangle.
constexpr index_t most_panel = 64;

template <class From, class To>
void convert(const From* from, index_t count, To* __restrict to) {
    for (index_t j = 0; j < count; ++j) to[j] = static_cast<To>(from[j]);
}

// Q := Q M with products in the type of M.
template <class T, class Work>
void multiply_blocks(MatrixView<T> q, MatrixView<const Work> m, const SlabPlan& plan,
                     const GramSums& sums) {
    constexpr bool same = std::is_same_v<T, Work>;
    const index_t k = q.cols, panel = std::min(plan.panel, most_panel);
    for_each_block(plan, [&](index_t slab, index_t begin, index_t end) {
        const index_t size = (end - begin) * k;
        const Scratch<Work> buffer(size), product(same ? 0 : size);
        const auto out = q.block(begin, end, 0, k);
        const auto before = row_major_view(buffer.data(), end - begin, k);
        for (index_t i = 0; i < out.rows; ++i) convert(&out(i, 0), k, &before(i, 0));
        if constexpr (same) {
            multiply_upper<T>(before, m, panel, out);
            sums.add<T>(slab, out);
        } else {
            const auto wide = row_major_view(product.data(), end - begin, k);
            multiply_upper<Work>(before, m, panel, wide);
            for (index_t i = 0; i < out.rows; ++i) convert(&wide(i, 0), k, &out(i, 0));
            sums.add<T>(slab, out);
        }
    });
}

}  // namespace

template <class T>
void multiply_columns(MatrixView<T> q, MatrixView<const double> m, MatrixView<double> gram,
                      bool wide) {
    const index_t k = q.cols;
    require(q.row_major() && m.row_major() && m.rows == k && m.cols == k &&
                (gram.empty() || (gram.rows == k && gram.cols == k)),
            "multiply_columns: shapes of Q, M and the Gram matrix do not agree");
    if (q.empty()) return;
    blas::use_one_thread();
    const SlabPlan plan = plan_slabs(q.rows, k);
    const GramSums sums(plan, k, !gram.empty());
    const bool narrow = std::is_same_v<T, float> && !wide;
    const Scratch<T> memory(narrow ? k * k : 0);
    const Scratch<double> wide_memory(narrow ? 0 : k * k);
    if (narrow) {
        const auto factor = row_major_view(memory.data(), k, k);
        narrow_upper<T>(m, factor);
        multiply_blocks<T, T>(q, factor, plan, sums);
    } else {
        const auto factor = row_major_view(wide_memory.data(), k, k);
        narrow_upper<double>(m, factor);
        multiply_blocks<T, double>(q, factor, plan, sums);
    }
    sums.total(gram);
}

#define RANDNLA_INSTANTIATE(T)                                                                     \
    template void precondition<T>(MatrixView<const T>, const std::int32_t*,                        \
                                  MatrixView<const double>, Precondition, MatrixView<T>,           \
                                  MatrixView<double>);                                             \
    template void multiply_columns<T>(MatrixView<T>, MatrixView<const double>, MatrixView<double>, \
                                      bool);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
