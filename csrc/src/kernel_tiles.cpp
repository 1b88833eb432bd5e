// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/kernel_tiles.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "randnla/blas.hpp"
#include "randnla/gemm.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

inline void make_tile(const KernelTile<float>& tile) {
    kernel_tile_kernels().tile_f32(tile);
}
inline void make_tile(const KernelTile<double>& tile) {
    kernel_tile_kernels().tile_f64(tile);
}

constexpr index_t tile_rows = 256;
constexpr index_t tile_bytes = index_t{512} << 10;       // half of a second cache
constexpr index_t points_bytes = index_t{1} << 20;       // the points y of a tile
constexpr index_t entries_per_check = index_t{1} << 17;  // times dim: a millisecond or so

// The kernel in coordinates that are multiplied by a power of two, so that the bandwidth lies in
// [1/2, 1): points and bandwidth times a power of two give the same bits, and squares of distances
// that matter stay in range.
template <class T>
struct Scaled {
    RadialKind kind;
    T rate, unit;
};

template <class T>
Scaled<T> scaled(const RadialKernel& kernel) {
    require(std::isfinite(kernel.bandwidth) && kernel.bandwidth > 0,
            "bandwidth: expected a positive finite number");
    int exponent = 0;
    const double h = std::frexp(kernel.bandwidth, &exponent);
    const double root = kernel.kind == RadialKind::matern32   ? std::sqrt(3.0)
                        : kernel.kind == RadialKind::matern52 ? std::sqrt(5.0)
                                                              : 1.0;
    const double rate = kernel.kind == RadialKind::gaussian ? 0.5 / (h * h) : root / h;
    // Bandwidths beyond this range leave points of the element type all equal or all apart anyway.
    constexpr int limit = sizeof(T) == 4 ? 120 : 1000;
    const int shift = std::clamp(-exponent, -limit, limit);
    return {kernel.kind,
            static_cast<T>(std::ldexp(
                rate, (kernel.kind == RadialKind::gaussian ? -2 : -1) * (exponent + shift))),
            static_cast<T>(std::ldexp(1.0, shift))};
}

// Packs and multiplies tiles of at most tile_rows x step.
template <class T>
class Tiles {
  public:
    Tiles(const RadialKernel& kernel, MatrixView<const T> x, MatrixView<const T> y)
        : kernel_(scaled<T>(kernel)), x_(x), y_(y) {
        constexpr index_t width = kernel_panel<T>;
        const index_t fits =
            points_bytes / static_cast<index_t>(sizeof(T)) / std::max<index_t>(1, x.cols);
        const index_t wide = tile_bytes / static_cast<index_t>(sizeof(T)) / tile_rows;
        step_ = std::max(width, std::min({wide, fits, round_up(y.rows)}) / width * width);
        const index_t work = std::max<index_t>(1, x.cols) * step_;
        rows_ = std::clamp<index_t>(8 * entries_per_check / work / 4 * 4, 4, tile_rows);
    }

    index_t step() const { return step_; }
    index_t rows() const { return rows_; }
    index_t scratch() const { return rows_ * (x_.cols + step_) + step_ * x_.cols + 64; }

    // y points [j, j + step) into `packed`, a panel filled up with its last point.
    void pack(index_t j, T* packed) const {
        constexpr index_t width = kernel_panel<T>;
        const index_t end = std::min(y_.rows, j + step_);
        for (; j < end; j += width)
            for (index_t p = 0; p < y_.cols; ++p, packed += width)
                for (index_t l = 0; l < width; ++l)
                    packed[l] = y_(std::min(j + l, end - 1), p) * kernel_.unit;
    }

    // The tile of rows [i0, i1) and the packed points, row-major in `out`.
    MatrixView<T> make(index_t i0, index_t i1, index_t count, const T* packed, T* rows,
                       T* out) const {
        for (index_t i = i0; i < i1; ++i)
            for (index_t p = 0; p < x_.cols; ++p)
                rows[(i - i0) * x_.cols + p] = x_(i, p) * kernel_.unit;
        const index_t panels = round_up(count) / kernel_panel<T>;
        make_tile(
            KernelTile<T>{kernel_.kind, kernel_.rate, rows, packed, out, i1 - i0, panels, x_.cols});
        return {out, i1 - i0, count, panels * kernel_panel<T>, 1};
    }

