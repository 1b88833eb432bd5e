// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

// Many small symmetric matrices of one order that are averaged from outer products and applied at
// every step. They lie side by side: `block_lanes` of them are a group, in which element (i, j),
// j <= i, of all is the vector i (i + 1) / 2 + j. The layout is that of every instruction set.
// Lanes of the last group that no matrix has are zero in averages.
namespace randnla {

constexpr index_t block_lanes = 16;

struct MiniBlockKernels {
    // a := keep a + weight x x^T for a group, x of n vectors.
    void (*average_f32)(float* a, int n, const float* x, float keep, float weight);
    void (*average_f64)(double* a, int n, const double* x, double keep, double weight);
    // y := a x for a group.
    void (*apply_f32)(const float* a, int n, const float* x, float* y);
    void (*apply_f64)(const double* a, int n, const double* x, double* y);
};
RANDNLA_DECLARE_KERNELS(MiniBlockKernels, mini_block_kernels)

// Groups (each n (n + 1) / 2 vectors long, one behind the other) of `count` matrices.
template <class T>
struct MiniBlocks {
    T* data;
    index_t count, order;

    index_t groups() const { return (count + block_lanes - 1) / block_lanes; }
    index_t stride() const { return order * (order + 1) / 2 * block_lanes; }
};

// A_i := keep A_i + weight (scale x_i) (scale x_i)^T for the rows x_i of x.
template <class T>
void mini_blocks_average(MiniBlocks<T> a, MatrixView<const T> x, double scale, double keep,
                         double weight);

// m := keep m + weight g and y_i := scale A_i m_i, row by row. Says whether all of y is finite.
template <class T>
bool mini_blocks_direct(MiniBlocks<const T> a, MatrixView<const T> g, MatrixView<T> m, double keep,
                        double weight, double scale, MatrixView<T> y);

// y_i := A_i x_i.
template <class T>
void mini_blocks_apply(MiniBlocks<const T> a, MatrixView<const T> x, MatrixView<T> y);

// Inverses of scale A_i + shift I, computed in Work (T or double). Returns how many matrices are
// not positive definite, or have an inverse beyond the range of T: those are left undefined.
template <class T, class Work>
index_t mini_blocks_invert(MiniBlocks<const T> a, double scale, double shift,
                           MiniBlocks<T> inverse);

}  // namespace randnla
