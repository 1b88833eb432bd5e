// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "qr_blocks.hpp"

namespace randnla {

// The preconditioner of an ill-conditioned Y: R of Householder's QR of a sparse sign sketch of Y,
// so that Y R^{-1} has a condition of about 3. Columns that depend on those before them (dead) are
// given random values instead.
struct SketchedTriangle {
    static constexpr int nonzeros = 4, oversampling = 4;
    MatrixView<double> r;  // row-major, upper, positive diagonal
    bool* dead;            // per column
    index_t dead_count = 0;
};

// False where Y is too short for a sketch, or no independent columns were found.
template <class T>
bool sketch_triangle(const ScaledColumns<T>& y, const SlabPlan& plan, std::uint64_t seed,
                     SketchedTriangle& triangle);

// Rows [begin, end) of Y with random values in the dead columns, row-major in the buffer.
template <class T>
MatrixView<double> load_revived(const ScaledColumns<T>& y, index_t begin, index_t end,
                                std::uint64_t seed, const SketchedTriangle& triangle,
                                double* buffer);

}  // namespace randnla
