// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "check.hpp"
#include "randnla/error.hpp"
#include "randnla/gemm.hpp"
#include "randnla/gram.hpp"
#include "randnla/screen.hpp"
#include "randnla/sketch_csr.hpp"
#include "randnla/sketch_sparse.hpp"
#include "randnla/sparse_matrix.hpp"
#include "randnla/threads.hpp"

// Whole kernels at sizes that reach every path, on teams of one to three, against plain loops. The
// entries are small integers, so that sums are exact in any order; storage is exactly as long as
// what it holds, so that a sanitizer sees every access outside.
using namespace randnla;

namespace {

template <class T>
struct Matrix {
    std::vector<T> data;
    MatrixView<T> view;

    Matrix(index_t rows, index_t cols, bool by_rows = true)
        : data(static_cast<std::size_t>(rows * cols), T(0)) {
        view = {data.data(), rows, cols, by_rows ? cols : 1, by_rows ? 1 : rows};
    }
    MatrixView<const T> input() const { return view; }
    static Matrix numbered(index_t rows, index_t cols, bool by_rows = true) {
        Matrix made(rows, cols, by_rows);
        for (index_t i = 0; i < rows; ++i)
            for (index_t j = 0; j < cols; ++j)
                made.view(i, j) = static_cast<T>((3 * i + 5 * j + i * j) % 7 - 3);
        return made;
    }
};

template <class T>
bool equal(MatrixView<const T> x, MatrixView<const T> y) {
    for (index_t i = 0; i < x.rows; ++i)
        for (index_t j = 0; j < x.cols; ++j)
            if (x(i, j) != y(i, j)) return false;
    return x.rows == y.rows && x.cols == y.cols;
}

template <class T>
Matrix<T> product(MatrixView<const T> a, MatrixView<const T> b) {
    Matrix<T> c(a.rows, b.cols);
    for (index_t i = 0; i < a.rows; ++i)
        for (index_t p = 0; p < a.cols; ++p)
            for (index_t j = 0; j < b.cols; ++j) c.view(i, j) += a(i, p) * b(p, j);
    return c;
}

template <class Body>
void on_teams(const Body& body) {
    for (const int threads : {1, 2, 3}) {
        set_num_threads(threads);
        body();
    }
    set_num_threads(0);
}

// A of small integers in compressed rows with rows empty, single and unsorted, and A as an array.
template <class I, class T>
struct Csr {
    std::vector<I> indptr{0}, indices;
    std::vector<T> data;
    Matrix<T> dense;

