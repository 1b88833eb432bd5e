// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sketch_dense.hpp"

#include <algorithm>

#include "dense_panels.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// A task of the fill: a few rows by a run of columns, small enough that a transposing copy of it
// stays in the first caches and that a checkpoint follows within a millisecond.
constexpr index_t tile_rows = 16, tile_cols = 4096;

template <class T>
void fill_tile(const PanelGenerator<T>& generator, index_t i0, index_t j0, MatrixView<T> out) {
    if (out.col_stride == 1) {
        for (index_t i = 0; i < out.rows; ++i) generator.row(i0 + i, j0, out.cols, &out(i, 0));
        return;
    }
    constexpr index_t strip = 256;
    const Scratch<T> buffer(tile_rows * strip);
    for (index_t j = 0; j < out.cols; j += strip) {
        const index_t width = std::min(strip, out.cols - j);
        for (index_t i = 0; i < out.rows; ++i)
            generator.row(i0 + i, j0 + j, width, buffer.data() + i * strip);
        for (index_t c = 0; c < width; ++c)
            for (index_t i = 0; i < out.rows; ++i) out(i, j + c) = buffer[i * strip + c];
    }
}

}  // namespace

template <class T>
void fill_dense_map(const DenseMap& map, MatrixView<T> out) {
    const PanelGenerator<T> generator(map);
    if (out.empty()) return;
    const index_t row_tiles = (out.rows + tile_rows - 1) / tile_rows,
                  col_tiles = (out.cols + tile_cols - 1) / tile_cols;
    parallel_for(row_tiles * col_tiles, 1, [&](index_t begin, index_t end) {
        for (index_t t = begin; t < end; ++t) {
            const index_t i = t / col_tiles * tile_rows, j = t % col_tiles * tile_cols;
            fill_tile(generator, i, j,
                      out.block(i, std::min(out.rows, i + tile_rows), j,
                                std::min(out.cols, j + tile_cols)));
        }
    });
}

template void fill_dense_map<float>(const DenseMap&, MatrixView<float>);
template void fill_dense_map<double>(const DenseMap&, MatrixView<double>);

}  // namespace randnla
