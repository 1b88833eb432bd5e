// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <limits>

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"
#include "randnla/sketch_dense.hpp"

// Products of float32 matrices in exact fixed point. A column of a block of rows becomes integers
// of 24 bits times a power of two, and each integer three balanced bytes; products of bytes are
// summed in int32 without rounding, so that bits depend on no order. The contract is in
// DevNotes.md.
namespace randnla {

namespace fixed_point {
constexpr index_t block_rows = 256;  // of one power of two a column
constexpr index_t step_rows = 64;    // of one matrix tile
constexpr int fraction_bits = 22;
// Of a column with an entry that is not finite.
constexpr std::int32_t not_finite = std::numeric_limits<std::int32_t>::min();
}  // namespace fixed_point

// What follows the lines being worked on: `runs` runs of `lines` cache lines, requested little by
// little, as the first cache has few requests open: `share` sixteenths of a line for each unit of
// work: a quad of rows packed, or an eighth of a step of a row tile.
struct FetchAhead {
    const float* data = nullptr;
    index_t stride = 0, runs = 0, lines = 0, share = 0;
    index_t line = 0, due = 0;
};
constexpr index_t fetch_units_of_step = 8;

// What packs operands and multiplies them, each in bytes of its own form, tile by tile: 16 columns
// of data or 16 rows of signs, step after step.
struct FixedPointKernels {
    // One tile or two of 16 columns of 64 * steps rows, whose columns lie side by side; exponents
    // receives log2 of the units plus fraction_bits, or not_finite. Those it holds are tried first:
    // columns of the next block are often alike, and one reading then does for both.
    using PackRows = void (*)(const float* x, index_t stride, int tiles, int steps,
                              std::int8_t* out, std::int32_t* exponents, FetchAhead& ahead);
    // At most 16 columns, of each of which the rows lie side by side; others are left open.
    using PackColumns = void (*)(const float* x, index_t stride, int columns, int steps,
                                 std::int8_t* out, std::int32_t* exponents, FetchAhead& ahead);
    // Signs of 16 rows of a map, from 2 * steps words of each.
    using RowSigns = void (*)(const std::uint32_t* words, index_t stride, int steps,
                              std::int8_t* out);
    // Of 16 columns: rows are 64 * steps, bits `shift` .. `shift` + 15 of one word of each.
    using ColumnSigns = void (*)(const std::uint32_t* words, index_t stride, int shift, int steps,
                                 std::int8_t* out);
    // sums[tile][2][16][16] += signs * data for `tiles` tiles of signs and two of data, whose
    // first `columns` columns count. up holds two powers of two a column of data, whose product is
    // the unit's weight.
    using Product = void (*)(const std::int8_t* signs, index_t tiles, const std::int8_t* data,
                             int columns, int steps, const float* up, float* sums,
                             FetchAhead& ahead);

    index_t data_bytes, sign_bytes;  // of a step of a tile
    PackRows pack_rows;
    PackColumns pack_columns;
    // sums are by rows of signs (plain), or by columns of data (across, for data that pack_columns
    // packed; without a product where plain takes them, too).
    struct Form {
        RowSigns row_signs;
        ColumnSigns column_signs;
        Product product;
    } plain, across;
};

#ifdef RANDNLA_X86_LEVELS
namespace v2 {
extern const FixedPointKernels fixed_point_kernels;
}
namespace v3 {
extern const FixedPointKernels fixed_point_kernels;
}
namespace v4 {
extern const FixedPointKernels fixed_point_kernels;
}
namespace amx {
extern const FixedPointKernels fixed_point_kernels;
}
#else
namespace baseline {
extern const FixedPointKernels fixed_point_kernels;
}
#endif
const FixedPointKernels& fixed_point_kernels();

// out = S a, or out = S^T a, of a float32 sign map, in fixed point: the same bits for every layout,
// team and instruction set. A member takes some 3 MB.
void apply_sign_map(const DenseMap& map, bool adjoint, MatrixView<const float> a,
                    MatrixView<float> out);

}  // namespace randnla