    // use(tile, i, j) for all tiles of the rows [begin, end); points are packed once.
    template <class Use>
    void for_each(Team& team, index_t begin, index_t end, Use&& use) const {
        if (begin == end) return;
        for_columns(
            team, [](index_t) { return true; },
            [&](index_t j, index_t count, const auto& rows_of) {
                rows_of(begin, end, j, count, use);
            });
    }

    // on(tile, i, j) for the tiles on the diagonal of a symmetric matrix and below(tile, i, j) for
    // those below it, of the panels of columns that are those of a stripe: stripes are alike in
    // work, for they take panels in turn, forth and back.
    template <class On, class Below>
    void for_each_below(Team& team, index_t stripe, index_t stripes, On&& on, Below&& below) const {
        const auto of_stripe = [&](index_t panel) {
            const index_t turn = panel % (2 * stripes);
            return std::min(turn, 2 * stripes - 1 - turn) == stripe;
        };
        for_columns(team, of_stripe, [&](index_t j, index_t count, const auto& rows_of) {
            rows_of(j, j + count, j, count, on);
            rows_of(j + count, x_.rows, j, count, below);
        });
    }

  private:
    // visit(j, count, rows_of) for the panels of columns that are wanted; rows_of(begin, end, j,
    // count, use) makes the tiles of these rows.
    template <class Wanted, class Visit>
    void for_columns(Team& team, const Wanted& wanted, const Visit& visit) const {
        const Scratch<T> tile(rows_ * step_), points(step_ * y_.cols), rows(rows_ * x_.cols);
        const auto rows_of = [&](index_t begin, index_t end, index_t j, index_t count, auto& use) {
            for (index_t i = begin; i < end; i += rows_) {
                team.checkpoint();
                use(make(i, std::min(end, i + rows_), count, points.data(), rows.data(),
                         tile.data()),
                    i, j);
            }
        };
        for (index_t j = 0; j < y_.rows; j += step_) {
            if (!wanted(j / step_)) continue;
            team.checkpoint();
            pack(j, points.data());
            visit(j, std::min(step_, y_.rows - j), rows_of);
        }
    }

    static index_t round_up(index_t n) {
        return (n + kernel_panel<T> - 1) / kernel_panel<T> * kernel_panel<T>;
    }

    Scaled<T> kernel_;
    MatrixView<const T> x_, y_;
    index_t step_, rows_;
};

template <class T>
void copy_tile(MatrixView<T> from, MatrixView<T> to) {
    if (to.col_stride == 1) {
        for (index_t i = 0; i < from.rows; ++i)
            std::memcpy(&to(i, 0), &from(i, 0), static_cast<std::size_t>(from.cols) * sizeof(T));
        return;
    }
    constexpr index_t edge = 16;  // both sides by lines
    for (index_t i0 = 0; i0 < from.rows; i0 += edge)
        for (index_t j = 0; j < from.cols; ++j)
            for (index_t i = i0; i < std::min(from.rows, i0 + edge); ++i) to(i, j) = from(i, j);
}

// out += tile v, or = it, on the calling member, in whose second cache the tile lies: up to three
// products with a vector are faster than one that packs it.
template <class T>
void multiply_tile(MatrixView<const T> tile, MatrixView<const T> v, T beta, MatrixView<T> out) {
    const index_t width = v.cols < 4 ? 1 : v.cols;
    for (index_t c = 0; c < v.cols; c += width)
        parallel_gemm<T>(T(1), tile, v.block(0, v.rows, c, c + width), beta,
                         out.block(0, out.rows, c, c + width));
}

// A product of a few microseconds is not worth a team.
int members(index_t m, index_t n, index_t dim) {
    return static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(dim + 8) < 1 << 17
               ? 1
               : num_threads();
}

}  // namespace

template <class T>
void kernel_block(const RadialKernel& kernel, MatrixView<const T> x, MatrixView<const T> y,
                  MatrixView<T> out) {
    require(x.cols == y.cols, "kernel: x and y must have as many coordinates");
    require(out.rows == x.rows && out.cols == y.rows, "kernel: out has another shape");
    if (out.empty()) return;
    // Few columns would leave most of a panel unused.
    if (y.rows < x.rows && y.rows < 8 * kernel_panel<T>)
        return kernel_block<T>(kernel, y, x, out.transposed());
    const bool by_rows = x.rows >= y.rows;
    parallel_team(
        [&](Team& team) {
            const auto rows = by_rows ? team.share(x.rows, 4) : Team::Range{0, x.rows};
            const auto cols =
                by_rows ? Team::Range{0, y.rows} : team.share(y.rows, kernel_panel<T>);
            if (cols.begin == cols.end) return;
            const Tiles<T> tiles(kernel, x, y.block(cols.begin, cols.end, 0, y.cols));
            tiles.for_each(team, rows.begin, rows.end, [&](auto tile, index_t i, index_t j) {
                j += cols.begin;
                copy_tile<T>(tile, out.block(i, i + tile.rows, j, j + tile.cols));
            });
        },
        members(x.rows, y.rows, x.cols));
}

