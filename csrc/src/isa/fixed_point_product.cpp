// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/fixed_point_product.hpp"

#if defined(__AVX512BW__)
// g++ 12 takes the undefined operand of an intrinsic, which nothing reads, for a mistake.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include "fixed_point_tile_factors.hpp"

namespace randnla::amx {

extern const FixedPointFactors fixed_point_factors;
const FixedPointFactors fixed_point_factors = {v4::packed_bytes, v4::packed_bytes,
                                               v4::pack_factor_rows, v4::pack_factor_columns,
                                               v4::tile_factors};

}  // namespace randnla::amx
#else
#include "fixed_point_pairs.hpp"

namespace randnla::RANDNLA_ISA {

extern const FixedPointFactors fixed_point_factors;
const FixedPointFactors fixed_point_factors = {4 * pair_ints, 4 * pair_ints, pack_factor_rows,
                                               pack_factor_columns, pair_product};

}  // namespace randnla::RANDNLA_ISA
#endif
