// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/fixed_point_product.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "fixed_point_blocks.hpp"
#include "randnla/error.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

// out = left^T right, one square of out after the other: a block of 256 rows of both factors is
// packed by the team and multiplied by it, tile by tile of 16 by 16 sums in float64.
namespace randnla {
namespace {

using namespace fixed_point;

constexpr index_t square = 1024;  // columns of either factor at a time: 15 MB
constexpr index_t tile = 16;
constexpr index_t longest_run = 8;  // of tiles that a member multiplies at a time

const FixedPointFactors& factors() {
#ifdef RANDNLA_X86_LEVELS
    const Isa isa = active_isa();
    if (isa == Isa::amx) return amx::fixed_point_factors;
    return isa >= Isa::v3 ? v3::fixed_point_factors : v2::fixed_point_factors;
#else
    return baseline::fixed_point_factors;
#endif
}

index_t tiles_of(index_t columns) {
    return (columns + tile - 1) / tile;
}

// Columns of a factor, packed twice over: a block is packed while the one before it is read.
struct Packed {
    Packed(MatrixView<const float> a, index_t step_bytes)
        : view(a),
          columnwise(by_columns(a)),
          tile_bytes(step_bytes * (block_rows / step_rows)),
          bytes(2 * tiles_of(a.cols) * tile_bytes),
          weights(2 * tiles_of(a.cols) * tile),
          exponents(tiles_of(a.cols) * tile) {
        std::fill(exponents.data(), exponents.data() + tiles_of(a.cols) * tile, 0);
    }

    std::int8_t* tile_at(index_t turn, index_t t) const {
        return bytes.data() + (turn * tiles_of(view.cols) + t) * tile_bytes;
    }
    double* weights_at(index_t turn, index_t t) const {
        return weights.data() + (turn * tiles_of(view.cols) + t) * tile;
    }

    MatrixView<const float> view;
    bool columnwise;
    index_t tile_bytes;
    Scratch<std::int8_t> bytes;
    Scratch<double> weights;
    Scratch<std::int32_t> exponents;  // of the block packed last: the next one's are tried first
};

class Square {
  public:
    // Symmetric: left and right are the same columns, and tiles below the diagonal are not
    // computed.
    Square(MatrixView<const float> left, MatrixView<const float> right, bool symmetric, bool third,
           MatrixView<float> out)
        : kernels_(factors()),
          left_(left, kernels_.left_bytes),
          right_(right, kernels_.right_bytes),
          symmetric_(symmetric),
          third_(third),
          out_(out),
          sums_(tiles_of(left.cols) * tiles_of(right.cols) * tile * tile) {}

    void run() {
        parallel_team([&](Team& team) {
            const index_t rows = left_.view.rows;
            each_run(team, [&](index_t, index_t, index_t tiles, double* sums) {
                std::fill(sums, sums + tiles * tile * tile, 0.0);
            });
            const Scratch<float> copy(tile * block_rows);
            index_t turn = 0;
            for (index_t k = 0; k < rows; turn = 1 - turn) {
                const Block block = Block::at(static_cast<std::uint64_t>(k), k, rows);
                pack(team, block, turn, copy.data());
                team.barrier();
                multiply(team, block.steps, turn);
                k = block.end;
            }
            write(team);
        });
    }

  private:
    static double weight(std::int32_t e) {
        // The exponent of the unit, and half that of the bytes of the products that count.
        return e == not_finite ? std::numeric_limits<double>::quiet_NaN()
                               : std::ldexp(1.0, e - fraction_bits + 8);
    }

    void pack(Team& team, const Block& block, index_t turn, float* copy) const {
        const index_t lefts = tiles_of(left_.view.cols), rights = tiles_of(right_.view.cols);
        for (index_t t = team.rank(); t < lefts; t += team.size())
            pack_tile(left_, block, t, copy, left_.tile_at(turn, t),
                      symmetric_ ? right_.tile_at(turn, t) : nullptr, left_.weights_at(turn, t));
        for (index_t t = team.rank(); t < rights && !symmetric_; t += team.size())
            pack_tile(right_, block, t, copy, nullptr, right_.tile_at(turn, t),
                      right_.weights_at(turn, t));
    }

