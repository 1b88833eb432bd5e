// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/sketch_sparse.hpp"
#include "register.hpp"

// Maps with few nonzeros a column.
namespace randnla::bindings {
namespace {

SparseMap map_of(const std::string& kind, std::uint64_t seed, std::uint64_t stream, index_t d,
                 index_t nnz, std::uint32_t element_bits) {
    if (kind == "sparse_sign") return sparse_sign_map(seed, stream, d, nnz, element_bits);
    if (kind == "countsketch") return countsketch_map(seed, stream, d, element_bits);
    refuse("kind", "expected 'sparse_sign' or 'countsketch', got '" + kind + "'");
}

void columns(const std::string& kind, std::uint64_t seed, std::uint64_t stream, index_t d,
             index_t nnz, index_t col_start, std::uint32_t element_bits, py::array& positions,
             py::array& signs) {
    const SparseMap map = map_of(kind, seed, stream, d, nnz, element_bits);
    const auto p = output_vector<std::int64_t>(positions, "positions");
    const auto s = output_vector<std::int8_t>(signs, "signs");
    require(p.size == s.size && p.size % map.nnz == 0,
            "positions and signs: expected nnz values for every column");
    require(col_start >= 0, "col_start: expected at least 0");
    const ReleaseGil release;
    sparse_map_columns(map, col_start, p.size / map.nnz, p.data, s.data);
}

void apply(const std::string& kind, std::uint64_t seed, std::uint64_t stream, index_t d,
           index_t nnz, index_t row_start, index_t col_start, double scale, bool adjoint,
           const py::array& a, py::array& out) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const SparseMap map = map_of(kind, seed, stream, d, nnz, 8 * sizeof(T));
        const auto av = input_matrix<T>(a, "a");
        const auto ov = output_matrix<T>(out, "out");
        const ReleaseGil release;
        if (adjoint)
            apply_sparse_map_adjoint<T>(map, row_start, col_start, static_cast<T>(scale), av, ov);
        else
            apply_sparse_map<T>(map, row_start, col_start, static_cast<T>(scale), av, ov);
    });
}

}  // namespace

void register_sparse_maps(py::module_& m) {
    m.def("sparse_map_columns", &columns, py::arg("kind"), py::arg("seed"), py::arg("stream"),
          py::arg("d"), py::arg("nnz"), py::arg("col_start"), py::arg("element_bits"),
          py::arg("positions").noconvert(), py::arg("signs").noconvert(),
          "Positions and signs of the nonzeros of a range of columns.");
    m.def("apply_sparse_map", &apply, py::arg("kind"), py::arg("seed"), py::arg("stream"),
          py::arg("d"), py::arg("nnz"), py::arg("row_start"), py::arg("col_start"),
          py::arg("scale"), py::arg("adjoint"), py::arg("a").noconvert(),
          py::arg("out").noconvert(), "out = scale S a, or scale S^T a.");
}

}  // namespace randnla::bindings
