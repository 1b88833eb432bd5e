// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/fixed_point.hpp"

// g++ 12 takes the undefined operand of an intrinsic, which nothing reads, for a mistake.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "fixed_point_pack.hpp"
#if defined(__AVX512BW__)
#include "fixed_point_tiles.hpp"
#include "fixed_point_vnni.hpp"
#else
#include "fixed_point_bytes.hpp"
#endif

#if defined(__AVX512BW__)
namespace randnla::amx {

// Signed bytes on both sides.
extern const FixedPointKernels fixed_point_kernels;
const FixedPointKernels fixed_point_kernels = {
    v4::pack_quads,       v4::pack_runs,           v4::transpose_tiles,     v4::row_runs<1, -1>,
    v4::row_quads<1, -1>, v4::column_quads<1, -1>, v4::tile_product<false>, v4::tile_product<true>};

}  // namespace randnla::amx
#endif

namespace randnla::RANDNLA_ISA {

// Where only unsigned bytes times signed ones can be summed, a sign s is s + 1 or half of it.
extern const FixedPointKernels fixed_point_kernels;
const FixedPointKernels fixed_point_kernels = {pack_quads,      pack_runs,
                                               transpose_tiles, row_runs<high_sign, low_sign>,
                                               nullptr,         column_quads<high_sign, low_sign>,
                                               byte_product,    nullptr};

}  // namespace randnla::RANDNLA_ISA
