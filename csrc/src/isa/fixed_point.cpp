// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/fixed_point.hpp"

// g++ 12 takes the undefined operand of an intrinsic, which nothing reads, for a mistake.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#if defined(__AVX512BW__)
#include "fixed_point_pack.hpp"
#include "fixed_point_tiles.hpp"

namespace randnla::amx {

// Signed bytes on both sides.
extern const FixedPointKernels fixed_point_kernels;
const FixedPointKernels fixed_point_kernels = {
    v4::packed_bytes,
    v4::tile_bytes,
    v4::pack_quads,
    v4::pack_runs,
    {v4::row_runs, v4::column_runs, v4::tile_product<false>},
    {v4::row_quads, v4::column_quads, v4::tile_product<true>}};

}  // namespace randnla::amx
#endif

#include "fixed_point_tables.hpp"

namespace randnla::RANDNLA_ISA {

extern const FixedPointKernels fixed_point_kernels;
const FixedPointKernels fixed_point_kernels = {packed_ints * 4,
                                               packed_signs,
                                               pack_rows,
                                               pack_columns,
                                               {row_signs, column_signs, table_product},
                                               {}};

}  // namespace randnla::RANDNLA_ISA
