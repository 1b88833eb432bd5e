// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <functional>

#include "randnla/matrix_view.hpp"
#include "randnla/reductions.hpp"
#include "randnla/threads.hpp"

// A tall matrix as slabs (units of work, each with its own partial sums) of row blocks (what stays
// in the second-level cache). Cuts depend on the shape alone, so sums have the same bits for every
// number of threads.
namespace randnla {

struct SlabPlan {
    index_t rows, cols;
    index_t slabs, slab_rows, block_rows;
    index_t panel;  // columns a product is taken for at a time
};
SlabPlan plan_slabs(index_t rows, index_t cols);

// body(slab, begin, end) for every block of every slab.
using BlockBody = std::function<void(index_t slab, index_t begin, index_t end)>;
void for_each_block(const SlabPlan& plan, const BlockBody& body);

// Upper triangle of acc += A^T B for a block of rows, panel by panel.
template <class T>
void add_crossed(MatrixView<const T> a, MatrixView<const T> b, index_t panel, MatrixView<T> acc);

// The same of A^T A.
template <class T>
void add_gram(MatrixView<const T> a, index_t panel, MatrixView<T> acc);

// The same with A's products in its own type and the sums over blocks in float64.
template <class T>
void add_gram_wide(MatrixView<const T> a, index_t panel, MatrixView<double> acc);

// out = A M with M upper triangular, skipping its zero blocks.
template <class T>
void multiply_upper(MatrixView<const T> a, MatrixView<const T> m, index_t panel, MatrixView<T> out);

// sums[0] += sums[1] + ... of `count` arrays of `size`.
void sum_partials(double* sums, index_t count, index_t size);

// Y with its columns scaled by powers of two, 2^-exponents[j], as blocks of rows.
template <class T>
class ScaledColumns {
  public:
    // The factors, 2 n of them, live with the caller; null: no scaling.
    explicit ScaledColumns(MatrixView<const T> y) : y_(y) {}
    void scale_by(const int* exponents, double* factors);

    // Rows [begin, end): in place where possible, else in the row-major buffer.
    template <class U>
    MatrixView<const U> load(index_t begin, index_t end, U* buffer) const;

    index_t rows() const { return y_.rows; }
    index_t cols() const { return y_.cols; }

  private:
    MatrixView<const T> y_;
    const double* factors_ = nullptr;
};

}  // namespace randnla
