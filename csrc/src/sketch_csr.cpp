// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sketch_csr.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

#include "dense_panels.hpp"
#include "randnla/sketch_sparse.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// Rows of the map taken together: two cache lines of float, so that the sums of some thousand
// columns stay in L2.
template <class T>
constexpr index_t line = 64 / static_cast<index_t>(sizeof(T));
template <class T>
constexpr index_t strip = 2 * line<T>;
// Columns of out with sums at a time (8 MB of them), and columns of the map generated at a time.
constexpr index_t sum_columns = index_t{1} << 16;
constexpr index_t map_columns = 2048;
// Columns of a run of the generator, and its distance from that of the next row: off by a line, so
// that a column of runs is spread over the sets of L1.
constexpr index_t run_columns = 256;
template <class T>
constexpr index_t run_length = run_columns + line<T>;
constexpr index_t table_codes = index_t{1} << 19;

template <class I, class T>
bool sorted_rows(const CsrView<I, T>& a) {
    std::atomic<bool> sorted{true};
    parallel_for(a.rows, 4096, [&](index_t begin, index_t end) {
        bool good = true;
        for (index_t i = begin; i < end; ++i)
            for (I k = a.indptr[i]; k + 1 < a.indptr[i + 1]; ++k)
                good = good && a.indices[k] <= a.indices[k + 1];
        if (!good) sorted = false;
    });
    return sorted;
}

// Walks the entries of each row whose column lies in [first, last), for ascending such ranges. With
// sorted rows it goes on from where the last range ended; otherwise it reads the row again.
template <class I, class T>
class RowWalk {
  public:
    RowWalk(const CsrView<I, T>& a, index_t begin, index_t end, bool sorted)
        : a_(a), begin_(begin), end_(end), sorted_(sorted), next_(end - begin) {
        for (index_t i = begin; i < end; ++i) next_[i - begin] = a.indptr[i];
    }
    template <class Use>
    void operator()(index_t i, index_t first, index_t last, const Use& use) {
        const I end = a_.indptr[i + 1];
        I k = next_[i - begin_];
        for (; k < end; ++k) {
            const auto column = static_cast<index_t>(a_.indices[k]);
            if (column >= first && column < last)
                use(column, a_.data[k]);
            else if (sorted_)
                break;
        }
        if (sorted_) next_[i - begin_] = k;
    }
    // The same entries of a sorted row, as one run.
    struct Run {
        I begin, end;
    };
    Run run(index_t i, index_t last) {
        if (const index_t later = i + fetch_ahead; later < end_) {
            const I at = next_[later - begin_];
            __builtin_prefetch(a_.indices + at);
            __builtin_prefetch(a_.data + at);
        }
        const I begin = next_[i - begin_], stop = a_.indptr[i + 1];
        I k = begin;
        while (k < stop && static_cast<index_t>(a_.indices[k]) < last) ++k;
        next_[i - begin_] = k;
        return {begin, k};
    }

  private:
    // Runs are short and each lies elsewhere.
    static constexpr index_t fetch_ahead = 8;
    const CsrView<I, T>& a_;
    index_t begin_, end_;
    bool sorted_;
    Scratch<I> next_;
};

// columns[j - first][r] = S(r0 + r, j) for r < rows, the strip padded with zeros. `run` holds strip
// rows of run_length entries.
template <class T>
void generate_strip(const PanelGenerator<T>& generator, index_t r0, index_t rows, index_t first,
                    index_t count, T* run, T* columns) {
    for (index_t j = 0; j < count; j += run_columns) {
        const index_t some = std::min(run_columns, count - j);
        for (index_t r = 0; r < rows; ++r)
            generator.row(r0 + r, first + j, some, run + r * run_length<T>);
        sparse_apply_kernels<T>().pack_cols(run, run_length<T>, some, rows, columns + j * strip<T>,
                                            2, 0);
    }
}

