// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "randnla/sorted_sums.hpp"
#include "randnla/workspace.hpp"
#include "sparse_panels.hpp"

// Sparse maps with several nonzeros a column. Chunks of rows of A are copied, whole rows at a time,
// into panels of the member's own columns, while the next chunk is on its way from memory. Members
// share the sorted nonzeros only: a line that one core writes and another reads costs too much
// where they have no cache in common (DevNotes).
namespace randnla {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;

constexpr index_t table_codes = index_t{1} << 19;
constexpr index_t sums_bytes = index_t{6} << 20;
constexpr index_t group_panels = 64;  // a tile of 4 MB, of whole rows
constexpr index_t part_panels = 16;   // of parts of rows: 2 KB of each, a tile of 1 MB
constexpr index_t near_sums_bytes = index_t{1} << 20;
constexpr index_t near_panels = 4;  // a tile of 256 KB
constexpr index_t pair_bytes = sorted_lines * panel_bytes;

template <class T>
constexpr index_t pair = sorted_lines * line<T>;

// The sorted chunks of a table of codes.
class SortedTable {
  public:
    SortedTable(index_t chunks, index_t nnz, index_t d)
        : nnz_(nnz),
          d_(d),
          batches_(sorted_batches(sorted_inputs * nnz)),
          row_count_(sorted_rows(sorted_inputs * nnz, d)),
          chunks_(chunks),
          codes_(chunks * batches_ * batch_size),
          signs_(chunks * batches_),
          rows_(chunks * row_count_) {}

    // The members sort the chunks of codes of `columns` columns together.
    void sort(Team& team, const u32* codes, index_t columns) {
        const auto [begin, end] = team.share((columns + sorted_inputs - 1) / sorted_inputs);
        const Scratch<u32> scratch(4 * d_);
        for (index_t c = begin; c < end; ++c) {
            team.checkpoint();
            const index_t first = c * sorted_inputs;
            SortedChunk& chunk = chunks_[c];
            chunk.codes = codes_.data() + c * batches_ * batch_size;
            chunk.signs = signs_.data() + c * batches_;
            chunk.rows = rows_.data() + c * row_count_;
            sort_chunk(codes + first * nnz_, std::min(sorted_inputs, columns - first), nnz_, d_,
                       scratch.data(), chunk);
        }
        team.barrier();
    }
    const SortedChunk& operator[](index_t c) const { return chunks_[c]; }

  private:
    index_t nnz_, d_, batches_, row_count_;
    Scratch<SortedChunk> chunks_;
    Scratch<u16> codes_, signs_;
    Scratch<u32> rows_;
};

// Part p of `parts` of the lines of a chunk: some of its rows or, by columns, those of a panel.
template <class T>
FetchAhead fetch_of_part(MatrixView<const T> a, index_t p, index_t parts) {
    const bool by_rows = a.col_stride == 1;
    if (a.empty() || !(by_rows || a.row_stride == 1)) return {};
    constexpr auto size = static_cast<index_t>(sizeof(T));
    const index_t runs = by_rows ? a.rows : a.cols, run = by_rows ? a.cols : a.rows,
                  begin = runs * p / parts, end = runs * (p + 1) / parts,
                  lines = (run * size + panel_bytes - 1) / panel_bytes;
    return {reinterpret_cast<const char*>(by_rows ? &a(begin, 0) : &a(0, begin)), lines,
            (by_rows ? a.row_stride : a.col_stride) * size, (end - begin) * lines};
}

// A member's sums of a group of its columns, in panels, and the tile of a chunk.
template <class T>
class SortedGroup {
  public:
    SortedGroup(index_t d, index_t panels)
        : d_(d), sums_(panels * sums_stride()), tile_(panels * tile_stride) {
        for (index_t p = 0; p < panels; ++p) {
            T* zeros = tile_.data() + p * tile_stride + sorted_inputs * pair<T>;
            std::fill(zeros, zeros + pair<T>, T(0));
        }
    }