    Csr(index_t rows, index_t cols) : dense(rows, cols) {
        for (index_t i = 0; i < rows; ++i) {
            for (index_t k = 0; k < i % 5; ++k) {
                const index_t j = (i * 7 + (5 - k) * 11) % cols;
                const auto value = static_cast<T>((i + k) % 5 - 2);
                indices.push_back(static_cast<I>(j));
                data.push_back(value);
                dense.view(i, j) += value;
            }
            indptr.push_back(static_cast<I>(indices.size()));
        }
    }
    CsrView<I, T> view() const {
        return {indptr.data(),   indices.data(),  data.data(),
                dense.view.rows, dense.view.cols, static_cast<index_t>(data.size())};
    }
};

template <class T>
bool skinny_products_agree(index_t m, index_t k, index_t n) {
    bool good = true;
    for (const bool a_rows : {true, false})
        for (const bool b_rows : {true, false})
            for (const bool c_rows : {true, false}) {
                const auto a = Matrix<T>::numbered(m, k, a_rows);
                const auto b = Matrix<T>::numbered(k, n, b_rows);
                Matrix<T> c(m, n, c_rows);
                parallel_gemm<T>(T(1), a.view, b.view, T(0), c.view);
                good = good && equal<T>(c.view, product(a.input(), b.input()).view);
            }
    return good;
}

template <class T, class Block>
bool moments_agree(index_t rows, index_t cols, bool by_rows) {
    const auto a = Matrix<T>::numbered(rows, cols, by_rows);
    std::vector<T> point(static_cast<std::size_t>(cols), T(1));
    Matrix<double> shifted(rows, cols), gram(cols, cols);
    std::vector<double> sums(static_cast<std::size_t>(cols), -1), expected(sums.size(), 0);
    for (index_t i = 0; i < rows; ++i)
        for (index_t j = 0; j < cols; ++j) {
            shifted.view(i, j) = static_cast<double>(a.view(i, j)) - 1;
            expected[static_cast<std::size_t>(j)] += shifted.view(i, j);
        }
    parallel_moments<T, Block>(a.view, point.data(), gram.view, sums.data());
    return sums == expected &&
           equal<double>(gram.view,
                         product<double>(shifted.input().transposed(), shifted.input()).view);
}

template <class I, class T>
bool csr_products_agree() {
    const Csr<I, T> a(3000, 70);
    bool good = true;
    for (const index_t n : {index_t{1}, index_t{5}, index_t{40}})
        for (const bool by_rows : {true, false}) {
            const auto x = Matrix<T>::numbered(70, n, by_rows);
            const auto y = Matrix<T>::numbered(3000, n, by_rows);
            Matrix<T> forward(3000, n, by_rows), back(70, n, by_rows);
            csr_matmul<I, T>(a.view(), x.view, forward.view);
            csr_transposed_matmul<I, T>(a.view(), y.view, back.view);
            good = good && equal<T>(forward.view, product(a.dense.input(), x.input()).view) &&
                   equal<T>(back.view, product(a.dense.input().transposed(), y.input()).view);
        }
    return good;
}

template <class T>
Matrix<T> dense_map(const SparseMap& map, index_t columns) {
    const auto n = static_cast<std::size_t>(columns * map.nnz);
    std::vector<std::int64_t> positions(n);
    std::vector<std::int8_t> signs(n);
    sparse_map_columns(map, 0, columns, positions.data(), signs.data());
    Matrix<T> s(map.rows, columns);
    for (std::size_t k = 0; k < n; ++k)
        s.view(positions[k], static_cast<index_t>(k) / map.nnz) += static_cast<T>(signs[k]);
    return s;
}

// Rows of 49 lines: the route that sorts a chunk's nonzeros, where the level has it.
template <class T>
bool sparse_maps_agree(const SparseMap& map, index_t m, index_t n) {
    const auto s = dense_map<T>(map, m);
    bool good = true;
    for (const bool by_rows : {true, false}) {
        const auto a = Matrix<T>::numbered(m, n, by_rows);
        const auto b = Matrix<T>::numbered(map.rows, 30, by_rows);
        Matrix<T> out(map.rows, n, by_rows), back(m, 30, by_rows);
        apply_sparse_map<T>(map, 0, 0, T(1), a.view, out.view);
        apply_sparse_map_adjoint<T>(map, 0, 0, T(1), b.view, back.view);
        good = good && equal<T>(out.view, product(s.input(), a.input()).view) &&
               equal<T>(back.view, product(s.input().transposed(), b.input()).view);
    }
    return good;
}

template <class I>
bool sparse_sketches_agree(const SparseMap& map) {
    const Csr<I, double> a(900, 70);
    const auto by_rows = dense_map<double>(map, 900), by_cols = dense_map<double>(map, 70);
    Matrix<double> left(map.rows, 70), right(map.rows, 900);
    csr_sketch_sparse<I, double>(map, CsrAxis::rows, 0, 0, 1.0, a.view(), left.view);
    csr_sketch_sparse<I, double>(map, CsrAxis::columns, 0, 0, 1.0, a.view(), right.view);
    return equal<double>(left.view, product(by_rows.input(), a.dense.input()).view) &&
           equal<double>(right.view, product(by_cols.input(), a.dense.input().transposed()).view);
}

}  // namespace

