// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"
#include "randnla/sampling.hpp"
#include "randnla/sketch_hadamard.hpp"
#include "register.hpp"

// Trigonometric maps and the samplers of coordinates.
namespace randnla::bindings {
namespace {

StreamKind sample_kind(std::uint32_t kind) {
    const auto value = static_cast<StreamKind>(kind);
    require(value == StreamKind::trig_rows || value == StreamKind::row_sampling ||
                value == StreamKind::leverage || value == StreamKind::pivots,
            "kind: expected the number of a sampling stream");
    return value;
}

void hadamard(const py::array& a, py::array& out, std::uint64_t seed, std::uint64_t stream,
              index_t d, index_t row_start, index_t m, bool adjoint) {
    visit_real(a, "a", [&](auto tag) {
        using T = decltype(tag);
        const auto av = input_matrix<T>(a, "a");
        const auto ov = output_matrix<T>(out, "out");
        const HadamardMap map{seed, stream, d, row_start, m};
        const ReleaseGil release;
        if (adjoint)
            apply_hadamard_adjoint<T>(map, av, ov);
        else
            apply_hadamard<T>(map, av, ov);
    });
}

void coordinates(py::array& out, std::uint32_t kind, std::uint64_t seed, std::uint64_t stream,
                 index_t population, bool replace) {
    const auto view = output_vector<std::int64_t>(out, "out");
    const SampleStream source{seed, stream, sample_kind(kind)};
    const ReleaseGil release;
    if (replace)
        sample_uniform(source, population, view.size, view.data);
    else
        sample_coordinates(source, population, view.size, view.data);
}

void draws(py::array& out, std::uint32_t kind, std::uint64_t seed, std::uint64_t stream) {
    const auto view = output_vector<std::uint64_t>(out, "out");
    const SampleStream source{seed, stream, sample_kind(kind)};
    const ReleaseGil release;
    draw_63_bits(source, view.size, view.data);
}

}  // namespace

void register_trig(py::module_& m) {
    m.def("apply_hadamard", &hadamard, py::arg("a").noconvert(), py::arg("out").noconvert(),
          py::kw_only(), py::arg("seed"), py::arg("stream"), py::arg("d"), py::arg("row_start"),
          py::arg("m"), py::arg("adjoint"),
          "out = S a, or S^T a, for rows row_start.. of an SRHT of d rows and m columns.");
    m.def("sample_coordinates", &coordinates, py::arg("out").noconvert(), py::kw_only(),
          py::arg("kind"), py::arg("seed"), py::arg("stream"), py::arg("population"),
          py::arg("replace"), "Fill out (int64) with indices below population.");
    m.def("draw_63_bits", &draws, py::arg("out").noconvert(), py::kw_only(), py::arg("kind"),
          py::arg("seed"), py::arg("stream"), "Fill out (uint64) with draws below 2^63.");
}

}  // namespace randnla::bindings
