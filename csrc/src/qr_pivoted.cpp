// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/qr_pivoted.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "qr_reflectors.hpp"
#include "randnla/blas.hpp"
#include "randnla/gemm.hpp"
#include "randnla/reductions.hpp"
#include "randnla/sketch_dense.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

using blas::int_t;

// Streams of the caller's seed; drivers count theirs from 0.
constexpr std::uint64_t first_stream = (std::uint64_t{1} << 62) + 2;

// Rows of the sketch beyond the columns of a panel: LU proposes as many columns as the sketch has
// rows, and the pivoted QR of that small matrix leaves the worst of them out.
constexpr index_t oversampling = 16;

// Columns that a member of the team takes at a time.
constexpr index_t columns_per_step = 256;

// Columns of a step where `count` of them are cut into an even number of equal steps, so that a
// team of two ends together.
index_t even_step(index_t count) {
    constexpr index_t least = 32;
    const auto parts = [](index_t n, index_t size) { return (n + size - 1) / size; };
    const index_t pairs = std::max<index_t>(1, parts(count, 2 * columns_per_step));
    return std::max(least, parts(count, 2 * pairs));
}

template <class T>
double sum_squares(MatrixView<const T> a) {
    double sum = 0;
    for (index_t j = 0; j < a.cols; ++j) {
        if constexpr (sizeof(T) == 4)
            sum += reduction_kernels().extent_f32(&a(0, j), a.rows, 1.0).sum_squares;
        else
            sum += reduction_kernels().extent_f64(&a(0, j), a.rows, 1.0).sum_squares;
    }
    return sum;
}

template <class T>
class BlockedPivotedQr {
  public:
    BlockedPivotedQr(MatrixView<T> a, std::int32_t* perm, MatrixView<T> t,
                     const PivotedQrOptions& options)
        : a_(a),
          perm_(perm),
          t_(t),
          options_(options),
          steps_(std::min({a.rows, a.cols, options.most_columns})),
          d_(std::min(std::min(options.block, steps_) + oversampling, a.rows)),
          sketch_memory_(d_ * a.cols),
          lu_memory_(d_ * a.cols),
          candidates_(d_ * d_),
          chosen_(a.cols),
          swaps_(d_),
          order_(d_),
          tau_(d_),
          reflector_(a.rows, std::min(options.block, steps_)) {
        sketch_ = row_major_view(sketch_memory_.data(), d_, a.cols);
    }

    PivotedQrReport run() {
        std::iota(perm_, perm_ + a_.cols, 0);
        for (index_t j = 0; j < t_.cols; ++j) std::fill(&t_(0, j), &t_(0, j) + t_.rows, T(0));
        bool fresh = false;
        while (report_.columns < steps_) {
            if (!fresh && !sketch_what_is_left()) break;
            const index_t width = std::min(options_.block, steps_ - report_.columns);
            choose(width);
            bring_forward(width);
            fresh = factor_panel(width);
            const double left = update(width, fresh);
            report_.columns += width;
            if (options_.target_squares > 0 && left <= options_.target_squares) break;
        }
        return report_;
    }

  private:
    MatrixView<T> rest(index_t width = 0) const {
        return a_.block(report_.columns + width, a_.rows, report_.columns + width, a_.cols);
    }

    // False where nothing is left but zeros.
    bool sketch_what_is_left() {
        const auto left = rest();
        const auto out = sketch_.block(0, d_, report_.columns, a_.cols);
        DenseMap map;
        map.seed = options_.seed;
        map.stream = first_stream + static_cast<std::uint64_t>(report_.sketches++);
        // The map as a whole, and a fixed cut of the columns: no bit depends on the team.
        const Scratch<T> memory(d_ * left.rows);
        const auto s = row_major_view(memory.data(), d_, left.rows);
        fill_dense_map<T>(map, s);
        parallel_for(left.cols, columns_per_step, [&](index_t begin, index_t end) {
            parallel_gemm<T>(T(1), s, left.block(0, left.rows, begin, end), T(0),
                             out.block(0, d_, begin, end));
        });
        largest_ = 0;
        for (index_t i = 0; i < out.rows; ++i)
            for (index_t j = 0; j < out.cols; ++j)
                if (out(i, j) != T(0)) return true;
        return false;
    }

