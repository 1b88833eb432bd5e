// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstddef>
#include <vector>

#include "check.hpp"
#include "randnla/packed_product.hpp"

using namespace randnla;

namespace {

// Small integers: sums are exact in any order, and storage is of exactly the size of the matrix.
template <class T>
std::vector<T> integers(index_t count, index_t step) {
    std::vector<T> x(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<T>(static_cast<index_t>(i) * step % 7 - 3);
    return x;
}

template <class T>
bool multiplies(index_t m, index_t inner, index_t n, bool col_major) {
    const auto& kernel = packed_product_kernels().of<T>();
    auto a = integers<T>(m * inner, 3), b = integers<T>(inner * n, 5), c = integers<T>(m * n, 4);
    const auto before = c;
    const MatrixView<const T> left{a.data(), m, inner, col_major ? 1 : inner, col_major ? m : 1};
    std::vector<T> packed(static_cast<std::size_t>(packed_size(m, inner, kernel.rows)), T(99));
    kernel.pack(T(-2), left, packed.data());
    kernel.multiply(packed.data(), {b.data(), inner, n, 1, inner}, {c.data(), m, n, 1, m});
    for (index_t i = 0; i < m; ++i)
        for (index_t j = 0; j < n; ++j) {
            const auto at = static_cast<std::size_t>(j * m + i);
            T sum = before[at];
            for (index_t k = 0; k < inner; ++k)
                sum -= 2 * left(i, k) * b[static_cast<std::size_t>(j * inner + k)];
            if (c[at] != sum) return false;
        }
    return true;
}

template <class T>
void check_shapes() {
    for (const bool col_major : {false, true})
        for (const index_t m : {1, 7, 32, 300})
            for (const index_t inner : {1, 31, 600})
                for (const index_t n : {1, 5, 6, 8, 23})
                    CHECK(multiplies<T>(m, inner, n, col_major));
}

}  // namespace

TEST(packed_products_are_exact_on_integers_of_every_shape) {
    check_shapes<float>();
    check_shapes<double>();
}
