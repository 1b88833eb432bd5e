// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "check.hpp"
#include "randnla/distributions.hpp"
#include "randnla/error.hpp"
#include "randnla/generator.hpp"
#include "randnla/sketch_dense.hpp"

using namespace randnla;

namespace {

bool philox_gives(std::uint32_t c0, std::uint32_t c1, std::uint32_t c2, std::uint32_t c3, Key key,
                  const std::vector<std::uint32_t>& expected) {
    std::uint32_t x[4] = {c0, c1, c2, c3};
    philox_counter(x, key);
    return std::memcmp(x, expected.data(), sizeof x) == 0;
}

std::vector<const GeneratorKernels*> available_tables() {
    std::vector<const GeneratorKernels*> tables = {&generator_kernels()};
#ifdef RANDNLA_X86_LEVELS
    tables.push_back(&v2::generator_kernels);
    if (best_isa() >= Isa::v3) tables.push_back(&v3::generator_kernels);
    if (best_isa() >= Isa::v4) tables.push_back(&v4::generator_kernels);
#endif
    return tables;
}

// Blocks whose counters sit at the ends of the 32- and 64-bit words.
const std::uint64_t hard_blocks[] = {0, 1, (std::uint64_t{1} << 28) - 1, std::uint64_t{1} << 28,
                                     (std::uint64_t{1} << 57) - 1};
const std::uint64_t hard_rows[] = {0, (std::uint64_t{1} << 32) - 1, std::uint64_t{1} << 32,
                                   ~std::uint64_t{0}};

}  // namespace