// One tile of out: `strip` rows of the map from r0 on, columns [n0, n1). sums[n - n0][r].
template <class I, class T>
void dense_tile(Team& team, const PanelGenerator<T>& generator, CsrAxis axis,
                const CsrView<I, T>& a, bool sorted, index_t r0, index_t n0, MatrixView<T> out) {
    const index_t columns = axis == CsrAxis::rows ? a.rows : a.cols;
    const Scratch<T> sums(out.cols * strip<T>), run(strip<T> * run_length<T>),
        s(std::min(columns, map_columns) * strip<T>);
    std::fill(sums.data(), sums.data() + out.cols * strip<T>, T(0));
    RowWalk<I, T> walk(a, axis == CsrAxis::columns ? n0 : 0,
                       axis == CsrAxis::columns ? n0 + out.cols : 0, sorted);
    const auto& kernels = csr_kernels<I, T>();
    for (index_t c = 0; c < columns;) {
        const index_t end =
            std::min({columns, c + map_columns, c + generator.to_boundary(c, map_columns)});
        team.checkpoint();
        generate_strip(generator, r0, out.rows, c, end - c, run.data(), s.data());
        team.checkpoint();
        if (axis == CsrAxis::rows) {
            for (index_t i = c; i < end; ++i) {
                const auto k = static_cast<index_t>(a.indptr[i]);
                kernels.scatter_row(a.indices + k, a.data + k,
                                    static_cast<index_t>(a.indptr[i + 1]) - k,
                                    s.data() + (i - c) * strip<T>, strip<T>, n0, n0 + out.cols,
                                    sums.data(), strip<T>);
            }
        } else if (sorted) {
            for (index_t n = 0; n < out.cols; ++n) {
                const auto part = walk.run(n0 + n, end);
                if (part.begin == part.end) continue;
                kernels.gather_strip(a.indices + part.begin, a.data + part.begin,
                                     static_cast<index_t>(part.end - part.begin), c, s.data(),
                                     sums.data() + n * strip<T>);
            }
        } else {
            for (index_t n = 0; n < out.cols; ++n) {
                T* __restrict to = sums.data() + n * strip<T>;
                walk(n0 + n, c, end, [&](index_t column, T value) {
                    const T* __restrict from = s.data() + (column - c) * strip<T>;
                    for (index_t r = 0; r < strip<T>; ++r) to[r] += value * from[r];
                });
            }
        }
        c = end;
    }
    for (index_t r = 0; r < out.rows; ++r)
        for (index_t n = 0; n < out.cols; ++n) out(r, n) = sums[n * strip<T> + r];
}

// out(r, :) += sign * row i of A for the nonzeros (r, i) of the map with r in [r0, r1).
template <class I, class T>
void scatter_rows(const CsrView<I, T>& a, const std::uint32_t* codes, index_t nnz, index_t begin,
                  index_t end, index_t r0, index_t r1, MatrixView<T> out) {
    for (index_t i = begin; i < end; ++i)
        for (index_t z = 0; z < nnz; ++z) {
            const std::uint32_t code = codes[(i - begin) * nnz + z];
            const index_t r = code >> 1;
            if (r < r0 || r >= r1) continue;
            const T sign = (code & 1U) != 0 ? T(-1) : T(1);
            for (I k = a.indptr[i]; k < a.indptr[i + 1]; ++k)
                out(r, static_cast<index_t>(a.indices[k])) += sign * a.data[k];
        }
}

template <class T>
void assign_zero(MatrixView<T> out) {
    for (index_t i = 0; i < out.rows; ++i)
        for (index_t j = 0; j < out.cols; ++j) out(i, j) = T(0);
}

template <class T>
void multiply(T scale, MatrixView<T> out) {
    if (scale == T(1)) return;
    for (index_t i = 0; i < out.rows; ++i)
        for (index_t j = 0; j < out.cols; ++j) out(i, j) *= scale;
}

}  // namespace

