// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <cstddef>
#include <limits>
#include <vector>

#include "check.hpp"
#include "randnla/error.hpp"
#include "randnla/least_squares.hpp"

using namespace randnla;

namespace {

enum class Layout { rows, cols, apart };

// Storage that ends with the last entry of the matrix, so that a sanitizer sees every access
// outside; NaN between entries and where nothing was written.
template <class T>
struct Owned {
    std::vector<T> data;
    MatrixView<T> view;

    Owned(index_t rows, index_t cols, Layout layout = Layout::rows)
        : view{nullptr, rows, cols, layout == Layout::cols ? 1 : cols,
               layout == Layout::cols ? rows : 1} {
        if (layout == Layout::apart) view.row_stride = 3 * cols + 1, view.col_stride = 3;
        const index_t last = (rows - 1) * view.row_stride + (cols - 1) * view.col_stride;
        data.assign(static_cast<std::size_t>(view.empty() ? 0 : last + 1),
                    std::numeric_limits<T>::quiet_NaN());
        view.data = data.data();
    }
    Owned(const Owned&) = delete;
    Owned& operator=(const Owned&) = delete;
};

// Small integers, of which sums are exact in any order.
template <class T>
void fill(MatrixView<T> a, index_t step) {
    for (index_t i = 0; i < a.rows; ++i)
        for (index_t j = 0; j < a.cols; ++j)
            a(i, j) = static_cast<T>((i * step + j * j + i * j) % 5 - 2);
}

// A^T B by a plain loop equals C.
template <class T, class S>
bool equals_crossed(MatrixView<T> a, MatrixView<S> b, MatrixView<double> c) {
    for (index_t i = 0; i < c.rows; ++i)
        for (index_t j = 0; j < c.cols; ++j) {
            double sum = 0;
            for (index_t t = 0; t < a.rows; ++t)
                sum += static_cast<double>(a(t, i)) * static_cast<double>(b(t, j));
            if (c(i, j) != sum) return false;
        }
    return true;
}

// C += sign A B by a plain loop.
template <class T>
void add_product(MatrixView<T> a, MatrixView<double> b, double sign, MatrixView<double> c) {
    for (index_t i = 0; i < c.rows; ++i)
        for (index_t j = 0; j < c.cols; ++j)
            for (index_t t = 0; t < a.cols; ++t)
                c(i, j) += sign * static_cast<double>(a(i, t)) * b(t, j);
}

template <class T>
class Problem {
  public:
    // Sides are laid out as A is, but for X, which need only be what a product reads.
    Problem(index_t m, index_t n, index_t k, Layout layout)
        : a_(m, n, layout),
          b_(m, k, layout),
          x_(n, k),
          exact_(m, k),
          residual_(m, k, layout),
          gradient_(n, k, layout),
          squares_(static_cast<std::size_t>(k), -1.0) {
        fill(a_.view, 3);
        fill(b_.view, 2);
        fill(x_.view, 4);
        for (index_t i = 0; i < m; ++i)
            for (index_t j = 0; j < k; ++j) exact_.view(i, j) = b_.view(i, j);
        add_product(a_.view, x_.view, -1.0, exact_.view);
    }

    MatrixView<const T> a() const { return a_.view; }

    bool sums(bool keep) {
        sweep_residual<T>(a_.view, into(keep));
        return right(keep);
    }

    bool gram(bool keep) {
        Owned<double> gram(a_.view.cols, a_.view.cols);
        sweep_gram<T>(a_.view, into(keep), gram.view);
        return right(keep) && equals_crossed(a_.view, a_.view, gram.view);
    }

    bool preconditioned(bool keep, index_t r, bool upper) {
        Owned<double> p(a_.view.cols, r), gram(r, r), product(a_.view.rows, r);
        fill(p.view, 2);
        for (index_t i = 0; upper && i < r; ++i)
            for (index_t j = 0; j < i; ++j) p.view(i, j) = 0;
        for (double& entry : product.data) entry = 0;
        add_product(a_.view, p.view, 1.0, product.view);
        sweep_preconditioned<T>(a_.view, into(keep), p.view, upper, gram.view);
        return right(keep) && equals_crossed(product.view, product.view, gram.view);
    }

  private:
    ResidualSums into(bool keep) {
        for (auto* sums : {&gradient_.data, &residual_.data, &squares_})
            sums->assign(sums->size(), std::numeric_limits<double>::quiet_NaN());
        return {b_.view, x_.view, keep ? residual_.view : MatrixView<double>{}, gradient_.view,
                squares_.data()};
    }

    bool right(bool keep) const {
        const auto r = exact_.view;
        for (index_t j = 0; j < r.cols; ++j) {
            double sum = 0;
            for (index_t i = 0; i < r.rows; ++i) {
                sum += r(i, j) * r(i, j);
                if (keep && residual_.view(i, j) != r(i, j)) return false;
            }
            if (squares_[static_cast<std::size_t>(j)] != sum) return false;
        }
        return equals_crossed(a_.view, r, gradient_.view);
    }

    Owned<T> a_;
    Owned<double> b_, x_, exact_, residual_, gradient_;
    std::vector<double> squares_;
};

template <class T>
void check_shapes() {
    for (const auto layout : {Layout::rows, Layout::cols, Layout::apart})
        for (const index_t m : {0, 1, 7, 257, 2500})
            for (const index_t n : {1, 2, 9, 33})
                for (const index_t k : {0, 1, 3}) {
                    Problem<T> problem(m, n, k, layout);
                    const bool keep = (m + n) % 2 == 0;
                    CHECK(problem.sums(keep));
                    CHECK(problem.gram(!keep));
                    CHECK(problem.preconditioned(keep, n, true));
                    CHECK(problem.preconditioned(!keep, n / 2 + 1, false));
                }
}

template <class T>
void check_refusals() {
    Problem<T> problem(5, 3, 2, Layout::rows);
    const auto a = problem.a();
    Owned<double> b(5, 2), x(3, 2), other(4, 2), gradient(3, 2), gram(3, 3), wide(3, 4);
    double squares[2];
    const MatrixView<double> none;
    const auto refused = [&](const ResidualSums& sums) {
        CHECK_THROWS(sweep_residual<T>(a, sums), Error);
        CHECK_THROWS(sweep_gram<T>(a, sums, gram.view), Error);
    };
    refused({other.view, x.view, none, gradient.view, squares});
    refused({b.view, other.view, none, gradient.view, squares});
    refused({b.view, x.view, other.view, gradient.view, squares});
    refused({b.view, x.view, none, other.view, squares});
    const ResidualSums sums{b.view, x.view, none, gradient.view, squares};
    CHECK_THROWS(sweep_gram<T>(a, sums, wide.view), Error);
    CHECK_THROWS(sweep_preconditioned<T>(a, sums, wide.view, false, gram.view), Error);
    CHECK_THROWS(sweep_preconditioned<T>(a, sums, other.view, false, gram.view), Error);
    Owned<double> four(4, 4);
    CHECK_THROWS(sweep_preconditioned<T>(a, sums, wide.view, true, four.view), Error);
}

}  // namespace

TEST(sweeps_are_exact_on_integers_of_every_shape_and_layout) {
    check_shapes<float>();
    check_shapes<double>();
}

TEST(sweeps_refuse_shapes_that_do_not_agree) {
    check_refusals<float>();
    check_refusals<double>();
}
