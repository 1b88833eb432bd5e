// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/pybind11.h>

#include <array>

#include "randnla/cuda/api.hpp"
#include "randnla/cuda/runtime.hpp"
#ifdef RANDNLA_EMULATE
#include "bind_emulator.hpp"
#endif

// One source for both back ends, and no CUDA header: matrices are tuples (address, rows, columns,
// row stride, column stride), which the caller has checked; streams are addresses.
namespace py = pybind11;

namespace randnla::cuda {
namespace {

using Tuple = std::tuple<std::uintptr_t, index_t, index_t, index_t, index_t>;

template <class T>
Matrix<T> matrix(const Tuple& t) {
    return {reinterpret_cast<T*>(std::get<0>(t)), std::get<1>(t), std::get<2>(t), std::get<3>(t),
            std::get<4>(t)};
}
template <class T>
T* pointer(std::uintptr_t address) {
    return reinterpret_cast<T*>(address);
}

template <class S>
void bind_tensor_cores(py::module_& m, const std::string& suffix) {
    m.def(("apply_sign_map_tensor" + suffix).c_str(),
          [](const DenseMap& map, bool adjoint, const Tuple& a, const Tuple& y,
             std::uintptr_t stream) {
              apply_sign_map_tensor<S>(map, adjoint, matrix<const S>(a), matrix<float>(y),
                                       pointer<void>(stream));
          },
          py::call_guard<py::gil_scoped_release>());
    m.def(("gram_tensor" + suffix).c_str(),
          [](double alpha, const Tuple& a, double beta, const Tuple& c, std::uintptr_t work,
             std::uintptr_t stream) {
              gram_tensor<S>(alpha, matrix<const S>(a), beta, matrix<float>(c),
                             pointer<float>(work), pointer<void>(stream));
          },
          py::call_guard<py::gil_scoped_release>());
}

template <class T>
void bind_element(py::module_& m, const char* suffix) {
    const auto name = [&](const char* base) { return std::string(base) + suffix; };
    const py::call_guard<py::gil_scoped_release> unlocked;
    m.def(
        name("fill_dense_map").c_str(),
        [](const DenseMap& map, const Tuple& out, std::uintptr_t stream) {
            fill_dense_map<T>(map, matrix<T>(out), pointer<void>(stream));
        },
        unlocked);
    m.def(
        name("apply_dense_map").c_str(),
        [](const DenseMap& map, bool adjoint, const Tuple& a, const Tuple& y,
           std::uintptr_t squares, std::uintptr_t stream) {
            apply_dense_map<T>(map, adjoint, matrix<const T>(a), matrix<T>(y),
                               pointer<double>(squares), pointer<void>(stream));
        },
        unlocked);
    m.def(
        name("apply_sparse_map").c_str(),
        [](const SparseMap& map, T scale, const Tuple& a, const Tuple& out, bool adjoint,
           std::uintptr_t stream) {
            if (adjoint)
                apply_sparse_map_adjoint<T>(map, scale, matrix<const T>(a), matrix<T>(out),
                                            pointer<void>(stream));
            else
                apply_sparse_map<T>(map, scale, matrix<const T>(a), matrix<T>(out),
                                    pointer<void>(stream));
        },
        unlocked);
    m.def(
        name("apply_hadamard").c_str(),
        [](std::uint64_t seed, std::uint64_t map_stream, std::uintptr_t positions, bool adjoint,
           T scale, const Tuple& a, const Tuple& out, std::uintptr_t stream) {
            apply_hadamard<T>(seed, map_stream, pointer<const std::int64_t>(positions), adjoint,
                              scale, matrix<const T>(a), matrix<T>(out), pointer<void>(stream));
        },
        unlocked);
    m.def(
        name("sampled_products").c_str(),
        [](std::uintptr_t i, std::uintptr_t j, index_t count, const Tuple& u, const Tuple& v,
           std::uintptr_t out, std::uintptr_t stream) {
            sampled_products<T>(pointer<const std::int64_t>(i), pointer<const std::int64_t>(j),
                                count, matrix<const T>(u), matrix<const T>(v), pointer<T>(out),
                                pointer<void>(stream));
        },
        unlocked);
    m.def(
        name("gather_rows").c_str(),
        [](std::uintptr_t rows, T scale, const Tuple& a, const Tuple& out, std::uintptr_t stream) {
            gather_rows<T>(pointer<const std::int64_t>(rows), scale, matrix<const T>(a),
                           matrix<T>(out), pointer<void>(stream));
        },
        unlocked);
}

template <class T>
void bind_columns(py::module_& m, const std::string& suffix) {
    const py::call_guard<py::gil_scoped_release> unlocked;
    m.def(("column_peaks" + suffix).c_str(),
          [](const Tuple& x, double scale, std::uintptr_t out, std::uintptr_t work,
             std::uintptr_t stream) {
              column_peaks<T>(matrix<const T>(x), scale, pointer<double>(out),
                              pointer<double>(work), pointer<void>(stream));
          },
          unlocked);
    m.def(("sweep" + suffix).c_str(),
          [](const Tuple& a, const Tuple& b, const Tuple& x, const Tuple& residual,
             const Tuple& sums, std::uintptr_t work, std::uintptr_t stream) {
              sweep<T>(matrix<const T>(a), matrix<const double>(b), matrix<const double>(x),
                       matrix<double>(residual), matrix<double>(sums), pointer<double>(work),
                       pointer<void>(stream));
          },
          unlocked);
}

// Called combine_from_<type of x>_<type of out>.
template <class S, class T>
void bind_combine(py::module_& m, const std::string& suffix) {
    m.def(("combine_from" + suffix).c_str(),
          [](double alpha, const Tuple& x, const Tuple& weights, double beta, const Tuple& z,
             const Tuple& out, std::uintptr_t stream) {
              combine<S, T>(alpha, matrix<const S>(x), matrix<const double>(weights), beta,
                            matrix<const T>(z), matrix<T>(out), pointer<void>(stream));
          },
          py::call_guard<py::gil_scoped_release>());
}

template <class S, class T>
void bind_windows(py::module_& m, const std::string& suffix) {
    const py::call_guard<py::gil_scoped_release> unlocked;
    m.def(("window_dots" + suffix).c_str(),
          [](const Tuple& g, const Tuple& x, const Tuple& c, std::uintptr_t work,
             std::uintptr_t stream) {
              window_dots<S, T>(matrix<const S>(g), matrix<const T>(x), matrix<double>(c),
                                pointer<double>(work), pointer<void>(stream));
          },
          unlocked);
    m.def(("window_combine" + suffix).c_str(),
          [](const Tuple& g, const Tuple& c, double alpha, const Tuple& x, const Tuple& y,
             std::uintptr_t stream) {
              window_combine<S, T>(matrix<const S>(g), matrix<const double>(c), alpha,
                                   matrix<const T>(x), matrix<T>(y), pointer<void>(stream));
          },
          unlocked);
}

template <class T>
void bind_batches(py::module_& m, const char* suffix) {
    const auto name = [&](const char* base) { return std::string(base) + suffix; };
    const py::call_guard<py::gil_scoped_release> unlocked;
    m.def(
        name("batched_inverse").c_str(),
        [](std::uintptr_t a, std::uintptr_t inverse, index_t count, index_t n, const Shifts& shift,
           std::uintptr_t info, std::uintptr_t stream) {
            batched_inverse<T>(pointer<const T>(a), pointer<T>(inverse), count, n, shift,
                               pointer<std::int32_t>(info), pointer<void>(stream));
        },
        unlocked);
    m.def(
        name("batched_cholesky").c_str(),
        [](std::uintptr_t a, std::uintptr_t lower, index_t count, index_t n, const Shifts& shift,
           std::uintptr_t info, std::uintptr_t stream) {
            batched_cholesky<T>(pointer<const T>(a), pointer<T>(lower), count, n, shift,
                                pointer<std::int32_t>(info), pointer<void>(stream));
        },
        unlocked);
    m.def(
        name("batched_solve").c_str(),
        [](std::uintptr_t a, std::uintptr_t b, std::uintptr_t x, index_t count, index_t n,
           index_t k, const Shifts& shift, std::uintptr_t info, std::uintptr_t stream) {
            batched_solve<T>(pointer<const T>(a), pointer<const T>(b), pointer<T>(x), count, n, k,
                             shift, pointer<std::int32_t>(info), pointer<void>(stream));
        },
        unlocked);
}

template <class T, class Out>
auto bound_gram() {
    return [](double alpha, const Tuple& a, double beta, const Tuple& c, std::uintptr_t work,
              std::uintptr_t stream) {
        gram<T, Out>(alpha, matrix<const T>(a), beta, matrix<Out>(c), pointer<T>(work),
                     pointer<void>(stream));
    };
}

template <class T>
void bind_products(py::module_& m, const char* suffix) {
    const auto name = [&](const char* base) { return std::string(base) + suffix; };
    const py::call_guard<py::gil_scoped_release> unlocked;
    m.def(
        name("multiply").c_str(),
        [](double alpha, const Tuple& a, const Tuple& b, double beta, const Tuple& c,
           const Weights& weights, std::uintptr_t work, std::uintptr_t stream) {
            multiply<T>(alpha, matrix<const T>(a), matrix<const T>(b), beta, matrix<T>(c), weights,
                        pointer<T>(work), pointer<void>(stream));
        },
        unlocked);
    m.def(name("gram").c_str(), bound_gram<T, T>(), unlocked);
    m.def(name("gram_wide").c_str(), bound_gram<T, double>(), unlocked);
    m.def(
        name("solve_upper").c_str(),
        [](const Tuple& y, const Tuple& r, const Tuple& x, std::uintptr_t stream) {
            solve_upper<T>(matrix<const T>(y), matrix<const double>(r), matrix<T>(x),
                           pointer<void>(stream));
        },
        unlocked);
}

void bind_products(py::module_& m) {
    py::class_<Shifts>(m, "Shifts", py::module_local())
        .def(py::init([](std::uintptr_t values, index_t stride) {
                 return Shifts{pointer<const double>(values), stride};
             }),
             py::arg("values"), py::arg("stride"));
    py::class_<Weights>(m, "Weights", py::module_local())
        .def(py::init<>())
        .def(py::init([](std::uintptr_t left, std::uintptr_t right, double damping, double scale,
                         int function) {
                 return Weights{pointer<const double>(left), pointer<const double>(right), damping,
                                scale, static_cast<KronFunction>(function)};
             }),
             py::kw_only(), py::arg("left"), py::arg("right"), py::arg("damping"), py::arg("scale"),
             py::arg("function"));
    m.def("batched_limit", &batched_limit);
    m.def("cholesky_limit", &cholesky_limit);
    m.def("triangle_limit", &triangle_limit);
    m.def("multiply_work", &multiply_work);
    m.def("multiply_depth", &multiply_depth);
    m.def("gram_work", &gram_work);
    m.def("gram_tensor_work", &gram_tensor_work);
    m.def("window_limit", &window_limit);
    m.def("window_work", &window_work);
    bind_windows<float, float>(m, "_f32");
    bind_windows<double, double>(m, "_f64");
    bind_windows<Half, float>(m, "_f16_f32");
    bind_windows<Brain, float>(m, "_bf16_f32");
    bind_batches<float>(m, "_f32");
    bind_batches<double>(m, "_f64");
    bind_products<float>(m, "_f32");
    bind_products<double>(m, "_f64");
}

void bind_maps(py::module_& m) {
    py::class_<DenseMap>(m, "DenseMap", py::module_local())
        .def(py::init([](std::uint32_t kind, std::uint64_t seed, std::uint64_t stream,
                         std::uint64_t row_start, std::uint64_t col_start, double scale) {
                 return DenseMap{
                     static_cast<StreamKind>(kind), seed, stream, row_start, col_start, scale};
             }),
             py::kw_only(), py::arg("kind"), py::arg("seed"), py::arg("stream"),
             py::arg("row_start"), py::arg("col_start"), py::arg("scale"));
    m.def(
        "apply_sign_map_f32",
        [](const DenseMap& map, bool adjoint, const Tuple& a, const Tuple& out,
           std::uintptr_t stream) {
            apply_sign_map(map, adjoint, matrix<const float>(a), matrix<float>(out),
                           pointer<void>(stream));
        },
        py::call_guard<py::gil_scoped_release>());
    py::class_<SparseMap>(m, "SparseMap", py::module_local())
        .def(py::init([](std::uint32_t kind, std::uint64_t seed, std::uint64_t stream, index_t rows,
                         index_t nnz, int element_bits) {
                 return SparseMap{
                     static_cast<StreamKind>(kind), seed, stream, rows, nnz, element_bits};
             }),
             py::kw_only(), py::arg("kind"), py::arg("seed"), py::arg("stream"), py::arg("rows"),
             py::arg("nnz"), py::arg("element_bits"))
        .def("is_ordered", &sparse_map_is_ordered);
    m.def("sparse_map_columns",
          [](const SparseMap& map, index_t first, index_t count, std::uintptr_t positions,
             std::uintptr_t signs, std::uintptr_t stream) {
              sparse_map_columns(map, first, count, pointer<std::int64_t>(positions),
                                 pointer<std::int8_t>(signs), pointer<void>(stream));
          });
}

}  // namespace

PYBIND11_MODULE(RANDNLA_CUDA_MODULE, m) {
    m.def("device_state", &device_state);
    const py::call_guard<py::gil_scoped_release> unlocked;
    m.def(
        "copy_to_host",
        [](std::uintptr_t to, std::uintptr_t from, std::size_t bytes, std::uintptr_t stream) {
            copy_to_host(pointer<void>(to), pointer<const void>(from), bytes,
                         pointer<void>(stream));
        },
        unlocked);
    m.def(
        "copy_to_device",
        [](std::uintptr_t to, std::uintptr_t from, std::size_t bytes, std::uintptr_t stream) {
            copy_to_device(pointer<void>(to), pointer<const void>(from), bytes,
                           pointer<void>(stream));
        },
        unlocked);
    m.def("sum_of_squares_parts", &sum_of_squares_parts);
    m.def("column_peaks_work", &column_peaks_work);
    m.def("sweep_limit", &sweep_limit);
    m.def("sweep_work", &sweep_work);
    m.def("hadamard_limit", &hadamard_limit);
    bind_maps(m);
    bind_tensor_cores<float>(m, "_f32");
    bind_tensor_cores<Brain>(m, "_bf16_f32");
    bind_products(m);
    bind_columns<float>(m, "_f32");
    bind_columns<double>(m, "_f64");
    bind_combine<float, float>(m, "_f32_f32");
    bind_combine<float, double>(m, "_f32_f64");
    bind_combine<double, float>(m, "_f64_f32");
    bind_combine<double, double>(m, "_f64_f64");
    bind_element<float>(m, "_f32");
    bind_element<double>(m, "_f64");
#ifdef RANDNLA_EMULATE
    emulator::bind(m);
#endif
}

}  // namespace randnla::cuda
