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
#include "fixed_point_vnni.hpp"

namespace randnla::amx {

// Signed bytes on both sides.
extern const FixedPointKernels fixed_point_kernels;
const FixedPointKernels fixed_point_kernels = {
    v4::packed_bytes,
    v4::tile_bytes,
    v4::pack_quads,
    v4::pack_runs,
    {v4::row_runs<1, -1>, v4::column_runs<1, -1>, v4::tile_product<false>},
    {v4::row_quads<1, -1>, v4::column_quads<1, -1>, v4::tile_product<true>}};

}  // namespace randnla::amx

namespace randnla::v4 {

// Unsigned bytes times signed ones: a sign s is s + 1.
extern const FixedPointKernels fixed_point_kernels;
const FixedPointKernels fixed_point_kernels = {packed_bytes,
                                               tile_bytes,
                                               pack_quads,
                                               pack_columns_as_quads,
                                               {row_runs<2, 0>, column_runs<2, 0>, byte_product},
                                               {}};

}  // namespace randnla::v4
#else
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
#endif
