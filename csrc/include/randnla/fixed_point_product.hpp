// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

// Products of two float32 matrices in exact fixed point: both become integers, as the data of sign
// maps do (fixed_point.hpp), and the products of their upper two or three bytes are summed without
// rounding. The contract is in DevNotes.md.
namespace randnla {

// The forms of a factor, step after step of 64 rows, and their product.
struct FixedPointFactors {
    index_t left_bytes, right_bytes;  // of a step of 16 columns
    // 16 columns of 64 * steps rows, as FixedPointKernels packs them, as a left factor, a right one
    // or both: null where a form is not wanted.
    void (*pack_rows)(const float* x, index_t stride, int steps, std::int8_t* left,
                      std::int8_t* right, std::int32_t* exponents);
    void (*pack_columns)(const float* x, index_t stride, int columns, int steps, std::int8_t* left,
                         std::int8_t* right, std::int32_t* exponents);
    // c[tile][16][16] += weights times the sums of left^T right, without or with all `third` bytes,
    // for tiles of the right factor that lie spacing bytes apart.
    void (*product)(const std::int8_t* left, const std::int8_t* right, index_t tiles,
                    index_t spacing, int steps, bool third, const double* left_weights,
                    const double* right_weights, double* c);
};

#ifdef RANDNLA_X86_LEVELS
namespace v2 {
extern const FixedPointFactors fixed_point_factors;
}
namespace v3 {
extern const FixedPointFactors fixed_point_factors;
}
namespace amx {
extern const FixedPointFactors fixed_point_factors;
}
#else
namespace baseline {
extern const FixedPointFactors fixed_point_factors;
}
#endif

// out = a b, from two or three slices of each: the same bits for every layout, team and instruction
// set.
void fixed_point_product(MatrixView<const float> a, MatrixView<const float> b, int slices,
                         MatrixView<float> out);
// out = a^T a, with the bits of that product.
void fixed_point_gram(MatrixView<const float> a, int slices, MatrixView<float> out);

}  // namespace randnla
