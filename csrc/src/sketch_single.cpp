// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <utility>

#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"
#include "sparse_panels.hpp"

// Sparse maps with one nonzero a column, applied to contiguous rows, in two ways. In turn: a member
// reads a stretch of A from end to end and adds to sums of its own, which the caches must hold. By
// rows: it sorts the inputs of its rows of the output, then reads them in this order, so that sums
// stay in registers and every row of the output is written once. Inputs of a row ascend.
namespace randnla {
namespace {

using u32 = std::uint32_t;

constexpr index_t table_codes = index_t{1} << 19;
constexpr index_t codes_at_a_time = 4096;
constexpr index_t entries_at_a_time = index_t{1} << 20;
constexpr index_t sums_in_turn = index_t{16} << 20;  // bytes, of all members
constexpr index_t most_stretches = 8;
constexpr index_t least_inputs = 4096;            // of a stretch
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

    void add(Team& team, const u32* codes, MatrixView<const T> a, MatrixView<T> out, Onto onto) {
        const auto [begin, end] = rows_;
        if (begin == end || cols_.begin == cols_.end) return;
        sort(codes, a.rows);
        for (index_t i = begin; i < end; i += rows_between_checkpoints) {
            team.checkpoint();
            sparse_apply_kernels<T>().sum_rows(
                {&a(0, cols_.begin), a.row_stride, inputs_.data(), starts_.data() + (i - begin),
                 &out(i, cols_.begin), out.row_stride, std::min(rows_between_checkpoints, end - i),
                 cols_.end - cols_.begin, onto});
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

// This member's rows of out += sums.
template <class T>
void add_to(Team& team, MatrixView<const T> sums, MatrixView<T> out) {
    const auto [begin, end] = team.share(out.rows);
    for (index_t i = begin; i < end; ++i) {
        const T* from = &sums(i, 0);
        T* to = &out(i, 0);
        for (index_t j = 0; j < out.cols; ++j) to[j] += from[j];
    }
}

// sums = S A for the columns from `col` on.
template <class T>
void sum_in_turn(Team& team, const SparseMap& map, index_t row_start, index_t col,
                 MatrixView<const T> a, MatrixView<T> sums) {
    const Scratch<u32> codes(codes_at_a_time);
    for (index_t i = 0; i < sums.rows; ++i) std::fill_n(&sums(i, 0), sums.cols, T(0));
    const index_t step =
        std::clamp<index_t>(entries_at_a_time / a.cols, words_per_block, codes_at_a_time);
    for (index_t k = 0; k < a.rows; k += step) {
        team.checkpoint();
        const index_t count = std::min(step, a.rows - k);
        sparse_map_codes(map, col + k, count, row_start, sums.rows, codes.data());
        sparse_apply_kernels<T>().add_in_turn(&a(k, 0), a.row_stride, a.cols, count, codes.data(),
                                              sums.data, sums.row_stride, sums.rows);
    }
}

}  // namespace

index_t stretch_of_rows(const SparseMap& map, index_t rows) {
    // Enough rows of A for each of the sums; maps beyond these have no sums of their own.
    if (map.nnz > 1 || map.rows >= panel_rows) return rows;
    const index_t parts = std::min({most_stretches, rows / least_inputs, rows / 16 / map.rows}),
                  stretches = parts >= 8   ? 8
                              : parts >= 4 ? 4
                              : parts >= 2 ? 2
                                           : 1;
    return stretches == 1 ? rows : std::min(table_codes, (rows + stretches - 1) / stretches);
}

template <class T>
int members_in_turn(const SparseMap& map, MatrixView<const T> a, MatrixView<T> out) {
    if (map.nnz > 1 || a.rows == 0 || a.col_stride != 1 || out.col_stride != 1) return 0;
    const index_t stretch = stretch_of_rows(map, a.rows), all = num_threads(),
                  members = std::min((a.rows + stretch - 1) / stretch, all),
                  bytes = out.rows * out.cols * static_cast<index_t>(sizeof(T));
    const bool others_idle = members < all && (members == 1 || row_sums_pay(map, a, out));
    return others_idle || members * bytes > sums_in_turn ? 0 : static_cast<int>(members);
}

template <class T>
void apply_in_turn(const SparseMap& map, index_t row_start, index_t col_start, T scale, int members,
                   MatrixView<const T> a, MatrixView<T> out) {
    const index_t stretch = stretch_of_rows(map, a.rows), size = out.rows * out.cols;
    const Scratch<T> sums(a.rows > stretch ? members * size : 0);
    const auto sums_of = [&](index_t member) {
        return row_major_view(sums.data() + member * size, out.rows, out.cols);
    };
    parallel_team(
        [&](Team& team) {
            const index_t together = team.size() * stretch;
            for (index_t start = 0; start < a.rows; start += together) {
                const index_t k = start + team.rank() * stretch;
                if (k < a.rows)
                    sum_in_turn(team, map, row_start, col_start + k,
                                a.block(k, std::min(a.rows, k + stretch), 0, a.cols),
                                k == 0 ? out : sums_of(team.rank()));
                team.barrier();
                for (index_t m = start == 0 ? 1 : 0; m < team.size(); ++m)
                    if (start + m * stretch < a.rows) add_to<T>(team, sums_of(m), out);
                team.barrier();
            }
            if (scale != T(1)) multiply(team, scale, out);
        },
        members);
}

template <class T>
bool row_sums_pay(const SparseMap& map, MatrixView<const T> a, MatrixView<T> out) {
    return map.nnz == 1 && a.rows > 0 && a.col_stride == 1 && out.col_stride == 1 &&
           out.cols * static_cast<index_t>(sizeof(T)) >= least_bytes && out.rows <= most_rows;
}

template <class T>
void apply_by_rows(const SparseMap& map, index_t row_start, index_t col_start, T scale,
                   MatrixView<const T> a, MatrixView<T> out) {
    const index_t stretch = stretch_of_rows(map, a.rows), step = std::min(stretch, table_codes);
    const bool whole = stretch == a.rows;
    const Scratch<u32> codes(step);
    parallel_team([&](Team& team) {
        RowSums<T> sums(team, step, out);
        for (index_t k = 0; k < a.rows; k += step) {
            const index_t end = std::min(a.rows, k + step);
            draw_together(team, map, col_start + k, end - k, row_start, out.rows, codes.data());
            sums.add(team, codes.data(), a.block(k, end, 0, a.cols), out, onto_of(k, whole));
            team.barrier();  // before the table is drawn anew
        }
        if (scale != T(1)) multiply(team, scale, out);
    });
}

#define RANDNLA_INSTANTIATE(T)                                                                   \
    template int members_in_turn(const SparseMap&, MatrixView<const T>, MatrixView<T>);          \
    template void apply_in_turn(const SparseMap&, index_t, index_t, T, int, MatrixView<const T>, \
                                MatrixView<T>);                                                  \
    template bool row_sums_pay(const SparseMap&, MatrixView<const T>, MatrixView<T>);            \
    template void apply_by_rows(const SparseMap&, index_t, index_t, T, MatrixView<const T>,      \
                                MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
