// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <limits>

#include "arrays.hpp"
#include "randnla/fixed_point.hpp"
#include "randnla/fixed_point_product.hpp"
#include "randnla/generator.hpp"
#include "randnla/sketch_dense.hpp"
#include "register.hpp"

// Random numbers and dense maps.
namespace randnla::bindings {
namespace {

constexpr auto last_index = static_cast<std::uint64_t>(std::numeric_limits<index_t>::max());

// Rows and columns are below 2^63: no index may wrap.
void check_extent(std::uint64_t start, index_t count, const char* name) {
    if (start > last_index || static_cast<std::uint64_t>(count) > last_index - start)
        refuse(name, "indices must stay below 2**63");
}

DenseMap dense_map(std::uint32_t kind, std::uint64_t seed, std::uint64_t stream,
                   std::uint64_t row_start, std::uint64_t col_start, double scale) {
    if (kind != static_cast<std::uint32_t>(StreamKind::gaussian) &&
        kind != static_cast<std::uint32_t>(StreamKind::sign))
        refuse("kind", "a dense map is of kind 1 (gaussian) or 2 (sign)");
    return {static_cast<StreamKind>(kind), seed, stream, row_start, col_start, scale};
}

py::tuple key_of(std::uint32_t kind, std::uint64_t seed, std::uint64_t stream,
                 std::uint32_t element_bits) {
    const Key key = stream_key(seed, stream, static_cast<StreamKind>(kind), element_bits);
    return py::make_tuple(key.k0, key.k1);
}

void random_words(py::array& out, std::uint32_t kind, std::uint64_t seed, std::uint64_t stream,
                  std::uint64_t row, std::uint64_t start) {
    const auto view = output_vector<std::uint32_t>(out, "out");
    check_extent(start, view.size, "start");
    const ReleaseGil release;
    generator_kernels().words(stream_key(seed, stream, static_cast<StreamKind>(kind), 32), row,
                              start, view.size, view.data);
}

void fill(py::array& out, std::uint32_t kind, std::uint64_t seed, std::uint64_t stream,
          std::uint64_t row_start, std::uint64_t col_start, double scale) {
    const DenseMap map = dense_map(kind, seed, stream, row_start, col_start, scale);
    visit_real(out, "out", [&](auto tag) {
        using T = decltype(tag);
        const auto view = output_matrix<T>(out, "out");
        check_extent(row_start, view.rows, "row_start");
        check_extent(col_start, view.cols, "col_start");
        const ReleaseGil release;
        fill_dense_map<T>(map, view);
    });
}

void apply(const py::array& a, py::array& out, std::uint32_t kind, std::uint64_t seed,
           std::uint64_t stream, std::uint64_t row_start, std::uint64_t col_start, double scale,
           bool adjoint) {
    const DenseMap map = dense_map(kind, seed, stream, row_start, col_start, scale);
    visit_real(a, "A", [&](auto tag) {
        using T = decltype(tag);
        const auto from = input_matrix<T>(a, "A");
        const auto to = output_matrix<T>(out, "out");
        check_extent(row_start, adjoint ? from.rows : to.rows, "row_start");
        check_extent(col_start, adjoint ? to.rows : from.rows, "col_start");
        const ReleaseGil release;
        if (adjoint)
            apply_dense_map_adjoint<T>(map, from, to);
        else
            apply_dense_map<T>(map, from, to);
    });
}

void apply_sign(const py::array& a, py::array& out, std::uint64_t seed, std::uint64_t stream,
                std::uint64_t row_start, std::uint64_t col_start, double scale, bool adjoint) {
    const DenseMap map{StreamKind::sign, seed, stream, row_start, col_start, scale};
    const auto from = input_matrix<float>(a, "A");
    const auto to = output_matrix<float>(out, "out");
    check_extent(row_start, adjoint ? from.rows : to.rows, "row_start");
    check_extent(col_start, adjoint ? to.rows : from.rows, "col_start");
    const ReleaseGil release;
    apply_sign_map(map, adjoint, from, to);
}

void multiply(const py::array& a, const py::array& b, py::array& out, int slices) {
    const auto left = input_matrix<float>(a, "A");
    const auto right = input_matrix<float>(b, "B");
    const auto to = output_matrix<float>(out, "out");
    const ReleaseGil release;
    fixed_point_product(left, right, slices, to);
}

void gram(const py::array& a, py::array& out, int slices) {
    const auto from = input_matrix<float>(a, "A");
    const auto to = output_matrix<float>(out, "out");
    const ReleaseGil release;
    fixed_point_gram(from, slices, to);
}

}  // namespace

void register_streams(py::module_& m) {
    m.attr("stream_version") = stream_version;
    m.def("stream_key", &key_of, py::arg("kind"), py::arg("seed"), py::arg("stream"),
          py::arg("element_bits"), "The two key words of a stream.");
    m.def("random_words", &random_words, py::arg("out").noconvert(), py::arg("kind"),
          py::arg("seed"), py::arg("stream"), py::arg("row"), py::arg("start"),
          "Random words of one row, in the column order of the float32 Gaussian.");
    m.def("fill_dense_map", &fill, py::arg("out").noconvert(), py::arg("kind"), py::arg("seed"),
          py::arg("stream"), py::arg("row_start"), py::arg("col_start"), py::arg("scale"),
          "out[i, j] = scale * entry(row_start + i, col_start + j).");
    m.def("apply_dense_map", &apply, py::arg("a").noconvert(), py::arg("out").noconvert(),
          py::arg("kind"), py::arg("seed"), py::arg("stream"), py::arg("row_start"),
          py::arg("col_start"), py::arg("scale"), py::arg("adjoint"),
          "out = S a, or S^T a, without storing S.");
    m.def("apply_sign_map", &apply_sign, py::arg("a").noconvert(), py::arg("out").noconvert(),
          py::arg("seed"), py::arg("stream"), py::arg("row_start") = 0, py::arg("col_start") = 0,
          py::arg("scale") = 1, py::arg("adjoint") = false,
          "out = S a, or S^T a, of a float32 sign map, by exact sums of integers.");
    m.def("fixed_point_product", &multiply, py::arg("a").noconvert(), py::arg("b").noconvert(),
          py::arg("out").noconvert(), py::arg("slices"), "out = a b by exact sums of integers.");
    m.def("fixed_point_gram", &gram, py::arg("a").noconvert(), py::arg("out").noconvert(),
          py::arg("slices"), "out = a^T a by exact sums of integers.");
}

}  // namespace randnla::bindings
