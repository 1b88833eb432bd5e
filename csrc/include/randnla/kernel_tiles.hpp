// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

// Kernel matrices k(|x_i - y_j|) of points, made tile by tile where they are used: the m x n matrix
// is never held by a product.
namespace randnla {

// With r the Euclidean distance over the bandwidth:
//   gaussian exp(-r^2 / 2), laplace exp(-r), matern32 (1 + s) exp(-s) with s = sqrt(3) r,
//   matern52 (1 + s + s^2 / 3) exp(-s) with s = sqrt(5) r.
enum class RadialKind { gaussian, laplace, matern32, matern52 };

struct RadialKernel {
    RadialKind kind;
    double bandwidth;  // positive and finite
};

// out(i, j) = k(x_i, y_j); points are rows. An entry is a pure function of the two points, the
// kernel and the instruction set level: not of the tile, the team, the layout or the order of the
// two points. Squared distances are sums of squared differences, so they are accurate to
// (dim + 2) u however close the points are.
template <class T>
void kernel_block(const RadialKernel& kernel, MatrixView<const T> x, MatrixView<const T> y,
                  MatrixView<T> out);

// out = K v for the same K, which is made in tiles that stay in the second cache.
template <class T>
void kernel_product(const RadialKernel& kernel, MatrixView<const T> x, MatrixView<const T> y,
                    MatrixView<const T> v, MatrixView<T> out);

// Points y of a tile as the kernels read them: panels of `kernel_panel` points, each coordinate of
// a panel contiguous; the last panel is filled up.
constexpr index_t kernel_panel_bytes = 128;
template <class T>
constexpr index_t kernel_panel = kernel_panel_bytes / static_cast<index_t>(sizeof(T));

template <class T>
struct KernelTile {
    RadialKind kind;
    T rate;      // of the squared distance for gaussian, of the distance for all others
    const T* x;  // rows x dim
    const T* y;  // panels x dim x kernel_panel
    T* out;      // rows x (panels * kernel_panel), aligned to the panel
    index_t rows, panels, dim;
};

struct KernelTileKernels {
    void (*tile_f32)(const KernelTile<float>&);
    void (*tile_f64)(const KernelTile<double>&);
};
RANDNLA_DECLARE_KERNELS(KernelTileKernels, kernel_tile_kernels)

}  // namespace randnla
