// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "check.hpp"
#include "randnla/sampling.hpp"
#include "randnla/sketch_hadamard.hpp"

using namespace randnla;

namespace {

// Storage of exactly the span of a view, so that a sanitizer sees every access outside; the gaps
// between the elements hold a mark that must survive.
template <class T>
struct Held {
    std::vector<T> data;
    MatrixView<T> view;

    Held(index_t rows, index_t cols, index_t row_stride, index_t col_stride) {
        const auto low = [](index_t n, index_t s) { return s < 0 ? (n - 1) * -s : 0; };
        const index_t span =
            1 + (rows - 1) * std::abs(row_stride) + (cols - 1) * std::abs(col_stride);
        data.assign(static_cast<std::size_t>(span), mark);
        view = {data.data() + low(rows, row_stride) + low(cols, col_stride), rows, cols, row_stride,
                col_stride};
    }
    index_t marks() const { return std::count(data.begin(), data.end(), mark); }
    static constexpr T mark = T(1 << 23);
};

template <class T>
Held<T> held(index_t rows, index_t cols, int layout) {
    switch (layout) {
        case 0:
            return {rows, cols, cols, 1};
        case 1:
            return {rows, cols, 1, rows};
        case 2:
            return {rows, cols, cols + 3, 1};
        case 3:
            return {rows, cols, -(2 * cols), 2};
        default:
            return {rows, cols, (cols + 16) / 16 * 16, 1};
    }
}

template <class T>
void fill(MatrixView<T> a) {
    for (index_t i = 0; i < a.rows; ++i)
        for (index_t j = 0; j < a.cols; ++j) a(i, j) = static_cast<T>((7 * i + 13 * j) % 31 - 15);
}

// The map without its scale, entry by entry.
struct Entries {
    std::vector<std::uint32_t> signs;
    std::vector<index_t> positions;

    explicit Entries(const HadamardMap& map)
        : signs(static_cast<std::size_t>((map.m + 2047) / 2048 * 64)),
          positions(static_cast<std::size_t>(map.d)) {
        trig_sign_bits(map.seed, map.stream, map.m, signs.data());
        sample_coordinates({map.seed, map.stream, StreamKind::trig_rows}, hadamard_order(map.m),
                           map.d, positions.data());
    }
    int operator()(index_t i, index_t j) const {
        const auto both = static_cast<std::uint64_t>(positions[static_cast<std::size_t>(i)] & j);
        const auto word = signs[static_cast<std::size_t>(j / 32)];
        const int sign = (word >> j % 32 & 1U) != 0 ? -1 : 1;
        return __builtin_parityll(both) != 0 ? -sign : sign;
    }
};

template <class T>
bool equals_entries(index_t m, index_t d, index_t n, int in, int out, index_t row_start) {
    const HadamardMap map{static_cast<std::uint64_t>(m), 3, d, row_start, m};
    const Entries entry(map);
    const auto scale = static_cast<T>(std::sqrt(1.0 / static_cast<double>(d)));
    const index_t rows = d - row_start;
    const auto a = held<T>(m, n, in), b = held<T>(rows, n, in);
    const auto forward = held<T>(rows, n, out), back = held<T>(m, n, out);
    fill(a.view);
    fill(b.view);
    const index_t gaps[] = {forward.marks() - rows * n, back.marks() - m * n};
    apply_hadamard<T>(map, a.view, forward.view);
    apply_hadamard_adjoint<T>(map, b.view, back.view);
    bool same = forward.marks() == gaps[0] && back.marks() == gaps[1];
    for (index_t j = 0; j < n; ++j) {
        for (index_t i = 0; i < rows; ++i) {
            T sum = 0;
            for (index_t k = 0; k < m; ++k)
                sum += static_cast<T>(entry(row_start + i, k)) * a.view(k, j);
            same = same && forward.view(i, j) == sum * scale;
        }
        for (index_t k = 0; k < m; ++k) {
            T sum = 0;
            for (index_t i = 0; i < rows; ++i)
                sum += static_cast<T>(entry(row_start + i, k)) * b.view(i, j);
            same = same && back.view(k, j) == sum * scale;
        }
    }
    return same;
}

}  // namespace

TEST(hadamard_equals_its_entries_at_odd_sizes) {
    for (const index_t m : {1, 2, 7, 31, 33, 255, 257, 700})
        for (int in = 0; in < 5; ++in) {
            const index_t d = std::min<index_t>(hadamard_order(m), 11);
            const int out = static_cast<int>(m + 2 * in) % 5;
            CHECK(equals_entries<float>(m, d, 1 + 37 * in % 83, in, out, 0));
            CHECK(equals_entries<double>(m, d, 1 + 29 * in % 83, in, out, d / 2));
        }
}

// Panels in several parts of which the last are beyond m, vectors beyond L1.
TEST(hadamard_equals_its_entries_beyond_the_caches) {
    for (const index_t m : {2049, 5000, 8191, 16385, 33000})
        for (int layout = 0; layout < 3; ++layout) {
            CHECK(equals_entries<float>(m, 9, 5, layout, 0, 2));
            CHECK(equals_entries<double>(m, 9, 19, layout, 4, 0));
        }
    CHECK(equals_entries<float>(5000, 2500, 3, 0, 0, 0));  // too large a sample for wide panels
}

namespace {

// Panels of so long a map would hold more than a member may: columns are taken one by one, in parts
// (few rows) or whole.
template <class T>
void check_long_map(index_t d) {
    const HadamardMap map{5, 3, d, 0, 300001};
    const index_t n = 3;
    std::vector<std::vector<T>> forwards, adjoints;
    for (int layout = 0; layout < 4; ++layout) {
        const auto a = held<T>(map.m, n, layout), b = held<T>(d, n, layout);
        const auto forward = held<T>(d, n, layout), back = held<T>(map.m, n, layout);
        fill(a.view);
        fill(b.view);
        const index_t gaps[] = {forward.marks() - d * n, back.marks() - map.m * n};
        apply_hadamard<T>(map, a.view, forward.view);
        apply_hadamard_adjoint<T>(map, b.view, back.view);
        CHECK(forward.marks() == gaps[0] && back.marks() == gaps[1]);
        forwards.emplace_back();
        adjoints.emplace_back();
        for (index_t j = 0; j < n; ++j) {
            for (index_t i = 0; i < d; ++i) forwards.back().push_back(forward.view(i, j));
            for (index_t i = 0; i < map.m; ++i) adjoints.back().push_back(back.view(i, j));
        }
        CHECK(forwards.back() == forwards.front());
        CHECK(adjoints.back() == adjoints.front());
    }
}

}  // namespace

TEST(long_hadamard_maps_have_the_same_bits_in_every_layout) {
    check_long_map<float>(20000);
    check_long_map<double>(20000);
    check_long_map<float>(60000);
    check_long_map<double>(60000);
}
