// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"
#include "sparse_panels.hpp"

// Sparse maps with one nonzero a column, applied to contiguous rows by a team: a member adds its
// columns of all rows into sums of its own. So every line of A is read by one core, and none is
// written by two.
namespace randnla {
namespace {

using u32 = std::uint32_t;

constexpr index_t table_codes = index_t{1} << 19;
constexpr index_t most_sums_bytes = index_t{16} << 20;
constexpr index_t least_columns_bytes = 2 * panel_bytes;  // a member's share of a row
constexpr index_t rows_between_checkpoints = 4096;

template <class T>
class ColumnSums {
  public:
    ColumnSums(Team& team, MatrixView<T> out)
        : range_(team.share(out.cols, line<T>)),
          stride_((range_.end - range_.begin + line<T> - 1) / line<T> * line<T>),
          rows_(out.rows),
          // One row more, for the nonzeros outside of the block.
          sums_((rows_ + 1) * stride_) {
        std::fill(sums_.data(), sums_.data() + (rows_ + 1) * stride_, T(0));
    }

    void add(Team& team, const u32* codes, MatrixView<const T> a) {
        const auto [begin, end] = range_;
        if (begin == end) return;
        for (index_t k = 0; k < a.rows; k += rows_between_checkpoints) {
            team.checkpoint();
            sparse_apply_kernels<T>().add_rows(&a(k, begin), a.row_stride, end - begin,
                                               std::min(rows_between_checkpoints, a.rows - k),
                                               nullptr, codes + k, sums_.data(), stride_);
        }
    }

    void store(T scale, MatrixView<T> out) const {
        const auto [begin, end] = range_;
        for (index_t i = 0; i < rows_; ++i) {
            const T* from = sums_.data() + i * stride_;
            for (index_t j = begin; j < end; ++j) out(i, j) = from[j - begin] * scale;
        }
    }

  private:
    Team::Range range_;
    index_t stride_, rows_;
    Scratch<T> sums_;
};

}  // namespace

template <class T>
bool column_sums_pay(const SparseMap& map, MatrixView<const T> a, MatrixView<T> out) {
    constexpr auto size = static_cast<index_t>(sizeof(T));
    const index_t members = num_threads();
    return map.nnz == 1 && members > 1 && a.rows > 0 && a.col_stride == 1 &&
           out.cols * size >= members * least_columns_bytes &&
           out.rows < most_sums_bytes / size / (out.cols + members * line<T>);
}

template <class T>
void apply_by_columns(const SparseMap& map, index_t row_start, index_t col_start, T scale,
                      MatrixView<const T> a, MatrixView<T> out) {
    const index_t step = std::min(a.rows, table_codes);
    const Scratch<u32> codes(step);
    parallel_team([&](Team& team) {
        ColumnSums<T> sums(team, out);
        for (index_t k = 0; k < a.rows; k += step) {
            const index_t end = std::min(a.rows, k + step);
            draw_together(team, map, col_start + k, end - k, row_start, out.rows, codes.data());
            sums.add(team, codes.data(), a.block(k, end, 0, a.cols));
            team.barrier();  // before the table is drawn anew
        }
        sums.store(scale, out);
    });
}

#define RANDNLA_INSTANTIATE(T)                                                                 \
    template bool column_sums_pay(const SparseMap&, MatrixView<const T>, MatrixView<T>);       \
    template void apply_by_columns(const SparseMap&, index_t, index_t, T, MatrixView<const T>, \
                                   MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