    // chosen_ = the columns (counted from the first of those left) that come first, in this order.
    // Pivots of the LU of the transposed sketch are its most independent columns, found at the
    // speed of products; ordered by norm they are only after a pivoted QR of those few.
    void choose(index_t width) {
        const index_t first = report_.columns, left = a_.cols - first;
        const auto lu = col_major_view(lu_memory_.data(), left, d_);
        for (index_t i = 0; i < d_; ++i)
            std::copy(&sketch_(i, first), &sketch_(i, first) + left, &lu(0, i));
        lapack::getrf<T>(lu, swaps_.data());
        const index_t count = std::min(left, d_);
        std::iota(chosen_.data(), chosen_.data() + left, 0);
        for (index_t i = 0; i < count; ++i) std::swap(chosen_[i], chosen_[swaps_[i]]);
        const auto candidates = col_major_view(candidates_.data(), d_, count);
        for (index_t j = 0; j < count; ++j)
            for (index_t i = 0; i < d_; ++i) candidates(i, j) = sketch_(i, first + chosen_[j]);
        lapack::geqp3<T>(candidates, order_.data(), tau_.data());
        for (index_t j = 0; j < width; ++j) order_[j] = chosen_[order_[j]];
    }

    // Swaps whole columns of A and of the sketch.
    void bring_forward(index_t width) {
        const index_t first = report_.columns, left = a_.cols - first;
        // place[c] = where column c is now, chosen_[p] = the column at place p
        const Scratch<int_t> place(left);
        std::iota(place.data(), place.data() + left, 0);
        std::iota(chosen_.data(), chosen_.data() + left, 0);
        for (index_t j = 0; j < width; ++j) {
            const int_t wanted = order_[j], from = place[wanted];
            swaps_[j] = from;
            std::swap(chosen_[j], chosen_[from]);
            place[chosen_[from]] = from;
            place[wanted] = static_cast<int_t>(j);
        }
        const auto swap_rows = [&](MatrixView<T> m, index_t begin, index_t end) {
            for (index_t j = 0; j < width; ++j) {
                if (swaps_[j] == j) continue;
                T* x = &m(begin, first + j);
                T* y = &m(begin, first + swaps_[j]);
                if (m.row_stride == 1) {
                    std::swap_ranges(x, x + (end - begin), y);
                    continue;
                }
                for (index_t i = begin; i < end; ++i, x += m.row_stride, y += m.row_stride)
                    std::swap(*x, *y);
            }
        };
        swap_rows(sketch_, 0, d_);
        constexpr index_t rows_per_step = 512;
        parallel_for(a_.rows, rows_per_step,
                     [&](index_t begin, index_t end) { swap_rows(a_, begin, end); });
        for (index_t j = 0; j < width; ++j) std::swap(perm_[first + j], perm_[first + swaps_[j]]);
    }

    // Householder QR of the panel. False where its diagonal has fallen so far that the sketch, once
    // the panel is taken out of it, would be rounding errors.
    bool factor_panel(index_t width) {
        const index_t first = report_.columns;
        const auto panel = a_.block(first, a_.rows, first, first + width);
        const auto t = t_.block(0, width, first, first + width);
        lapack::geqrt<T>(panel, t);
        reflector_.pack(panel, t, true);
        T least = std::abs(panel(0, 0));
        for (index_t j = 0; j < width; ++j) {
            least = std::min(least, std::abs(panel(j, j)));
            largest_ = std::max(largest_, std::abs(panel(j, j)));
        }
        const bool clear = least > std::sqrt(std::numeric_limits<T>::epsilon()) * largest_;
        if (!clear) return false;
        // S A P = (S Q) R, so S Q_1 = S A_1 R_11^{-1}: what the rest of the sketch loses a multiple
        // of.
        const Scratch<T> r(width * width);
        const auto upper = row_major_view(r.data(), width, width);
        for (index_t i = 0; i < width; ++i)
            for (index_t j = i; j < width; ++j) upper(i, j) = panel(i, j);
        blas::trsm_right_upper<T>(upper, sketch_.block(0, d_, first, first + width));
        return true;
    }

