// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/kernel_tiles.hpp"

#include "kernel_lanes.hpp"

namespace randnla::RANDNLA_ISA {
namespace {

// k of a vector of squared distances. An infinite distance gives zero, not Inf * 0.
template <class T, RadialKind kind>
inline typename Lanes<T>::Vector radial(typename Lanes<T>::Vector squared, T rate) {
    using V = typename Lanes<T>::Vector;
    if constexpr (kind == RadialKind::gaussian) return exp_negative<T>(squared * -rate);
    const V far = V{} + T(1000);
    V s = root(squared) * rate;
    s = s > far ? far : s;
    const V decay = exp_negative<T>(-s);
    if constexpr (kind == RadialKind::laplace) return decay;
    if constexpr (kind == RadialKind::matern32) return multiply_add(s, decay, decay);
    return multiply_add(s * s * T(1.0 / 3.0) + s, decay, decay);
}

// `rows` points x against the panels: the sums stay in registers, both factors are read in place.
template <class T, RadialKind kind, int rows>
void strip(const KernelTile<T>& tile, const T* x, T* out) {
    using L = Lanes<T>;
    using V = typename L::Vector;
    constexpr index_t width = kernel_panel<T>;
    // Two vectors a row where the registers hold them: 128 bytes are two of AVX-512.
    constexpr int vectors = 2, pieces = static_cast<int>(width) / (vectors * L::count);
    const index_t dim = tile.dim, ld = tile.panels * width;
    for (index_t panel = 0; panel < tile.panels; ++panel)
        for (int piece = 0; piece < pieces; ++piece) {
            const index_t first = piece * vectors * L::count;
            const T* y = tile.y + panel * dim * width + first;
            V sums[rows][vectors] = {};
            for (index_t p = 0; p < dim; ++p, y += width) {
                const V* const points = reinterpret_cast<const V*>(y);
#pragma GCC unroll 8
                for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
                    for (int v = 0; v < vectors; ++v) {
                        const V difference = points[v] - x[i * dim + p];
                        sums[i][v] = multiply_add(difference, difference, sums[i][v]);
                    }
            }
            V* target = reinterpret_cast<V*>(out + panel * width + first);
            for (int i = 0; i < rows; ++i, target += ld / L::count)
                for (int v = 0; v < vectors; ++v)
                    target[v] = radial<T, kind>(sums[i][v], tile.rate);
        }
}

template <class T, RadialKind kind>
void fill(const KernelTile<T>& tile) {
    const index_t ld = tile.panels * kernel_panel<T>;
    index_t i = 0;
    for (; i + 4 <= tile.rows; i += 4)
        strip<T, kind, 4>(tile, tile.x + i * tile.dim, tile.out + i * ld);
    for (; i < tile.rows; ++i) strip<T, kind, 1>(tile, tile.x + i * tile.dim, tile.out + i * ld);
}

template <class T>
void fill_tile(const KernelTile<T>& tile) {
    switch (tile.kind) {
        case RadialKind::gaussian:
            return fill<T, RadialKind::gaussian>(tile);
        case RadialKind::laplace:
            return fill<T, RadialKind::laplace>(tile);
        case RadialKind::matern32:
            return fill<T, RadialKind::matern32>(tile);
        default:
            return fill<T, RadialKind::matern52>(tile);
    }
}

}  // namespace

extern const KernelTileKernels kernel_tile_kernels;
const KernelTileKernels kernel_tile_kernels = {fill_tile<float>, fill_tile<double>};

}  // namespace randnla::RANDNLA_ISA