TEST(philox_known_answers) {
    constexpr std::uint32_t ones = 0xFFFFFFFFU;
    CHECK(philox_gives(0, 0, 0, 0, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    CHECK(philox_gives(ones, ones, ones, ones, {ones, ones},
                       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    CHECK(philox_gives(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, {0xa4093822, 0x299f31d0},
                       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(words_of_every_level_are_the_scalar_ones) {
    for (const GeneratorKernels* table : available_tables())
        for (const std::uint64_t row : hard_rows)
            for (const std::uint64_t block : hard_blocks) {
                std::uint32_t expected[words_per_block], got[words_per_block];
                const Key key{0x12345678, ~std::uint32_t{0}};
                philox_block(block, row, key, expected);
                table->words(key, row, words_per_block * block, words_per_block, got);
                CHECK(std::memcmp(expected, got, sizeof got) == 0);
            }
}

TEST(gaussians_of_every_level_are_the_scalar_ones) {
    for (const GeneratorKernels* table : available_tables())
        for (const std::uint64_t block : hard_blocks) {
            std::uint32_t w[words_per_block];
            float got[words_per_block], expected[words_per_block];
            double got_wide[32], expected_wide[32];
            const Key key{5, 6};
            philox_block(block, 9, key, w);
            for (int l = 0; l < lanes_per_block; ++l) {
                for (int pair = 0; pair < 64; pair += 32) {
                    const float r = gaussian_radius(w[pair + l]);
                    float c, s;
                    gaussian_angle(w[pair + 16 + l], c, s);
                    expected[pair + l] = r * c;
                    expected[pair + 16 + l] = r * s;
                }
                const double r = gaussian_radius(w[l], w[16 + l]);
                double c, s;
                gaussian_angle(w[32 + l], w[48 + l], c, s);
                expected_wide[l] = r * c;
                expected_wide[16 + l] = r * s;
            }
            table->gaussian_f32(key, 9, 64 * block, 64, 1.0F, got);
            table->gaussian_f64(key, 9, 32 * block, 32, 1.0, got_wide);
            CHECK(std::memcmp(got, expected, sizeof got) == 0);
            CHECK(std::memcmp(got_wide, expected_wide, sizeof got_wide) == 0);
        }
}

// Every cut of a run, in vectors of exact size so that a sanitizer sees one element too many.
TEST(runs_write_exactly_what_they_should) {
    for (const GeneratorKernels* table : available_tables()) {
        std::vector<float> whole(5000);
        for (auto run : {table->gaussian_f32, table->sign_f32}) {
            run({1, 2}, 3, 0, 5000, 0.5F, whole.data());
            for (const std::uint64_t start : {0, 1, 31, 32, 63, 64, 2047, 2048, 2100})
                for (const index_t count : {0, 1, 15, 31, 32, 33, 64, 65, 127, 2048, 2500}) {
                    std::vector<float> part(static_cast<std::size_t>(count));
                    run({1, 2}, 3, start, count, 0.5F, part.data());
                    CHECK(count == 0 || std::memcmp(part.data(), whole.data() + start,
                                                    part.size() * sizeof(float)) == 0);
                }
        }
    }
}

TEST(box_muller_extremes) {
    CHECK(gaussian_radius(0U) > 6.66F && gaussian_radius(0U) < 6.67F);
    CHECK(gaussian_radius(0xFFFFFFFFU) == 0.0F && !std::signbit(gaussian_radius(0xFFFFFFFFU)));
    CHECK(gaussian_radius(0U, 0U) > 8.57 && gaussian_radius(0U, 0U) < 8.58);
    CHECK(gaussian_radius(~0U, ~0U) == 0.0 && !std::signbit(gaussian_radius(~0U, ~0U)));
    float c, s;
    gaussian_angle(0U, c, s);
    CHECK(c == 1.0F && s == 0.0F && !std::signbit(s));
    gaussian_angle(0x40000000U, c, s);
    CHECK(c == 0.0F && std::signbit(c) && s == 1.0F);
    gaussian_angle(0x80000000U, c, s);
    CHECK(c == -1.0F && s == 0.0F && std::signbit(s));
    gaussian_angle(0xC0000000U, c, s);
    CHECK(c == 0.0F && !std::signbit(c) && s == -1.0F);
}

TEST(dense_map_refuses_other_kinds) {
    DenseMap map;
    map.kind = StreamKind::countsketch;
    std::vector<float> x(4);
    CHECK_THROWS(fill_dense_map<float>(map, row_major_view(x.data(), 2, 2)), Error);
}

TEST(applied_map_equals_written_map) {
    for (const StreamKind kind : {StreamKind::gaussian, StreamKind::sign})
        for (const bool adjoint : {false, true})
            for (const index_t rows : {3, 150})
                for (const index_t cols : {1, 200}) {
                    const index_t inner = 3000;
                    DenseMap map;
                    map.kind = kind;
                    map.col_start = 17;
                    const auto count = [](index_t n) { return static_cast<std::size_t>(n); };
                    std::vector<double> a(count(inner * cols)), out(count(rows * cols)),
                        s(count(rows * inner));
                    for (std::size_t i = 0; i < a.size(); ++i)
                        a[i] = static_cast<double>((i * 2654435761U) % 1001) / 1000;
                    const auto from = row_major_view<const double>(a.data(), inner, cols);
                    const auto to = row_major_view(out.data(), rows, cols);
                    auto p =
                        row_major_view(s.data(), adjoint ? inner : rows, adjoint ? rows : inner);
                    fill_dense_map<double>(map, p);
                    if (adjoint) p = p.transposed();
                    if (adjoint)
                        apply_dense_map_adjoint<double>(map, from, to);
                    else
                        apply_dense_map<double>(map, from, to);
                    double worst = 0;
                    for (index_t i = 0; i < rows; i += 7)
                        for (index_t j = 0; j < cols; j += 13) {
                            double sum = 0, size = 0;
                            for (index_t k = 0; k < inner; ++k) {
                                sum += p(i, k) * from(k, j);
                                size += std::abs(p(i, k) * from(k, j));
                            }
                            worst = std::max(worst, std::abs(sum - to(i, j)) / size);
                        }
                    // Each of the two sums errs by at most inner * u relative to the sizes.
                    CHECK(worst <= 2 * static_cast<double>(inner) * 0x1p-53);
                }
}