    void pack_tile(const Packed& factor, const Block& block, index_t t, float* copy,
                   std::int8_t* left, std::int8_t* right, double* weights) const {
        std::int32_t* const exponents = factor.exponents.data() + tile * t;
        visit_tile(
            factor.view, factor.columnwise, block, tile * t,
            std::min(factor.view.cols, tile * (t + 1)), copy,
            [&](const float* x, index_t stride) {
                kernels_.pack_rows(x, stride, block.steps, left, right, exponents);
            },
            [&](const float* x, index_t stride, int columns) {
                kernels_.pack_columns(x, stride, columns, block.steps, left, right, exponents);
            });
        for (index_t c = 0; c < tile; ++c) weights[c] = weight(exponents[c]);
    }

    // The runs of tiles of out that a member computes alone: of one row, those not below the
    // diagonal.
    template <class Visit>
    void each_run(const Team& team, const Visit& visit) const {
        const index_t lefts = tiles_of(left_.view.cols), rights = tiles_of(right_.view.cols);
        const index_t run = std::clamp(lefts * rights / (8 * team.size()), index_t{1}, longest_run);
        index_t count = 0;
        for (index_t i = 0; i < lefts; ++i)
            for (index_t j = symmetric_ ? i : 0; j < rights; j += run)
                if (count++ % team.size() == team.rank())
                    visit(i, j, std::min(run, rights - j),
                          sums_.data() + (i * rights + j) * tile * tile);
    }

    void multiply(Team& team, int steps, index_t turn) const {
        const Packed& weights = symmetric_ ? left_ : right_;
        index_t count = 0;
        each_run(team, [&](index_t i, index_t j, index_t tiles, double* sums) {
            if (count++ % 8 == 0) team.checkpoint();
            kernels_.product(left_.tile_at(turn, i), right_.tile_at(turn, j), tiles,
                             right_.tile_bytes, steps, third_, left_.weights_at(turn, i),
                             weights.weights_at(turn, j), sums);
        });
    }

    void write(const Team& team) const {
        each_run(team, [&](index_t row, index_t column, index_t tiles, const double* sums) {
            const index_t i0 = tile * row;
            for (index_t j0 = tile * column; tiles > 0; --tiles, j0 += tile, sums += tile * tile)
                for (index_t i = i0; i < std::min(out_.rows, i0 + tile); ++i)
                    for (index_t j = j0; j < std::min(out_.cols, j0 + tile); ++j) {
                        const auto sum = static_cast<float>(sums[tile * (i - i0) + j - j0]);
                        out_(i, j) = sum;
                        if (symmetric_ && j0 > i0) out_(j, i) = sum;
                    }
        });
    }

    const FixedPointFactors& kernels_;
    Packed left_, right_;
    bool symmetric_, third_;
    MatrixView<float> out_;
    Scratch<double> sums_;
};

void multiply_factors(MatrixView<const float> left, MatrixView<const float> right, bool symmetric,
                      int slices, MatrixView<float> out) {
    if (slices != 2 && slices != 3)
        throw Error(ErrorKind::input, "slices: expected 2 or 3, got " + std::to_string(slices));
    for (index_t i = 0; i < out.rows; i += square)
        for (index_t j = symmetric ? i : 0; j < out.cols; j += square) {
            const index_t i1 = std::min(out.rows, i + square), j1 = std::min(out.cols, j + square);
            const auto target = out.block(i, i1, j, j1);
            Square(left.block(0, left.rows, i, i1), right.block(0, right.rows, j, j1),
                   symmetric && i == j, slices == 3, target)
                .run();
            if (symmetric && i != j)
                for (index_t r = i; r < i1; ++r)
                    for (index_t c = j; c < j1; ++c) out(c, r) = out(r, c);
        }
}

}  // namespace

void fixed_point_product(MatrixView<const float> a, MatrixView<const float> b, int slices,
                         MatrixView<float> out) {
    require(a.cols == b.rows, "product: A must have as many columns as B has rows");
    require(out.rows == a.rows && out.cols == b.cols, "product: out must have the shape of A B");
    multiply_factors(a.transposed(), b, false, slices, out);
}

void fixed_point_gram(MatrixView<const float> a, int slices, MatrixView<float> out) {
    require(out.rows == a.cols && out.cols == a.cols, "Gram: out must have the shape of A^T A");
    multiply_factors(a, a, true, slices, out);
}

}  // namespace randnla