namespace {

// Of the points with themselves K is symmetric. Where v is narrow, entries cost more than products:
// each is made once and used twice, in sums of fixed stripes, whatever the team.
constexpr index_t stripes = 16, narrow = 8;
constexpr index_t stripe_bytes = index_t{64} << 20;

template <class T>
bool symmetry_pays(MatrixView<const T> x, MatrixView<const T> y, MatrixView<const T> v) {
    const bool same = x.data == y.data && x.rows == y.rows && x.row_stride == y.row_stride &&
                      x.col_stride == y.col_stride;
    const index_t bytes = stripes * v.rows * v.cols * static_cast<index_t>(sizeof(T));
    return same && x.rows >= 2048 && v.cols <= narrow && bytes <= stripe_bytes;
}

template <class T>
void symmetric_product(const Tiles<T>& tiles, MatrixView<const T> v, MatrixView<T> out,
                       int members) {
    const index_t n = v.rows, k = v.cols;
    const Scratch<T> sums(stripes * n * k);
    parallel_team(
        [&](Team& team) {
            const auto [first, last] = team.share(stripes);
            for (index_t s = first; s < last; ++s) {
                const auto sum = row_major_view(sums.data() + s * n * k, n, k);
                std::fill_n(sum.data, n * k, T(0));
                const auto rows_of = [&](MatrixView<const T> of, index_t i, index_t count) {
                    return of.block(i, i + count, 0, k);
                };
                const auto forward = [&](auto tile, index_t i, index_t j) {
                    multiply_tile<T>(tile, rows_of(v, j, tile.cols), T(1),
                                     sum.block(i, i + tile.rows, 0, k));
                };
                const auto both = [&](auto tile, index_t i, index_t j) {
                    forward(tile, i, j);
                    const MatrixView<const T> entries = tile;
                    multiply_tile<T>(entries.transposed(), rows_of(v, i, tile.rows), T(1),
                                     sum.block(j, j + tile.cols, 0, k));
                };
                tiles.for_each_below(team, s, stripes, forward, both);
            }
            team.barrier();
            const auto [begin, end] = team.share(n, 16);
            for (index_t i = begin; i < end; ++i)
                for (index_t c = 0; c < k; ++c) {
                    T total = sums[i * k + c];
                    for (index_t s = 1; s < stripes; ++s) total += sums[(s * n + i) * k + c];
                    out(i, c) = total;
                }
        },
        members);
}

}  // namespace

template <class T>
void kernel_product(const RadialKernel& kernel, MatrixView<const T> x, MatrixView<const T> y,
                    MatrixView<const T> v, MatrixView<T> out) {
    require(x.cols == y.cols, "kernel: x and y must have as many coordinates");
    require(v.rows == y.rows && out.rows == x.rows && out.cols == v.cols,
            "kernel: shapes of v and out do not agree");
    if (out.empty()) return;
    for (index_t i = 0; y.rows == 0 && i < out.rows; ++i)
        for (index_t j = 0; j < out.cols; ++j) out(i, j) = T(0);
    blas::use_one_thread();
    const Tiles<T> tiles(kernel, x, y);
    const int wanted = members(x.rows, y.rows, x.cols + v.cols);
    if (symmetry_pays<T>(x, y, v)) return symmetric_product<T>(tiles, v, out, wanted);
    parallel_team(
        [&](Team& team) {
            const auto [begin, end] = team.share(x.rows, 16);
            tiles.for_each(team, begin, end, [&](auto tile, index_t i, index_t j) {
                multiply_tile<T>(tile, v.block(j, j + tile.cols, 0, v.cols), j == 0 ? T(0) : T(1),
                                 out.block(i, i + tile.rows, 0, out.cols));
            });
        },
        wanted);
}

#define RANDNLA_INSTANTIATE(T)                                                                     \
    template void kernel_block<T>(const RadialKernel&, MatrixView<const T>, MatrixView<const T>,   \
                                  MatrixView<T>);                                                  \
    template void kernel_product<T>(const RadialKernel&, MatrixView<const T>, MatrixView<const T>, \
                                    MatrixView<const T>, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
