// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <utility>

#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"
#include "sparse_panels.hpp"

// Sparse maps with one nonzero a column, applied to contiguous rows. A member sorts the inputs of
// its rows of the output, then reads them in this order: sums stay in registers, every row of A is
// read once, by one core, and every row of the output written once. Inputs of a row ascend.
namespace randnla {
namespace {

using u32 = std::uint32_t;

constexpr index_t table_codes = index_t{1} << 19;
constexpr index_t most_rows = index_t{1} << 20;   // 4 MB of starts
constexpr index_t least_bytes = 4 * panel_bytes;  // of a row: shorter runs waste parts of lines
constexpr index_t least_rows = 32;                // of a member; fewer would be shared unevenly
constexpr index_t rows_between_checkpoints = 16;

template <class T>
class RowSums {
  public:
    RowSums(Team& team, index_t inputs, MatrixView<T> out)
        : rows_{0, out.rows},
          cols_{0, out.cols},
          starts_(out.rows + 1),
          own_(inputs + 1),
          inputs_(inputs + sum_rows_ahead) {
        if (out.rows >= least_rows * team.size()) {
            rows_ = team.share(out.rows);
            return;
        }
        // Whole lines, and the rest to the last of them.
        const index_t lines = out.cols / line<T>;
        const auto [begin, end] = team.share(lines);
        cols_ = {begin * line<T>, begin < end && end == lines ? out.cols : end * line<T>};
    }

    void add(Team& team, const u32* codes, MatrixView<const T> a, MatrixView<T> out, bool first) {
        const auto [begin, end] = rows_;
        if (begin == end || cols_.begin == cols_.end) return;
        sort(codes, a.rows);
        for (index_t i = begin; i < end; i += rows_between_checkpoints) {
            team.checkpoint();
            sparse_apply_kernels<T>().sum_rows(
                {&a(0, cols_.begin), a.row_stride, inputs_.data(), starts_.data() + (i - begin),
                 &out(i, cols_.begin), out.row_stride, std::min(rows_between_checkpoints, end - i),
                 cols_.end - cols_.begin, !first});
        }
    }

  private:
    // Inputs by row. Those of the member's rows are set apart first: a step of the count takes
    // several times a step of that pass.
    void sort(const u32* codes, index_t count) {
        const auto low = static_cast<u32>(rows_.begin),
                   height = static_cast<u32>(rows_.end - rows_.begin);
        index_t own = 0;
        for (index_t k = 0; k < count; ++k) {
            own_[own] = static_cast<u32>(k);
            own += static_cast<index_t>((codes[k] >> 1) - low < height);
        }
        u32* ends = starts_.data() + 1;
        std::fill(starts_.data(), starts_.data() + height + 1, 0U);
        for (index_t n = 0; n < own; ++n) ++ends[(codes[own_[n]] >> 1) - low];
        u32 sum = 0;
        for (u32 i = 0; i < height; ++i) sum += std::exchange(ends[i], sum);
        for (index_t n = 0; n < own; ++n) {
            const u32 k = own_[n], code = codes[k];
            inputs_[ends[(code >> 1) - low]++] = k << 1 | (code & 1U);
        }
        std::fill(inputs_.data() + own, inputs_.data() + own + sum_rows_ahead, 0U);
    }

    Team::Range rows_, cols_;
    Scratch<u32> starts_, own_, inputs_;
};

}  // namespace

template <class T>
bool row_sums_pay(const SparseMap& map, MatrixView<const T> a, MatrixView<T> out) {
    return map.nnz == 1 && a.rows > 0 && a.col_stride == 1 && out.col_stride == 1 &&
           out.cols * static_cast<index_t>(sizeof(T)) >= least_bytes && out.rows <= most_rows;
}

template <class T>
void apply_by_rows(const SparseMap& map, index_t row_start, index_t col_start, T scale,
                   MatrixView<const T> a, MatrixView<T> out) {
    const index_t step = std::min(a.rows, table_codes);
    const Scratch<u32> codes(step);
    parallel_team([&](Team& team) {
        RowSums<T> sums(team, step, out);
        for (index_t k = 0; k < a.rows; k += step) {
            const index_t end = std::min(a.rows, k + step);
            draw_together(team, map, col_start + k, end - k, row_start, out.rows, codes.data());
            sums.add(team, codes.data(), a.block(k, end, 0, a.cols), out, k == 0);
            team.barrier();  // before the table is drawn anew
        }
        if (scale != T(1)) multiply(team, scale, out);
    });
}

#define RANDNLA_INSTANTIATE(T)                                                              \
    template bool row_sums_pay(const SparseMap&, MatrixView<const T>, MatrixView<T>);       \
    template void apply_by_rows(const SparseMap&, index_t, index_t, T, MatrixView<const T>, \
                                MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