template <class I, class T>
void csr_sketch_dense(const DenseMap& map, CsrAxis axis, CsrView<I, T> a, MatrixView<T> out) {
    require(out.cols == (axis == CsrAxis::rows ? a.cols : a.rows),
            "csr_sketch: out must have a column for each kept index of the matrix");
    if (out.empty()) return;
    const PanelGenerator<T> generator(map);
    const bool sorted = axis == CsrAxis::rows || sorted_rows(a);
    const index_t strips = (out.rows + strip<T> - 1) / strip<T>,
                  blocks = (out.cols + sum_columns - 1) / sum_columns;
    parallel_team([&](Team& team) {
        for (index_t tile = team.rank(); tile < strips * blocks; tile += team.size()) {
            const index_t r0 = tile % strips * strip<T>, n0 = tile / strips * sum_columns;
            const auto part = out.block(r0, std::min(out.rows, r0 + strip<T>), n0,
                                        std::min(out.cols, n0 + sum_columns));
            dense_tile<I, T>(team, generator, axis, a, sorted, r0, n0, part);
        }
    });
}

template <class I, class T>
void csr_sketch_sparse(const SparseMap& map, CsrAxis axis, index_t row_start, index_t col_start,
                       T scale, CsrView<I, T> a, MatrixView<T> out) {
    const bool by_rows = axis == CsrAxis::rows;
    const index_t columns = by_rows ? a.rows : a.cols;
    require(out.cols == (by_rows ? a.cols : a.rows),
            "csr_sketch: out must have a column for each kept index of the matrix");
    check_sparse_block(map, row_start, out.rows, col_start, columns);
    if (out.empty()) return;
    const bool sorted = by_rows || sorted_rows(a);
    const index_t step =
        std::max<index_t>(1, table_codes / map.nnz / words_per_block) * words_per_block;
    const Scratch<std::uint32_t> codes(std::min(step, columns) * map.nnz);
    constexpr index_t check = 1024;
    parallel_team([&](Team& team) {
        // A member owns rows of out for the first axis, columns for the second.
        const auto [begin, end] = team.share(by_rows ? out.rows : out.cols, 16);
        const auto mine =
            by_rows ? out.block(begin, end, 0, out.cols) : out.block(0, out.rows, begin, end);
        assign_zero(mine);
        RowWalk<I, T> walk(a, by_rows ? 0 : begin, by_rows ? 0 : end, sorted);
        for (index_t c = 0; c < columns; c += step) {
            const index_t count = std::min(step, columns - c);
            const auto [d0, d1] = team.share(count, words_per_block);
            sparse_map_codes(map, col_start + c + d0, d1 - d0, row_start, out.rows,
                             codes.data() + d0 * map.nnz);
            team.barrier();
            for (index_t i = by_rows ? c : begin; i < (by_rows ? c + count : end); i += check) {
                team.checkpoint();
                const index_t stop = std::min(i + check, by_rows ? c + count : end);
                if (by_rows) {
                    scatter_rows<I, T>(a, codes.data() + (i - c) * map.nnz, map.nnz, i, stop, begin,
                                       end, out);
                    continue;
                }
                for (index_t n = i; n < stop; ++n)
                    walk(n, c, c + count, [&](index_t column, T value) {
                        for (index_t z = 0; z < map.nnz; ++z) {
                            const std::uint32_t code = codes[(column - c) * map.nnz + z];
                            const index_t r = code >> 1;
                            if (r < out.rows) out(r, n) += (code & 1U) != 0 ? -value : value;
                        }
                    });
            }
            team.barrier();
        }
        multiply(scale, mine);
    });
}

#define RANDNLA_INSTANTIATE(I, T)                                                                  \
    template void csr_sketch_dense(const DenseMap&, CsrAxis, CsrView<I, T>, MatrixView<T>);        \
    template void csr_sketch_sparse(const SparseMap&, CsrAxis, index_t, index_t, T, CsrView<I, T>, \
                                    MatrixView<T>);
RANDNLA_INSTANTIATE(std::int32_t, float)
RANDNLA_INSTANTIATE(std::int32_t, double)
RANDNLA_INSTANTIATE(std::int64_t, float)
RANDNLA_INSTANTIATE(std::int64_t, double)

}  // namespace randnla
