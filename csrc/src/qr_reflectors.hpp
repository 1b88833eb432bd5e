// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "randnla/blas.hpp"
#include "randnla/packed_product.hpp"
#include "randnla/workspace.hpp"

// Block reflectors I - V T V^T as lapack::geqrt leaves them, applied by products.
namespace randnla {

template <class T>
MatrixView<T> col_major_view(T* data, index_t rows, index_t cols) {
    return {data, rows, cols, 1, rows};
}

// The reflectors of a panel, V = [V1; V2]: V1 square with its unit diagonal and the zeros above it
// written out, V2 where it lies in A.
template <class T>
struct Reflectors {
    MatrixView<const T> v1, v2, t;
};

template <class T>
Reflectors<T> unpack_reflectors(MatrixView<const T> panel, MatrixView<const T> t, T* memory) {
    const index_t width = panel.cols;
    const auto v1 = col_major_view(memory, width, width);
    for (index_t j = 0; j < width; ++j) {
        std::fill(&v1(0, j), &v1(0, j) + j, T(0));
        v1(j, j) = T(1);
        std::copy(&panel(0, j) + j + 1, &panel(0, j) + width, &v1(0, j) + j + 1);
    }
    return {v1, panel.block(width, panel.rows, 0, width), t};
}

// C := (I - V T V^T) C on a C whose rows below the first of V's columns are zero, whatever they
// hold, on the calling thread.
template <class T>
void reflect_top(const Reflectors<T>& by, MatrixView<T> c) {
    const index_t width = by.v1.cols;
    const Scratch<T> memory(2 * width * c.cols);
    const auto w = col_major_view(memory.data(), width, c.cols),
               tw = col_major_view(memory.data() + width * c.cols, width, c.cols);
    const auto top = c.block(0, width, 0, c.cols), below = c.block(width, c.rows, 0, c.cols);
    blas::gemm<T>(T(1), by.v1.transposed(), top, T(0), w);
    blas::gemm<T>(T(1), by.t, w, T(0), tw);
    blas::gemm<T>(T(-1), by.v1, tw, T(1), top);
    blas::gemm<T>(T(-1), by.v2, tw, T(0), below);
}

// I - V T V^T, or with T^T, packed to be applied to many columns.
template <class T>
class BlockReflector {
  public:
    // For panels of at most so many rows and columns.
    BlockReflector(index_t rows, index_t width)
        : kernel_(packed_product_kernels().of<T>()),
          across_(packed_size(width, rows, kernel_.rows)),
          along_(packed_size(rows, width, kernel_.rows)),
          turn_(packed_size(width, width, kernel_.rows)) {}

    // R above the diagonal of the panel is passed over.
    void pack(MatrixView<const T> panel, MatrixView<const T> t, bool transposed) {
        width_ = panel.cols;
        kernel_.pack(T(1), panel.transposed(), across_.data());
        kernel_.pack(T(-1), panel, along_.data());
        kernel_.pack(T(1), transposed ? t.transposed() : t, turn_.data());
        const index_t unit = kernel_.rows;
        const auto place = [unit](index_t i, index_t k, index_t inner) {
            return (i / unit * inner + k) * unit + i % unit;
        };
        for (index_t j = 0; j < width_; ++j)
            for (index_t i = 0; i <= j; ++i) {
                across_[place(j, i, panel.rows)] = i == j ? T(1) : T(0);
                along_[place(i, j, width_)] = i == j ? T(-1) : T(0);
            }
    }

    // Overwrites the column-major C, on the calling thread. Strips of it stay in the second cache
    // between the product that reads them and the one that writes them.
    void apply(MatrixView<T> c) const {
        constexpr index_t bytes = index_t{256} << 10;
        const index_t tile = kernel_.cols,
                      fits = bytes / (std::max<index_t>(1, c.rows) *
                                      static_cast<index_t>(sizeof(T)) * tile),
                      strip = std::min(c.cols, tile * std::clamp<index_t>(fits, 2, 16));
        const Scratch<T> memory(2 * width_ * strip);
        for (index_t j = 0; j < c.cols; j += strip) {
            const auto part = c.block(0, c.rows, j, std::min(c.cols, j + strip));
            const auto w = col_major_view(memory.data(), width_, part.cols),
                       tw = col_major_view(w.data + width_ * part.cols, width_, part.cols);
            std::fill(w.data, w.data + 2 * width_ * part.cols, T(0));
            kernel_.multiply(across_.data(), part, w);
            kernel_.multiply(turn_.data(), w, tw);
            kernel_.multiply(along_.data(), tw, part);
        }
    }

  private:
    const PackedProduct<T>& kernel_;
    const Scratch<T> across_, along_, turn_;  // V^T, -V and T
    index_t width_ = 0;
};

}  // namespace randnla
