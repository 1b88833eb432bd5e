// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sketch_sparse.hpp"

#include <algorithm>
#include <limits>

#include "randnla/error.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"
#include "sparse_panels.hpp"

namespace randnla {
namespace {

using u32 = std::uint32_t;

// Positions below this need 31 random bits, others 63 (DevNotes).
constexpr index_t narrow_rows = index_t{1} << 16;

template <class Code, class Use>
void for_each_block(const SparseMap& map, index_t first, index_t count, const Use& use) {
    const index_t size = map.lanes * map.nnz;
    const Scratch<Code> scratch(size), codes(size);
    for (index_t block = first / map.lanes; block * map.lanes < first + count; ++block) {
        const auto b = static_cast<std::uint64_t>(block);
        if constexpr (sizeof(Code) == 4)
            sparse_map_kernels().sample(map.key, map.rows, map.nnz, map.lanes, b, scratch.data(),
                                        codes.data());
        else
            sparse_map_kernels().sample_wide(map.key, map.rows, map.nnz, map.lanes, b,
                                             scratch.data(), codes.data());
        const index_t begin = std::max(first, block * map.lanes),
                      end = std::min(first + count, (block + 1) * map.lanes);
        use(codes.data() + (begin - block * map.lanes) * map.nnz, (begin - first) * map.nnz,
            (end - begin) * map.nnz);
    }
}

// use(codes, where, how many), codes of 32 or 64 bits.
template <class Use>
void for_each_codes(const SparseMap& map, index_t first, index_t count, const Use& use) {
    if (map.rows <= narrow_rows)
        for_each_block<u32>(map, first, count, use);
    else
        for_each_block<std::uint64_t>(map, first, count, use);
}

// Block arithmetic below runs one block beyond the last column.
void check_columns(index_t first, index_t count) {
    constexpr index_t most = std::numeric_limits<index_t>::max() - words_per_block;
    require(first >= 0 && count <= most && first <= most - count,
            "col_start: expected columns from 0 to below 2^63 - 64");
}

SparseMap make_map(std::uint64_t seed, std::uint64_t stream, StreamKind kind, index_t d,
                   index_t nnz, std::uint32_t element_bits, index_t lanes) {
    require(d >= 1, "d: expected at least 1 row");
    require(nnz >= 1 && nnz <= d, "nnz: expected between 1 and d nonzeros a column");
    return {stream_key(seed, stream, kind, element_bits), d, nnz, lanes};
}

}  // namespace

SparseMap sparse_sign_map(std::uint64_t seed, std::uint64_t stream, index_t d, index_t nnz,
                          std::uint32_t element_bits) {
    return make_map(seed, stream, StreamKind::sparse_sign, d, nnz, element_bits, lanes_per_block);
}

SparseMap countsketch_map(std::uint64_t seed, std::uint64_t stream, index_t d,
                          std::uint32_t element_bits) {
    return make_map(seed, stream, StreamKind::countsketch, d, 1, element_bits, words_per_block);
}

void check_sparse_block(const SparseMap& map, index_t row_start, index_t rows, index_t col_start,
                        index_t columns) {
    require(row_start >= 0 && rows <= map.rows && row_start <= map.rows - rows,
            "row_start: the block reaches beyond the rows of the map");
    check_columns(col_start, columns);
    if (rows >= index_t{1} << 31)
        throw Error(ErrorKind::capacity, "sparse maps are applied in blocks below 2^31 rows");
}

void sparse_map_columns(const SparseMap& map, index_t first, index_t count, std::int64_t* positions,
                        std::int8_t* signs) {
    check_columns(first, count);
    parallel_for((count + words_per_block - 1) / words_per_block, 64, [&](index_t b0, index_t b1) {
        const index_t begin = b0 * words_per_block, end = std::min(count, b1 * words_per_block);
        for_each_codes(map, first + begin, end - begin,
                       [&](const auto* codes, index_t where, index_t n) {
                           std::int64_t* p = positions + begin * map.nnz + where;
                           std::int8_t* s = signs + begin * map.nnz + where;
                           for (index_t k = 0; k < n; ++k) {
                               p[k] = static_cast<std::int64_t>(codes[k] >> 1);
                               s[k] = static_cast<std::int8_t>((codes[k] & 1U) != 0 ? -1 : 1);
                           }
                       });
    });
}

void sparse_map_codes(const SparseMap& map, index_t first, index_t count, index_t row_start,
                      index_t rows, u32* out) {
    const bool whole = row_start == 0 && rows == map.rows;
    for_each_codes(map, first, count, [&](const auto* codes, index_t where, index_t n) {
        for (index_t k = 0; k < n; ++k) {
            if (whole) {
                out[where + k] = static_cast<u32>(codes[k]);
                continue;
            }
            const index_t row = static_cast<index_t>(codes[k] >> 1) - row_start;
            const auto local = static_cast<u32>(row >= 0 && row < rows ? row : rows);
            out[where + k] = local << 1 | static_cast<u32>(codes[k] & 1U);
        }
    });
}

namespace {

// Tuning: the sums of a super-panel stay in L2 beside the tile; a chunk's tile, offsets and signs
// in L1. Codes are drawn for as many columns as give a table of 2 MB, once for the whole team.
constexpr index_t sums_bytes = index_t{512} << 10;
// One addition a line of A: reading A in long runs gains more than sums in L2 (measured 1.8 times).
constexpr index_t sums_bytes_of_countsketch = index_t{2200} << 10;
constexpr index_t max_panels = 8;
constexpr index_t chunk_rows = 256;
constexpr index_t table_codes = index_t{1} << 19;
// Rows of A, their additions to the output, and columns of a copy that are done between
// checkpoints.
constexpr index_t direct_rows = 4096;
constexpr index_t direct_entries = index_t{1} << 20;
constexpr index_t direct_columns = 256;

index_t table_columns(const SparseMap& map, index_t columns) {
    const index_t most = std::max<index_t>(1, table_codes / map.nnz / words_per_block);
    return std::min(columns, most * words_per_block);
}

index_t panels_together(index_t nnz, index_t rows) {
    const index_t bytes = nnz == 1 ? sums_bytes_of_countsketch : sums_bytes;
    return std::clamp<index_t>(bytes / ((rows + 1) * panel_bytes), 1, max_panels);
}

// What a member reads next, one cache line an input row, while it works on the present chunk.
template <class T>
struct Fetch {
    const char* start = nullptr;
    index_t lines = 1, stride = 0;
};
template <class T>
Fetch<T> fetch_of_panel(MatrixView<const T> next, index_t panel, index_t panels) {
    constexpr auto size = static_cast<index_t>(sizeof(T));
    if (next.rows < chunk_rows) return {};
    if (next.col_stride == 1 && next.cols > 1)
        return {reinterpret_cast<const char*>(&next(next.rows * panel / panels, 0)), panels,
                next.row_stride * size};
    if (next.row_stride == 1 && (panel + 1) * line<T> <= next.cols)
        return {reinterpret_cast<const char*>(&next(0, panel * line<T>)), next.rows / line<T>,
                next.col_stride * size};
    return {};
}

// One super-panel: sums += S A for the columns of `codes`.
template <class T>
class PanelScatter {
  public:
    PanelScatter(index_t nnz, index_t rows, index_t panels)
        : nnz_(nnz),
          rows_(rows),
          sums_(panels * (rows + 1) * line<T>),
          tile_(panels * chunk_rows * line<T>),
          signs_(chunk_rows * nnz),
          offsets_(chunk_rows * nnz) {}

