// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "randnla/fixed_point.hpp"
#include "randnla/workspace.hpp"

namespace randnla {

// Inner rows [begin, end) of a product that lie in one block; the block's own rows begin at `start`
// on the grid of the whole map, `lead` of them before `begin`. Only the steps that hold rows count:
// start and lead are those of the first.
struct Block {
    std::uint64_t start;
    index_t begin, end, lead;
    int steps;

    static Block at(std::uint64_t absolute, index_t begin, index_t rows) {
        using namespace fixed_point;
        const auto inside = static_cast<index_t>(absolute % block_rows);
        const index_t end = std::min(rows, begin + block_rows - inside);
        const index_t lead = inside % step_rows;
        return {absolute - static_cast<std::uint64_t>(lead), begin, end, lead,
                static_cast<int>((lead + end - begin + step_rows - 1) / step_rows)};
    }
};

// Whether rows of a column lie side by side, and columns of a row do not.
inline bool by_columns(MatrixView<const float> a) {
    return a.row_stride == 1 && (a.col_stride != 1 || a.cols == 1);
}

// Columns [c0, c1), at most 16, of a block as kernels take them, whole steps of rows: columns(x,
// stride, number) where the matrix is by_columns, else rows(x, stride) for 16 columns. In place
// where they are there, or with zeros around them in `copy`.
template <class Rows, class Columns>
void visit_tile(MatrixView<const float> a, bool columnwise, const Block& block, index_t c0,
                index_t c1, float* copy, const Rows& rows, const Columns& columns) {
    using namespace fixed_point;
    const index_t count = block.end - block.begin;
    const bool whole = count == block.steps * step_rows && (columnwise || c1 - c0 == 16);
    const float* x = copy;
    index_t stride = columnwise ? step_rows * block.steps : 16;
    if (whole && (columnwise || a.col_stride == 1)) {
        x = &a(block.begin, c0);
        stride = columnwise ? a.col_stride : a.row_stride;
    } else {
        const index_t row_step = columnwise ? 1 : 16, column_step = columnwise ? stride : 1;
        std::fill(copy, copy + 16 * block_rows, 0.0F);
        for (index_t k = 0; k < count; ++k)
            for (index_t c = c0; c < c1; ++c)
                copy[(block.lead + k) * row_step + (c - c0) * column_step] = a(block.begin + k, c);
    }
    if (columnwise)
        columns(x, stride, static_cast<int>(c1 - c0));
    else
        rows(x, stride);
}

// Columns [j0, j1) of a matrix, packed block by block for products, two tiles of 16 at a time.
class PackedStripe {
  public:
    PackedStripe(MatrixView<const float> a, index_t j0, index_t j1,
                 const FixedPointKernels& kernels)
        : a_(a.block(0, a.rows, j0, j1)),
          kernels_(kernels),
          columns_contiguous_(by_columns(a)),
          bytes_(2 * kernels.data_bytes * (fixed_point::block_rows / fixed_point::step_rows)),
          exponents_(16 * ((a_.cols + 15) / 16)),
          copy_(16 * fixed_point::block_rows) {
        std::fill(exponents_.data(), exponents_.data() + 16 * ((a_.cols + 15) / 16), 0);
    }

    const std::int8_t* data() const { return bytes_.data(); }

    // The lines of rows [k0, k1), shared out over products of a block with `tiles` row tiles.
    FetchAhead ahead(index_t k0, index_t k1, index_t tiles, int steps) const {
        FetchAhead next;
        if (k0 >= k1 || (!columns_contiguous_ && a_.col_stride != 1)) return next;
        next.data = &a_(k0, 0);
        next.stride = columns_contiguous_ ? a_.col_stride : a_.row_stride;
        next.runs = columns_contiguous_ ? a_.cols : k1 - k0;
        next.lines = ((columns_contiguous_ ? k1 - k0 : a_.cols) + 15) / 16;
        const index_t pairs = (a_.cols + 31) / 32,
                      units = pairs * steps * (32 + fetch_units_of_step * tiles);
        next.share = (16 * next.runs * next.lines + units - 1) / units;
        return next;
    }

    // Columns p .. p + 31, as far as there are, and the weights of their units times 2^exponent.
    void pack(const Block& block, index_t p, int exponent, float* up, FetchAhead& ahead) const {
        std::int32_t* const exponents = exponents_.data() + p;
        const index_t columns = std::min<index_t>(32, a_.cols - p);
        if (columns == 32 && in_place(block)) {
            kernels_.pack_rows(&a_(block.begin, p), a_.row_stride, 2, block.steps, bytes_.data(),
                               exponents, ahead);
        } else {
            for (index_t c = 0; c < columns; c += 16)
                pack_tile(block, p + c, std::min(a_.cols, p + c + 16),
                          bytes_.data() + c / 16 * block.steps * kernels_.data_bytes, exponents + c,
                          ahead);
        }
        for (index_t c = 0; c < columns; ++c) weigh(exponents[c], exponent, up[c], up[32 + c]);
    }

  private:
    // Whole tiles of rows are packed where they are.
    bool in_place(const Block& block) const {
        return !columns_contiguous_ && a_.col_stride == 1 &&
               block.end - block.begin == block.steps * fixed_point::step_rows;
    }

    void pack_tile(const Block& block, index_t c0, index_t c1, std::int8_t* out,
                   std::int32_t* exponents, FetchAhead& ahead) const {
        visit_tile(
            a_, columns_contiguous_, block, c0, c1, copy_.data(),
            [&](const float* x, index_t stride) {
                kernels_.pack_rows(x, stride, 1, block.steps, out, exponents, ahead);
            },
            [&](const float* x, index_t stride, int columns) {
                kernels_.pack_columns(x, stride, columns, block.steps, out, exponents, ahead);
            });
    }

    // 2^(e + exponent - 22) in two factors, the first of which rounds no integer.
    static void weigh(std::int32_t e, int exponent, float& first, float& second) {
        second = 1;
        first = std::numeric_limits<float>::quiet_NaN();
        if (e == fixed_point::not_finite) return;
        const int whole = e + exponent - fixed_point::fraction_bits;
        const int most = std::clamp(whole, -100, 127);
        first = power_of_two(most);
        second = power_of_two(std::clamp(whole - most, -126, 127));
    }

    static float power_of_two(int e) {
        const std::int32_t bits = (e + 127) << 23;
        float x;
        std::memcpy(&x, &bits, sizeof x);
        return x;
    }

    MatrixView<const float> a_;
    const FixedPointKernels& kernels_;
    bool columns_contiguous_;
    Scratch<std::int8_t> bytes_;
    Scratch<std::int32_t> exponents_;
    Scratch<float> copy_;
};

}  // namespace randnla