TEST(products_of_few_columns) {
    on_teams([] {
        for (const index_t n : {index_t{4}, index_t{17}, index_t{65}}) {
            CHECK(skinny_products_agree<float>(203, 150, n));
            CHECK(skinny_products_agree<double>(203, 150, n));
            CHECK(skinny_products_agree<double>(n, 150, 203));
        }
        // Tall enough that a team shares them, by rows of C or by the sum.
        CHECK(skinny_products_agree<float>(1787, 150, 4));
        CHECK(skinny_products_agree<double>(4, 150, 1787));
        CHECK(skinny_products_agree<double>(431, 150, 17));
        CHECK(skinny_products_agree<double>(17, 3701, 17));
    });
}

TEST(moments_and_gram_matrices) {
    on_teams([] {
        for (const bool by_rows : {true, false}) {
            CHECK((moments_agree<float, float>(1100, 37, by_rows)));
            CHECK((moments_agree<float, double>(1100, 37, by_rows)));
            CHECK((moments_agree<double, double>(1100, 37, by_rows)));
            CHECK((moments_agree<double, double>(90, 500, by_rows)));  // strips of a wide one
            CHECK((moments_agree<float, float>(90, 500, by_rows)));
        }
        const auto a = Matrix<double>::numbered(2000, 45);
        Matrix<double> c(45, 45);
        parallel_gram<double, double>(a.view, c.view);
        CHECK(equal<double>(c.view, product(a.input().transposed(), a.input()).view));
    });
}

TEST(products_of_sparse_matrices) {
    on_teams([] {
        CHECK((csr_products_agree<std::int32_t, float>()));
        CHECK((csr_products_agree<std::int32_t, double>()));
        CHECK((csr_products_agree<std::int64_t, double>()));
    });
}

TEST(sparse_matrices_that_are_none_are_refused) {
    Csr<std::int32_t, double> a(20, 9);
    validate(a.view());
    const auto held = a.indices[3];
    for (const std::int32_t wrong : {-1, 9, std::numeric_limits<std::int32_t>::min()}) {
        a.indices[3] = wrong;
        CHECK_THROWS(validate(a.view()), Error);
    }
    a.indices[3] = held;
    a.indptr[5] = 1000;
    CHECK_THROWS(validate(a.view()), Error);
}

TEST(sparse_maps_of_dense_matrices) {
    on_teams([] {
        CHECK(sparse_maps_agree<float>(sparse_sign_map(5, 0, 40, 8, 32), 560, 780));
        CHECK(sparse_maps_agree<double>(sparse_sign_map(5, 0, 40, 3, 64), 560, 400));
        CHECK(sparse_maps_agree<double>(countsketch_map(5, 0, 40, 64), 560, 33));
    });
}

TEST(sparse_maps_of_sparse_matrices) {
    on_teams([] {
        CHECK(sparse_sketches_agree<std::int32_t>(sparse_sign_map(3, 1, 50, 4, 64)));
        CHECK(sparse_sketches_agree<std::int64_t>(countsketch_map(3, 1, 50, 64)));
    });
}

TEST(dense_maps_of_sparse_matrices) {
    const Csr<std::int32_t, double> a(900, 70);
    DenseMap map;
    map.kind = StreamKind::sign;  // products of +-1 and small integers are exact
    Matrix<double> s(40, 900), out(40, 70);
    fill_dense_map<double>(map, s.view);
    on_teams([&] {
        csr_sketch_dense<std::int32_t, double>(map, CsrAxis::rows, a.view(), out.view);
        CHECK(equal<double>(out.view, product(s.input(), a.dense.input()).view));
    });
}

TEST(screening_sees_every_entry) {
    on_teams([] {
        auto a = Matrix<double>::numbered(300, 70);
        double squares = 0;
        for (const double x : a.data) squares += x * x;
        CHECK(screen_matrix<double>(a.view).sum_squares == squares);
        CHECK(screen_matrix<double>(a.view).largest == 3);
        for (const std::size_t k : {std::size_t{0}, a.data.size() / 2, a.data.size() - 1}) {
            const double held = a.data[k];
            a.data[k] = std::numeric_limits<double>::quiet_NaN();
            CHECK(!screen_matrix<double>(a.view).finite);
            a.data[k] = held;
        }
        CHECK(screen_matrix<double>(a.view).finite);
    });
}