    void run(Team& team, const u32* codes, MatrixView<const T> a, MatrixView<T> out, Onto onto,
             T scale) {
        const index_t panels = (a.cols + line<T> - 1) / line<T>, height = rows_ + 1;
        if (onto == Onto::begin)
            pack<T>(out, sums());
        else
            std::fill(sums_.data(), sums_.data() + panels * height * line<T>, T(0));
        for (index_t k = 0; k < a.rows; k += chunk_rows) {
            team.checkpoint();
            const index_t end = std::min(a.rows, k + chunk_rows),
                          next_end = std::min(a.rows, end + chunk_rows);
            chunk(codes + k * nnz_, a.block(k, end, 0, a.cols), a.block(end, next_end, 0, a.cols));
        }
        unpack<T>(sums(), scale, out, onto == Onto::add);
    }

  private:
    Panels<T> sums() const { return {sums_.data(), 1, (rows_ + 1) * line<T>}; }

    void chunk(const u32* codes, MatrixView<const T> a, MatrixView<const T> next) {
        const auto& kernels = sparse_apply_kernels<T>();
        const index_t panels = (a.cols + line<T> - 1) / line<T>;
        kernels.expand(codes, a.rows * nnz_, offsets_.data(), signs_.data());
        pack<T>(a, {tile_.data(), 1, a.rows * line<T>});
        for (index_t p = 0; p < panels; ++p) {
            const auto fetch = fetch_of_panel(next, p, panels);
            kernels.scatter(tile_.data() + p * a.rows * line<T>, a.rows, nnz_, offsets_.data(),
                            signs_.data(), sums_.data() + p * (rows_ + 1) * line<T>, fetch.start,
                            fetch.lines, fetch.stride);
        }
    }

