// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/least_squares.hpp"

#include <algorithm>
#include <type_traits>

#include "qr_blocks.hpp"
#include "randnla/blas.hpp"
#include "randnla/woodbury.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// Sums of float32 products are added to the totals after this many rows.
constexpr index_t narrow_flush = 1024;

// Rows [begin, end) in float64: in place where they are and BLAS can read them, else packed.
template <class T>
MatrixView<const double> load_rows(MatrixView<const T> a, index_t begin, index_t end,
                                   double* buffer) {
    const auto rows = a.block(begin, end, 0, a.cols);
    if constexpr (std::is_same_v<T, double>)
        if (rows.col_major()) return rows;
    return ScaledColumns<T>(a).template load<double>(begin, end, buffer);
}

// Shares of the residual's sums, one for every slab.
class Shares {
  public:
    Shares(const SlabPlan& plan, const ResidualSums& sums)
        : plan_(plan),
          sums_(sums),
          n_(sums.x.rows),
          k_(sums.x.cols),
          size_((n_ + 1) * k_),
          memory_(size_ * plan.slabs) {
        std::fill(memory_.data(), memory_.data() + size_ * plan.slabs, 0.0);
    }

    void add(index_t slab, index_t begin, MatrixView<const double> block) const {
        double* const mine = memory_.data() + slab * size_;
        const Scratch<double> buffer(block.rows * k_);
        const auto r = row_major_view(buffer.data(), block.rows, k_);
        const bool by_rows = k_ == 1 && block.row_major() && sums_.x.row_stride == 1;
        if (by_rows) {
            add_rows(begin, block, buffer.data(), mine);
        } else {
            for (index_t i = 0; i < r.rows; ++i)
                for (index_t j = 0; j < k_; ++j) r(i, j) = sums_.b(begin + i, j);
            blas::gemm<double>(-1.0, block, sums_.x, 1.0, r);
            blas::gemm<double>(1.0, block.transposed(), r, 1.0, row_major_view(mine, n_, k_));
        }
        double* const squares = mine + n_ * k_;
        for (index_t i = 0; i < r.rows; ++i)
            for (index_t j = 0; j < k_; ++j) {
                squares[j] += r(i, j) * r(i, j);
                if (!sums_.residual.empty()) sums_.residual(begin + i, j) = r(i, j);
            }
    }

    void total() const {
        sum_partials(memory_.data(), plan_.slabs, size_);
        for (index_t i = 0; i < n_; ++i)
            for (index_t j = 0; j < k_; ++j) sums_.gradient(i, j) = memory_[i * k_ + j];
        std::copy(memory_.data() + n_ * k_, memory_.data() + size_, sums_.squares);
    }

  private:
    // One right-hand side: a few rows at a time, which their second use finds in the first cache.
    void add_rows(index_t begin, MatrixView<const double> block, double* r, double* sum) const {
        const auto& kernels = window_kernels();
        for (index_t i = 0; i < block.rows; i += window_rows) {
            const int rows = static_cast<int>(std::min<index_t>(window_rows, block.rows - i));
            kernels.dots_f64(&block(i, 0), block.row_stride, rows, sums_.x.data, n_, r + i, 1);
            for (index_t t = i; t < i + rows; ++t) r[t] = sums_.b(begin + t, 0) - r[t];
            kernels.combine_f64(&block(i, 0), block.row_stride, rows, r + i, n_, sum);
        }
    }

    const SlabPlan& plan_;
    const ResidualSums& sums_;
    const index_t n_, k_, size_;
    const Scratch<double> memory_;
};

template <class T>
void check(MatrixView<const T> a, const ResidualSums& s) {
    require(s.b.rows == a.rows && s.x.rows == a.cols && s.b.cols == s.x.cols &&
                s.gradient.rows == a.cols && s.gradient.cols == s.x.cols &&
                (s.residual.empty() || (s.residual.rows == a.rows && s.residual.cols == s.x.cols)),
            "sweep: shapes of A, B, X and the gradient do not agree");
    blas::use_one_thread();
}

// body(slab, end of the block, block in float64), after its share of the residual's sums.
template <class T, class Body>
void sweep(MatrixView<const T> a, const SlabPlan& plan, const ResidualSums& sums, Body&& body) {
    const Shares shares(plan, sums);
    for_each_block(plan, [&](index_t slab, index_t begin, index_t end) {
        const Scratch<double> buffer((end - begin) * a.cols);
        const auto block = load_rows<T>(a, begin, end, buffer.data());
        shares.add(slab, begin, block);
        body(slab, end, block);
    });
    shares.total();
}

