// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"
#include "randnla/philox.hpp"

namespace randnla {

// Entries start .. start + count - 1 of one row of a stream, each multiplied by `scale` (one
// rounding after the entry's own). Runs may begin and end inside a block.
struct GeneratorKernels {
    void (*words)(Key key, std::uint64_t row, std::uint64_t start, index_t count,
                  std::uint32_t* out);
    void (*gaussian_f32)(Key key, std::uint64_t row, std::uint64_t start, index_t count,
                         float scale, float* out);
    void (*gaussian_f64)(Key key, std::uint64_t row, std::uint64_t start, index_t count,
                         double scale, double* out);
    void (*sign_f32)(Key key, std::uint64_t row, std::uint64_t start, index_t count, float scale,
                     float* out);
    void (*sign_f64)(Key key, std::uint64_t row, std::uint64_t start, index_t count, double scale,
                     double* out);
};
RANDNLA_DECLARE_KERNELS(GeneratorKernels, generator_kernels)

}  // namespace randnla