    index_t nnz_, rows_;
    Scratch<T> sums_, tile_, signs_;
    Scratch<u32> offsets_;
};

// This member's columns of out, super-panel by super-panel.
template <class T>
void scatter_panels(Team& team, const SparseMap& map, const u32* codes, Onto onto, T scale,
                    MatrixView<const T> a, MatrixView<T> out) {
    const auto [j0, j1] = team.share(out.cols, line<T>);
    if (j0 == j1) return;
    const index_t lines = (j1 - j0 + line<T> - 1) / line<T>,
                  most = panels_together(map.nnz, out.rows), groups = (lines + most - 1) / most;
    PanelScatter<T> scatter(map.nnz, out.rows, std::min(lines, most));
    for (index_t g = 0; g < groups; ++g) {
        const index_t begin = j0 + lines * g / groups * line<T>,
                      end = std::min(j1, j0 + lines * (g + 1) / groups * line<T>);
        scatter.run(team, codes, a.block(0, a.rows, begin, end), out.block(0, out.rows, begin, end),
                    onto, scale);
    }
}

// The nonzeros that fall into rows [first, last) of the output, their inputs counted from 0.
index_t select_rows(const u32* codes, index_t rows, index_t nnz, index_t first, index_t last,
                    u32* inputs, u32* selected) {
    const auto low = static_cast<u32>(first), height = static_cast<u32>(last - first);
    index_t n = 0;
    for (index_t i = 0; i < rows; ++i)
        for (index_t z = 0; z < nnz; ++z) {
            const u32 code = codes[i * nnz + z], row = (code >> 1) - low;
            inputs[n] = static_cast<u32>(i);
            selected[n] = row << 1 | (code & 1U);
            n += row < height ? 1 : 0;
        }
    return n;
}

// The same without sums of our own. Where a row of A has one nonzero, or the output is narrow, a
// member adds into its rows of out: every row of A is read once. Else into its columns.
template <class T>
void scatter_to_output(Team& team, const SparseMap& map, const u32* codes, MatrixView<const T> a,
                       MatrixView<T> out) {
    const bool by_rows = map.nnz == 1 || out.cols < line<T> * team.size(),
               in_place = a.col_stride == 1 && out.col_stride == 1;
    const auto [j0, j1] = by_rows ? Team::Range{0, out.cols} : team.share(out.cols, line<T>);
    const auto [r0, r1] = by_rows ? team.share(out.rows, line<T>) : Team::Range{0, out.rows};
    if (j0 == j1 || r0 == r1) return;
    const bool runs = out.col_stride == 1 && out.cols > 1;
    const index_t width = in_place ? j1 - j0
                          : runs   ? std::min(direct_columns, j1 - j0)
                                   : 1,
                  step = std::clamp<index_t>(direct_entries / std::max(map.nnz, width), 1,
                                             direct_rows);
    const Scratch<T> tile(in_place ? 0 : step * width);
    const Scratch<u32> inputs(step * map.nnz + 1), selected(step * map.nnz + 1);
    const auto& kernels = sparse_apply_kernels<T>();
    for (index_t k = 0; k < a.rows; k += step) {
        team.checkpoint();
        const index_t end = std::min(a.rows, k + step),
                      n = select_rows(codes + k * map.nnz, end - k, map.nnz, r0, r1, inputs.data(),
                                      selected.data());
        for (index_t j = j0; j < j1; j += width) {
            const index_t cols = std::min(width, j1 - j);
            if (!in_place)
                for (index_t i = k; i < end; ++i)
                    for (index_t c = 0; c < cols; ++c) tile[(i - k) * width + c] = a(i, j + c);
            kernels.add_rows(in_place ? &a(k, j) : tile.data(), in_place ? a.row_stride : width,
                             cols, n, inputs.data(), selected.data(), &out(r0, j), out.row_stride);
        }
    }
}

}  // namespace

template <class T>
void apply_sparse_map(const SparseMap& map, index_t row_start, index_t col_start, T scale,
                      MatrixView<const T> a, MatrixView<T> out) {
    require(a.cols == out.cols, "apply_sparse_map: A and out must have as many columns");
    check_sparse_block(map, row_start, out.rows, col_start, a.rows);
    if (out.empty()) return;
    if (a.rows > 0 && sorting_pays(map, out.rows, out.cols / line<T>, a.col_stride == 1))
        return apply_sorted(map, row_start, col_start, scale, a, out);
    if (const int members = members_in_turn(map, a, out); members > 0)
        return apply_in_turn(map, row_start, col_start, scale, members, a, out);
    if (row_sums_pay(map, a, out)) return apply_by_rows(map, row_start, col_start, scale, a, out);
    const index_t stretch = stretch_of_rows(map, a.rows),
                  step = table_columns(map, std::max<index_t>(1, stretch));
    const bool whole = stretch == a.rows,
               direct = out.rows >= panel_rows ||
                        (whole && map.nnz == 1 && a.col_stride == 1 && out.col_stride == 1);
    const Scratch<u32> codes(step * map.nnz);
    parallel_team([&](Team& team) {
        if (direct || a.rows == 0) multiply(team, T(0), out);
        for (index_t k = 0; k < a.rows; k += step) {
            const index_t end = std::min(a.rows, k + step);
            const auto rows = a.block(k, end, 0, a.cols);
            draw_together(team, map, col_start + k, end - k, row_start, out.rows, codes.data());
            if (direct)
                scatter_to_output<T>(team, map, codes.data(), rows, out);
            else
                scatter_panels<T>(team, map, codes.data(), onto_of(k, whole),
                                  end == a.rows ? scale : T(1), rows, out);
            team.barrier();
        }
        if (direct && scale != T(1)) multiply(team, scale, out);
    });
}

namespace {

// Rows [begin, end) of out = scale S^T A from the panels of A, packed once with a row of zeros for
// the positions outside the block.
template <class T>
void gather_panels(Team& team, const SparseMap& map, const u32* codes, T scale,
                   MatrixView<const T> a, MatrixView<T> out) {
    const auto [begin, end] = team.share(out.rows);
    if (begin == end) return;
    const index_t height = a.rows + 1, together = panels_together(map.nnz, a.rows);
    const Scratch<T> panels(together * height * line<T>), tile(chunk_rows * line<T>),
        signs(chunk_rows * map.nnz);
    const Scratch<u32> offsets(chunk_rows * map.nnz);
    const auto& kernels = sparse_apply_kernels<T>();
    for (index_t j = 0; j < out.cols; j += together * line<T>) {
        const index_t j_end = std::min(out.cols, j + together * line<T>);
        for (index_t c = j; c < j_end; c += line<T>) {
            T* panel = panels.data() + (c - j) * height;
            pack<T>(a.block(0, a.rows, c, std::min(j_end, c + line<T>)), {panel, 1, 0});
            std::fill(panel + a.rows * line<T>, panel + height * line<T>, T(0));
        }
        for (index_t k = begin; k < end; k += chunk_rows) {
            team.checkpoint();
            const index_t rows = std::min(chunk_rows, end - k);
            kernels.expand(codes + k * map.nnz, rows * map.nnz, offsets.data(), signs.data());
            for (index_t c = j; c < j_end; c += line<T>) {
                kernels.gather(panels.data() + (c - j) * height, rows, map.nnz, offsets.data(),
                               signs.data(), scale, tile.data());
                unpack<T>({tile.data(), 1, 0}, T(1),
                          out.block(k, k + rows, c, std::min(j_end, c + line<T>)));
            }
        }
    }
}

template <class T>
void gather_from_input(Team& team, const SparseMap& map, const u32* codes, T scale,
                       MatrixView<const T> a, MatrixView<T> out) {
    const auto [begin, end] = team.share(out.rows);
    for (index_t i = begin; i < end; ++i) {
        if ((i - begin) % chunk_rows == 0) team.checkpoint();
        for (index_t j = 0; j < out.cols; ++j) {
            T sum = 0;
            for (index_t z = 0; z < map.nnz; ++z) {
                const u32 code = codes[i * map.nnz + z];
                const index_t row = code >> 1;
                if (row < a.rows) sum += (code & 1U) != 0 ? -a(row, j) : a(row, j);
            }
            out(i, j) = sum * scale;
        }
    }
}

}  // namespace

template <class T>
void apply_sparse_map_adjoint(const SparseMap& map, index_t row_start, index_t col_start, T scale,
                              MatrixView<const T> a, MatrixView<T> out) {
    require(a.cols == out.cols, "apply_sparse_map: A and out must have as many columns");
    check_sparse_block(map, row_start, a.rows, col_start, out.rows);
    if (out.empty()) return;
    const index_t step = table_columns(map, out.rows);
    const Scratch<u32> codes(step * map.nnz);
    parallel_team([&](Team& team) {
        for (index_t k = 0; k < out.rows; k += step) {
            const index_t end = std::min(out.rows, k + step);
            const auto rows = out.block(k, end, 0, out.cols);
            draw_together(team, map, col_start + k, end - k, row_start, a.rows, codes.data());
            if (a.rows < panel_rows)
                gather_panels<T>(team, map, codes.data(), scale, a, rows);
            else
                gather_from_input<T>(team, map, codes.data(), scale, a, rows);
            team.barrier();
        }
    });
}

#define RANDNLA_INSTANTIATE(T)                                                                 \
    template void apply_sparse_map(const SparseMap&, index_t, index_t, T, MatrixView<const T>, \
                                   MatrixView<T>);                                             \
    template void apply_sparse_map_adjoint(const SparseMap&, index_t, index_t, T,              \
                                           MatrixView<const T>, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
