// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sketch_hadamard.hpp"

#include <algorithm>
#include <atomic>

#include "hadamard.hpp"
#include "randnla/error.hpp"
#include "randnla/workspace.hpp"

namespace randnla {

index_t hadamard_order(index_t m) {
    index_t order = 1;
    while (order < m) order *= 2;
    return order;
}

namespace {

using namespace hadamard;

constexpr index_t max_order = index_t{1} << 30;

// ---- vectors, along the contiguous axis or any ----

// body(team, column) over all columns, in batches handed out dynamically.
template <class Body>
void for_columns(index_t columns, index_t column_bytes, const Body& body) {
    const index_t batch = std::max<index_t>(
        1, std::min<index_t>(64, batch_bytes / std::max<index_t>(1, column_bytes)));
    std::atomic<index_t> next{0};
    parallel_team(
        [&](Team& team) {
            for (index_t c = next.fetch_add(batch); c < columns; c = next.fetch_add(batch))
                body(team, c, std::min(columns, c + batch));
        },
        static_cast<int>(std::min<index_t>((columns + batch - 1) / batch, num_threads())));
}

// Asks for the lines of a column of the result while its transform is still under way.
template <class T>
void fetch_column(MatrixView<T> out, index_t j) {
    constexpr index_t line = 64 / static_cast<index_t>(sizeof(T));
    if (out.row_stride == 1)
        for (index_t i = 0; i < out.rows; i += line) __builtin_prefetch(&out(i, j), 1, 2);
}

template <class T>
void forward_vectors(const Prepared<T>& map, MatrixView<const T> a, MatrixView<T> out) {
    const auto& k = vector_kernels<T>();
    const index_t size = map.order;
    const index_t chunk = std::min(size, chunk_bytes / static_cast<index_t>(sizeof(T)));
    // Beyond L1 a small sample takes the top level by itself.
    const index_t top = size > chunk && 4 * out.rows <= size ? size / 2 : size;
    const bool direct = a.row_stride == 1 || a.rows <= 1;
    for_columns(
        a.cols, size * static_cast<index_t>(sizeof(T)),
        [&](Team& team, index_t begin, index_t end) {
            const Scratch<T> x(size), packed(direct ? 0 : chunk);
            for (index_t j = begin; j < end; ++j) {
                const T* column = a.data + j * a.col_stride;
                const T* next = direct && j + 1 < a.cols ? column + a.col_stride : nullptr;
                fetch_column(out, j);
                transform(team, x.data(), size, chunk, top, [&](index_t c) {
                    const index_t valid = std::min(chunk, map.m - c);
                    if (valid <= 0) return void(std::fill_n(x.data() + c, chunk, T(0)));
                    const T* from = column + c * a.row_stride;
                    if (!direct) {
                        for (index_t i = 0; i < valid; ++i) packed[i] = from[i * a.row_stride];
                        from = packed.data();
                    }
                    k.vector_chunk(from, valid, map.signs().from(c), x.data() + c, chunk, next);
                });
                T* to = out.data + j * out.col_stride;
                if (top < size)
                    k.pick_top(x.data(), top, map.positions.data(), out.rows, map.scale, to,
                               out.row_stride);
                else
                    k.pick(x.data(), map.positions.data(), out.rows, map.scale, to, out.row_stride);
            }
        });
}

template <class T>
void adjoint_vectors(const Prepared<T>& map, MatrixView<const T> b, MatrixView<T> out) {
    const auto& k = vector_kernels<T>();
    const index_t size = map.order;
    const index_t chunk = std::min(size, chunk_bytes / static_cast<index_t>(sizeof(T)));
    const bool direct = out.row_stride == 1 || out.rows <= 1;
    for_columns(b.cols, size * static_cast<index_t>(sizeof(T)),
                [&](Team& team, index_t begin, index_t end) {
                    const Scratch<T> x(size);
                    for (index_t j = begin; j < end; ++j) {
                        std::fill_n(x.data(), size, T(0));
                        for (index_t i = 0; i < b.rows; ++i)
                            x[map.positions[static_cast<std::size_t>(i)]] = b(i, j);
                        transform(team, x.data(), size, chunk, size, [&](index_t c) {
                            k.vector_chunk(x.data() + c, chunk, {}, x.data() + c, chunk, nullptr);
                        });
                        T* const to = direct ? out.data + j * out.col_stride : x.data();
                        k.store_signed(x.data(), map.signs(), map.m, map.scale, to);
                        for (index_t i = 0; !direct && i < map.m; ++i) out(i, j) = to[i];
                    }
                });
}

void check(const HadamardMap& map, index_t sampled, index_t full, index_t cols_a,
           index_t cols_out) {
    require(map.m >= 0 && map.d >= 1, "apply_hadamard: m must not be negative, d must be positive");
    require(full == map.m, "apply_hadamard: the transformed array must have m rows");
    require(cols_a == cols_out, "apply_hadamard: A and out must have the same number of columns");
    if (map.m > max_order)
        throw Error(ErrorKind::capacity, "apply_hadamard: m exceeds 2^30, the longest transform");
    require(map.d <= hadamard_order(map.m),
            "apply_hadamard: d exceeds the order of the Hadamard matrix");
    require(map.row_start >= 0 && map.row_start <= map.d - sampled,
            "apply_hadamard: rows row_start.. must lie within the d rows of the map");
}

}  // namespace

template <class T>
void apply_hadamard(const HadamardMap& map, MatrixView<const T> a, MatrixView<T> out) {
    check(map, out.rows, a.rows, a.cols, out.cols);
    if (out.empty()) return;
    const Prepared<T> prepared(map, out.rows);
    const bool down_columns = a.row_stride == 1 || a.rows <= 1;
    if (down_columns || !forward_panels(prepared, a, out)) forward_vectors(prepared, a, out);
}

template <class T>
void apply_hadamard_adjoint(const HadamardMap& map, MatrixView<const T> b, MatrixView<T> out) {
    check(map, b.rows, out.rows, b.cols, out.cols);
    if (out.empty()) return;
    const Prepared<T> prepared(map, b.rows);
    const bool down_columns = out.row_stride == 1 || out.rows <= 1;
    if (down_columns || !adjoint_panels(prepared, b, out)) adjoint_vectors(prepared, b, out);
}

#define RANDNLA_INSTANTIATE(T)                                                               \
    template void apply_hadamard<T>(const HadamardMap&, MatrixView<const T>, MatrixView<T>); \
    template void apply_hadamard_adjoint<T>(const HadamardMap&, MatrixView<const T>, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
