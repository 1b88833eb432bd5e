// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <cstdint>
#include <vector>

#include "check.hpp"
#include "randnla/fixed_point.hpp"
#include "randnla/fixed_point_product.hpp"
#include "randnla/sketch_dense.hpp"
#include "randnla/threads.hpp"

using namespace randnla;

// Matrices of small integers, whose products in fixed point are exact, in memory that ends where
// they end.
namespace {

struct Matrix {
    // layout 0: by rows, 1: by columns, 2: every second row and third column.
    Matrix(index_t rows, index_t cols, int layout) {
        const index_t row = layout == 0   ? cols
                            : layout == 1 ? 1
                                          : 6 * cols,
                      col = layout == 0   ? 1
                            : layout == 1 ? rows
                                          : 3;
        const index_t last = rows > 0 && cols > 0 ? (rows - 1) * row + (cols - 1) * col + 1 : 0;
        values.assign(static_cast<std::size_t>(last), -7777.0F);
        view = {values.data(), rows, cols, row, col};
    }
    void draw(std::uint32_t seed) {
        for (index_t i = 0; i < view.rows; ++i)
            for (index_t j = 0; j < view.cols; ++j) {
                seed = seed * 1664525U + 1013904223U;
                view(i, j) = static_cast<float>(static_cast<int>(seed >> 24) - 128);
            }
    }
    MatrixView<const float> read() const {
        return {view.data, view.rows, view.cols, view.row_stride, view.col_stride};
    }

    std::vector<float> values;
    MatrixView<float> view;
};

float entry_of_product(const Matrix& a, const Matrix& b, index_t i, index_t j) {
    double sum = 0;
    for (index_t k = 0; k < a.view.cols; ++k) sum += double(a.view(i, k)) * double(b.view(k, j));
    return static_cast<float>(sum);
}

bool is_product(const Matrix& out, const Matrix& a, const Matrix& b) {
    for (index_t i = 0; i < out.view.rows; ++i)
        for (index_t j = 0; j < out.view.cols; ++j)
            if (out.view(i, j) != entry_of_product(a, b, i, j)) return false;
    return true;
}

constexpr index_t lengths[] = {1, 3, 63, 64, 65, 255, 257, 600};
constexpr index_t widths[] = {1, 2, 8, 9, 16, 17, 33};

}  // namespace

TEST(fixed_point_sign_maps) {
    for (const int threads : {1, 2}) {
        set_num_threads(threads);
        for (const index_t inner : lengths)
            for (const index_t cols : widths)
                for (const int layout : {0, 1, 2})
                    for (const bool adjoint : {false, true}) {
                        const index_t rows = 1 + (inner + cols) % 37;
                        const DenseMap map{StreamKind::sign, 5, 1, 40, 250, 1.0};
                        Matrix signs(adjoint ? inner : rows, adjoint ? rows : inner, 0);
                        fill_dense_map<float>(map, signs.view);
                        Matrix a(inner, cols, layout), out(rows, cols, (layout + 1) % 3);
                        a.draw(static_cast<std::uint32_t>(inner + cols));
                        apply_sign_map(map, adjoint, a.read(), out.view);
                        Matrix s(rows, inner, 0);
                        for (index_t i = 0; i < rows; ++i)
                            for (index_t k = 0; k < inner; ++k)
                                s.view(i, k) = adjoint ? signs.view(k, i) : signs.view(i, k);
                        CHECK(is_product(out, s, a));
                    }
    }
    set_num_threads(0);
}

TEST(fixed_point_products) {
    for (const int threads : {1, 2}) {
        set_num_threads(threads);
        for (const index_t inner : lengths)
            for (const index_t cols : widths)
                for (const int layout : {0, 1, 2})
                    for (const int slices : {2, 3}) {
                        const index_t rows = 1 + (inner + cols) % 37;
                        Matrix a(rows, inner, layout), b(inner, cols, (layout + slices) % 3),
                            out(rows, cols, (layout + 1) % 3), gram(cols, cols, layout);
                        a.draw(1);
                        b.draw(static_cast<std::uint32_t>(inner * cols));
                        fixed_point_product(a.read(), b.read(), slices, out.view);
                        CHECK(is_product(out, a, b));
                        fixed_point_gram(b.read(), slices, gram.view);
                        Matrix across(cols, inner, 0);
                        for (index_t i = 0; i < cols; ++i)
                            for (index_t k = 0; k < inner; ++k) across.view(i, k) = b.view(k, i);
                        CHECK(is_product(gram, across, b));
                    }
    }
    set_num_threads(0);
}