    // The block reflector on the columns behind the panel, and, of the sketch, S A_2 - S Q_1 R_12 =
    // (S Q_2) R_22: a Gaussian sketch of what is left. Returns its sum of squares where it is
    // wanted.
    double update(index_t width, bool with_sketch) {
        const index_t first = report_.columns, behind = first + width;
        const auto q = sketch_.block(0, d_, first, behind);
        const index_t left = a_.cols - behind, step = even_step(left),
                      count = (left + step - 1) / step;
        const Scratch<double> squares(count);
        parallel_for(left, step, [&](index_t begin, index_t end) {
            const index_t j0 = behind + begin, j1 = behind + end;
            reflector_.apply(a_.block(first, a_.rows, j0, j1));
            if (with_sketch)
                blas::gemm<T>(T(-1), q, a_.block(first, behind, j0, j1), T(1),
                              sketch_.block(0, d_, j0, j1));
            if (options_.target_squares > 0)
                squares[begin / step] = sum_squares<T>(a_.block(behind, a_.rows, j0, j1));
        });
        return options_.target_squares > 0
                   ? std::accumulate(squares.data(), squares.data() + count, 0.0)
                   : 0.0;
    }

    const MatrixView<T> a_;
    std::int32_t* const perm_;
    const MatrixView<T> t_;
    const PivotedQrOptions options_;
    const index_t steps_, d_;
    const Scratch<T> sketch_memory_, lu_memory_, candidates_;
    const Scratch<int_t> chosen_, swaps_, order_;
    const Scratch<T> tau_;
    MatrixView<T> sketch_;
    BlockReflector<T> reflector_;
    T largest_ = 0;  // of the diagonal since the sketch was taken
    PivotedQrReport report_;
};

}  // namespace

template <class T>
PivotedQrReport blocked_pivoted_qr(MatrixView<T> a, std::int32_t* perm, MatrixView<T> t,
                                   const PivotedQrOptions& options) {
    require(a.col_major() && t.col_major() && options.block > 0 && t.rows == options.block &&
                t.cols == std::min(a.rows, a.cols),
            "pivoted_qr: A and T must be column-major, T block x min(m, n)");
    blas::narrow(a.cols, "columns");
    blas::use_one_thread();
    if (a.empty()) {
        std::iota(perm, perm + a.cols, 0);
        return {};
    }
    return BlockedPivotedQr<T>(a, perm, t, options).run();
}

template <class T>
void form_q(MatrixView<const T> a, MatrixView<const T> t, index_t columns, MatrixView<T> q) {
    require(a.col_major() && t.col_major() && q.col_major() && q.rows == a.rows &&
                columns <= t.cols && q.cols <= a.rows,
            "form_q: shapes of A, T and Q do not agree");
    if (q.empty()) return;
    blas::use_one_thread();
    const index_t block = t.rows, panels = (columns + block - 1) / block;
    parallel_for(q.cols, columns_per_step, [&](index_t begin, index_t end) {
        for (index_t j = begin; j < end; ++j) {
            std::fill(&q(0, j), &q(0, j) + q.rows, T(0));
            q(j, j) = j < columns && std::signbit(a(j, j)) ? T(-1) : T(1);
        }
    });
    BlockReflector<T> reflector(a.rows, std::min(block, columns));
    for (index_t p = panels; p-- > 0;) {
        const index_t j0 = p * block, j1 = std::min(columns, j0 + block);
        if (j0 >= q.cols) continue;  // columns before a panel's first do not feel it
        reflector.pack(a.block(j0, a.rows, j0, j1), t.block(0, j1 - j0, j0, j1), false);
        const index_t step = even_step(q.cols - j0);
        parallel_for(q.cols - j0, step, [&](index_t begin, index_t end) {
            reflector.apply(q.block(j0, q.rows, j0 + begin, j0 + end));
        });
    }
}

#define RANDNLA_INSTANTIATE(T)                                                                  \
    template PivotedQrReport blocked_pivoted_qr<T>(MatrixView<T>, std::int32_t*, MatrixView<T>, \
                                                   const PivotedQrOptions&);                    \
    template void form_q<T>(MatrixView<const T>, MatrixView<const T>, index_t, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
