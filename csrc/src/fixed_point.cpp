// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/fixed_point.hpp"

#include <algorithm>
#include <cmath>

#include "fixed_point_blocks.hpp"
#include "randnla/error.hpp"
#include "randnla/generator.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

// out = P a with P = S or S^T, in rectangles of out that a member computes alone, one block of the
// inner dimension after the other: the signs of the rectangle's rows for a block stay in the second
// cache, as its sums do, and 32 columns of a at a time are packed into the first.
namespace randnla {

const FixedPointKernels& fixed_point_kernels() {
#ifdef RANDNLA_X86_LEVELS
    const Isa isa = active_isa();
    if (isa == Isa::amx) return amx::fixed_point_kernels;
    if (isa == Isa::v4) return v4::fixed_point_kernels;
    return isa >= Isa::v3 ? v3::fixed_point_kernels : v2::fixed_point_kernels;
#else
    return baseline::fixed_point_kernels;
#endif
}

namespace {

using namespace fixed_point;

constexpr index_t words_of_block = words_per_block;     // a row's words of one block of numbers
constexpr index_t block_columns = 32 * words_of_block;  // 2048
constexpr index_t most_rows = 1024;                     // of out, in a rectangle
// Of sums, which are to stay in the second cache.
constexpr index_t rectangle_floats = index_t{1} << 18;
constexpr index_t most_columns = 512;

index_t round_up(index_t x, index_t unit) {
    return (x + unit - 1) / unit * unit;
}

// out = factor times the tile, whose rows are 16 long.
void write_tile(const float* tile, float factor, MatrixView<float> out) {
    if (out.col_stride == 1 && out.cols == 16) {
        for (index_t i = 0; i < out.rows; ++i, tile += 16) {
            float* const row = &out(i, 0);
            for (int j = 0; j < 16; ++j) row[j] = factor * tile[j];
        }
        return;
    }
    for (index_t i = 0; i < out.rows; ++i)
        for (index_t j = 0; j < out.cols; ++j) out(i, j) = factor * tile[16 * i + j];
}

class SignProduct {
  public:
    SignProduct(const DenseMap& map, bool adjoint, MatrixView<const float> a, MatrixView<float> out)
        : map_(map),
          key_(stream_key(map.seed, map.stream, map.kind, 32)),
          adjoint_(adjoint),
          a_(a),
          out_(out),
          kernels_(fixed_point_kernels()),
          across_(kernels_.across.product != nullptr && by_columns(a)),
          form_(across_ ? kernels_.across : kernels_.plain),
          inner_start_(adjoint ? map.row_start : map.col_start),
          outer_start_(adjoint ? map.col_start : map.row_start) {
        const auto scale = static_cast<float>(map.scale);
        if (scale != 0 && std::isfinite(scale)) exponent_ = std::ilogb(scale);
        last_factor_ = std::scalbn(scale, -exponent_);
    }

    void run(int size) {
        const index_t units = (out_.cols + 31) / 32;
        index_t height = most_rows;
        if (units < size)
            while (height > 64 && height / 2 * size >= out_.rows * units) height /= 2;
        // Cuts lie at multiples of the height in the columns of the whole map: at words, and within
        // a block of numbers.
        const index_t span =
            adjoint_ ? static_cast<index_t>(outer_start_ % static_cast<std::uint64_t>(height)) : 0;
        const index_t bands = (out_.rows + span + height - 1) / height;
        const index_t floats_a_column = std::min(height, round_up(out_.rows, 16));
        const index_t width_limit =
            std::clamp(rectangle_floats / floats_a_column / 32, index_t{1}, most_columns / 32);
        index_t stripes = (units + width_limit - 1) / width_limit;
        if (units >= size) stripes = std::min(units, round_up(stripes, size));
        parallel_team(
            [&](Team& team) {
                for (index_t t = team.rank(); t < bands * stripes; t += team.size()) {
                    const index_t band = t / stripes, stripe = t % stripes;
                    const index_t i0 = std::max<index_t>(0, band * height - span),
                                  i1 = std::min(out_.rows, (band + 1) * height - span);
                    const index_t j0 = units * stripe / stripes * 32,
                                  j1 = std::min(out_.cols, units * (stripe + 1) / stripes * 32);
                    rectangle(team, i0, i1, j0, j1);
                }
            },
            size);
    }

  private:
    // Signs of one rectangle.
    struct Signs {
        index_t first, rows, tiles;  // of out; tiles of 16 from `first` - offset
        index_t offset;
        std::uint32_t* words;
        std::int8_t* bytes;
    };