    // sums += S A for the columns of `table`, from 0 or from out; to out, if asked for.
    void run(Team& team, const SortedTable& table, MatrixView<const T> a, MatrixView<T> out,
             bool clear, bool load, bool store, T scale) {
        const Panels<T> sums = {sums_.data(), sorted_lines, sums_stride()},
                        tile = {tile_.data(), sorted_lines, tile_stride};
        const index_t panels = (a.cols + pair<T> - 1) / pair<T>;
        if (clear) std::fill(sums.data, sums.data + panels * sums.stride, T(0));
        if (load) pack<T>(out, sums);
        for (index_t k = 0, c = 0; k < a.rows; k += sorted_inputs, ++c) {
            team.checkpoint();
            const index_t end = std::min(a.rows, k + sorted_inputs),
                          next_end = std::min(a.rows, end + sorted_inputs);
            const auto next = a.block(end, next_end, 0, a.cols);
            pack<T>(a.block(k, end, 0, a.cols), tile);
            for (index_t p = 0; p < panels; ++p)
                sorted_sums_kernels<T>().add(table[c], tile.from(p).data, sums.from(p).data,
                                             fetch_of_part(next, p, panels));
        }
        if (store) unpack(sums, scale, out);
    }

  private:
    static constexpr index_t tile_stride = (sorted_inputs + 1) * pair<T>;
    index_t sums_stride() const { return (d_ + 1) * pair<T>; }

    index_t d_;
    Scratch<T> sums_, tile_;
};

// Panels whose sums a member holds at a time: as many as L2 has room for on Intel, whose last
// level is a mesh, several times as far (DevNotes); else all of them where it reads whole rows, if
// they fit. No sum changes its order.
index_t panels_at_a_time(index_t panels, index_t d, bool whole_rows) {
    const index_t panel = (d + 1) * pair_bytes;
    if (is_intel()) return std::clamp<index_t>(near_sums_bytes / panel, 2, near_panels);
    const index_t fitting = std::clamp<index_t>(sums_bytes / panel, 2, group_panels);
    return whole_rows && panels <= fitting ? panels : std::min(fitting, part_panels);
}

}  // namespace

bool sorting_pays(const SparseMap& map, index_t rows, index_t lines, bool contiguous_rows) {
    // Each row of sums should get a nonzero of a chunk, and the sort be shared by enough columns
    // (measured; columns are better streamed by the panels, which fetch ahead).
    const SortedSumsTable& kernels = sorted_sums_table();
    return kernels.f32.add != nullptr && map.nnz > 1 && map.nnz <= sorted_inputs &&
           rows <= 8 * sorted_inputs && rows <= sorted_inputs * map.nnz &&
           lines >= (contiguous_rows ? kernels.lines_of_rows : kernels.lines_of_columns);
}

template <class T>
void apply_sorted(const SparseMap& map, index_t row_start, index_t col_start, T scale,
                  MatrixView<const T> a, MatrixView<T> out) {
    const index_t d = out.rows,
                  step =
                      std::min(a.rows, std::max<index_t>(1, table_codes / map.nnz / sorted_inputs) *
                                           sorted_inputs);
    const Scratch<u32> codes(step * map.nnz);
    SortedTable table((step + sorted_inputs - 1) / sorted_inputs, map.nnz, d);
    parallel_team([&](Team& team) {
        const auto [j0, j1] = team.share(out.cols, pair<T>);
        const index_t panels = (j1 - j0 + pair<T> - 1) / pair<T>,
                      most = panels_at_a_time(panels, d, j1 - j0 == out.cols),
                      groups = panels == 0 ? 0 : (panels + most - 1) / most;
        SortedGroup<T> sums(d, std::min(panels, most));
        for (index_t k = 0; k < a.rows; k += step) {
            const index_t end = std::min(a.rows, k + step);
            const bool first = k == 0, last = end == a.rows;
            draw_together(team, map, col_start + k, end - k, row_start, d, codes.data());
            table.sort(team, codes.data(), end - k);
            for (index_t g = 0; g < groups; ++g) {
                const index_t begin = j0 + panels * g / groups * pair<T>,
                              stop = std::min(j1, j0 + panels * (g + 1) / groups * pair<T>);
                sums.run(team, table, a.block(k, end, begin, stop), out.block(0, d, begin, stop),
                         first, !first && groups > 1, last || groups > 1, last ? scale : T(1));
            }
            team.barrier();  // before the table is sorted anew
        }
    });
}

#define RANDNLA_INSTANTIATE(T)                                                             \
    template void apply_sorted(const SparseMap&, index_t, index_t, T, MatrixView<const T>, \
                               MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