void total_gram(const Scratch<double>& shares, const SlabPlan& plan, MatrixView<double> gram) {
    const index_t n = gram.rows;
    sum_partials(shares.data(), plan.slabs, n * n);
    for (index_t i = 0; i < n; ++i)
        for (index_t j = i; j < n; ++j) gram(i, j) = gram(j, i) = shares[i * n + j];
}

// Y = A P, rounded to float32 at the end.
void multiply(MatrixView<const double> a, MatrixView<const double> p, bool upper, index_t panel,
              MatrixView<float> y) {
    const Scratch<double> buffer(a.rows * p.cols);
    const auto wide = row_major_view(buffer.data(), a.rows, p.cols);
    if (upper)
        multiply_upper<double>(a, p, panel, wide);
    else
        for (index_t j = 0; j < p.cols; j += panel) {
            const index_t end = std::min(p.cols, j + panel);
            blas::gemm<double>(1.0, a, p.block(0, p.rows, j, end), 0.0,
                               wide.block(0, a.rows, j, end));
        }
    for (index_t t = 0; t < a.rows * p.cols; ++t) y.data[t] = static_cast<float>(wide.data[t]);
}

void flush(MatrixView<float> part, MatrixView<double> total) {
    for (index_t i = 0; i < part.rows; ++i)
        for (index_t j = i; j < part.cols; ++j) {
            total(i, j) += static_cast<double>(part(i, j));
            part(i, j) = 0.0F;
        }
}

}  // namespace

template <class T>
void sweep_residual(MatrixView<const T> a, const ResidualSums& sums) {
    check(a, sums);
    const SlabPlan plan = plan_slabs(a.rows, a.cols);
    sweep<T>(a, plan, sums, [](index_t, index_t, MatrixView<const double>) {});
}

template <class T>
void sweep_gram(MatrixView<const T> a, const ResidualSums& sums, MatrixView<double> gram) {
    check(a, sums);
    const index_t n = a.cols;
    require(gram.row_major() && gram.rows == n && gram.cols == n,
            "sweep: the Gram matrix has the order of the columns of A");
    const SlabPlan plan = plan_slabs(a.rows, n);
    const Scratch<double> shares(plan.slabs * n * n);
    std::fill(shares.data(), shares.data() + plan.slabs * n * n, 0.0);
    sweep<T>(a, plan, sums, [&](index_t slab, index_t, MatrixView<const double> block) {
        add_gram<double>(block, plan.panel, row_major_view(shares.data() + slab * n * n, n, n));
    });
    total_gram(shares, plan, gram);
}

template <class T>
void sweep_preconditioned(MatrixView<const T> a, const ResidualSums& sums,
                          MatrixView<const double> p, bool upper, MatrixView<double> gram) {
    check(a, sums);
    const index_t r = p.cols;
    require(p.row_major() && p.rows == a.cols && gram.row_major() && gram.rows == r &&
                gram.cols == r && (!upper || p.rows == r),
            "sweep: shapes of A, P and the Gram matrix do not agree");
    const SlabPlan plan = plan_slabs(a.rows, a.cols);
    const index_t size = r * r;
    const Scratch<double> shares(plan.slabs * size);
    const Scratch<float> parts(plan.slabs * size);
    std::fill(shares.data(), shares.data() + plan.slabs * size, 0.0);
    std::fill(parts.data(), parts.data() + plan.slabs * size, 0.0F);
    sweep<T>(a, plan, sums, [&](index_t slab, index_t end, MatrixView<const double> block) {
        const Scratch<float> buffer(block.rows * r);
        const auto y = row_major_view(buffer.data(), block.rows, r);
        multiply(block, p, upper, plan.panel, y);
        const auto part = row_major_view(parts.data() + slab * size, r, r);
        add_gram<float>(y, plan.panel, part);
        const index_t last = std::min(plan.rows, (slab + 1) * plan.slab_rows);
        const index_t begin = end - block.rows;
        if (begin / narrow_flush != end / narrow_flush || end == last)
            flush(part, row_major_view(shares.data() + slab * size, r, r));
    });
    total_gram(shares, plan, gram);
}

#define RANDNLA_INSTANTIATE(T)                                                                 \
    template void sweep_residual<T>(MatrixView<const T>, const ResidualSums&);                 \
    template void sweep_gram<T>(MatrixView<const T>, const ResidualSums&, MatrixView<double>); \
    template void sweep_preconditioned<T>(MatrixView<const T>, const ResidualSums&,            \
                                          MatrixView<const double>, bool, MatrixView<double>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