    void rectangle(Team& team, index_t i0, index_t i1, index_t j0, index_t j1) const {
        const index_t offset =
            adjoint_ ? static_cast<index_t>((outer_start_ + static_cast<std::uint64_t>(i0)) % 32)
                     : 0;
        const index_t tiles = (i1 - i0 + offset + 15) / 16, pairs = (j1 - j0 + 31) / 32;
        const Scratch<float> sums(pairs * tiles * 512);
        const Scratch<std::int8_t> bytes(tiles * (block_rows / step_rows) * kernels_.sign_bytes);
        const index_t word_rows = adjoint_ ? block_rows : 16 * tiles;
        const Scratch<std::uint32_t> words(word_rows * words_of_block);
        const PackedStripe stripe(a_, j0, j1, kernels_);
        std::fill(sums.data(), sums.data() + pairs * tiles * 512, 0.0F);
        std::fill(words.data(), words.data() + word_rows * words_of_block, 0U);
        const Signs signs{i0, i1 - i0, tiles, offset, words.data(), bytes.data()};
        for (index_t k = 0; k < a_.rows;) {
            const Block block = Block::at(inner_start_ + static_cast<std::uint64_t>(k), k, a_.rows);
            make_signs(signs, block, k == 0);
            FetchAhead ahead = stripe.ahead(block.end, std::min(a_.rows, block.end + block_rows),
                                            tiles, block.steps);
            for (index_t p = 0; p < pairs; ++p) {
                team.checkpoint();
                alignas(64) float up[64] = {};
                std::fill(up + 32, up + 64, 1.0F);
                stripe.pack(block, 32 * p, exponent_, up, ahead);
                const auto columns = static_cast<int>(std::min<index_t>(32, j1 - j0 - 32 * p));
                form_.product(signs.bytes, tiles, stripe.data(), columns, block.steps, up,
                              sums.data() + p * tiles * 512, ahead);
            }
            k = block.end;
        }
        write(signs, sums.data(), j0, j1);
    }

    // The signs of a block, as the product takes them.
    void make_signs(const Signs& signs, const Block& block, bool first) const {
        const auto words = generator_kernels().words;
        if (adjoint_) {
            const std::uint64_t column =
                outer_start_ + static_cast<std::uint64_t>(signs.first - signs.offset);
            const std::uint64_t number = column / block_columns;
            const index_t skip = static_cast<index_t>(column % block_columns) / 32;
            for (index_t r = block.lead; r < block.lead + block.end - block.begin; ++r)
                words(key_, block.start + static_cast<std::uint64_t>(r), number * words_of_block,
                      words_of_block, signs.words + r * words_of_block);
            for (index_t t = 0; t < signs.tiles; ++t)
                form_.column_signs(signs.words + skip + t / 2, words_of_block,
                                   static_cast<int>(t % 2 * 16), block.steps,
                                   signs.bytes + t * block.steps * kernels_.sign_bytes);
            return;
        }
        const std::uint64_t number = block.start / block_columns;
        const index_t skip = static_cast<index_t>(block.start % block_columns) / 32;
        if (skip < block_rows / 32 || first)
            for (index_t r = 0; r < signs.rows; ++r)
                words(key_, outer_start_ + static_cast<std::uint64_t>(signs.first + r),
                      number * words_of_block, words_of_block, signs.words + r * words_of_block);
        for (index_t t = 0; t < signs.tiles; ++t)
            form_.row_signs(signs.words + 16 * t * words_of_block + skip, words_of_block,
                            block.steps, signs.bytes + t * block.steps * kernels_.sign_bytes);
    }

    // Tiles of the same rows one after the other: runs of out that are as long as can be.
    void write(const Signs& signs, const float* sums, index_t j0, index_t j1) const {
        for (index_t t = 0; t < signs.tiles; ++t) {
            const index_t top = signs.first - signs.offset + 16 * t;
            const index_t r0 = std::max<index_t>(0, signs.first - top),
                          r1 = std::min<index_t>(16, signs.first + signs.rows - top);
            for (index_t c0 = j0; c0 < j1; c0 += 16) {
                const index_t index = (c0 - j0) / 16, c1 = std::min(j1, c0 + 16);
                const float* const tile =
                    sums + (index / 2 * signs.tiles + t) * 512 + index % 2 * 256;
                const auto target = out_.block(top + r0, top + r1, c0, c1);
                if (across_)
                    write_tile(tile + r0, last_factor_, target.transposed());
                else
                    write_tile(tile + 16 * r0, last_factor_, target);
            }
        }
    }

    DenseMap map_;
    Key key_;
    bool adjoint_;
    MatrixView<const float> a_;
    MatrixView<float> out_;
    const FixedPointKernels& kernels_;
    bool across_;
    const FixedPointKernels::Form& form_;
    std::uint64_t inner_start_, outer_start_;
    int exponent_ = 0;
    float last_factor_ = 0;
};

}  // namespace

void apply_sign_map(const DenseMap& map, bool adjoint, MatrixView<const float> a,
                    MatrixView<float> out) {
    require(a.cols == out.cols, "sign map: A and out must have as many columns");
    require(map.kind == StreamKind::sign, "only sign maps are applied in fixed point");
    if (out.empty()) return;
    // A product of a few microseconds is not worth a team.
    const bool tiny = a.rows <= 8192 / out.rows;
    SignProduct(map, adjoint, a, out).run(tiny ? 1 : num_threads());
}

}  // namespace randnla
