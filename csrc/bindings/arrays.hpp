// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "randnla/error.hpp"
#include "randnla/matrix_view.hpp"

// From Python arrays to views. The Python storey has validated for the user; these checks make sure
// that no call, however made, reads or writes memory it should not. Nothing is ever converted.
namespace randnla::bindings {

namespace py = pybind11;

// Lets other Python threads run meanwhile. A daemon thread that asks for the lock again while the
// interpreter ends is unwound by Python, through a destructor that must let that pass: pybind11's
// own does not, and the process would abort.
class ReleaseGil {
  public:
    ReleaseGil() : state_(PyEval_SaveThread()) {}
    ~ReleaseGil() noexcept(false) { PyEval_RestoreThread(state_); }
    ReleaseGil(const ReleaseGil&) = delete;
    ReleaseGil& operator=(const ReleaseGil&) = delete;

  private:
    PyThreadState* state_;
};

[[noreturn]] inline void refuse(const char* name, const std::string& why) {
    throw Error(ErrorKind::input, std::string(name) + ": " + why);
}

template <class T>
bool has_dtype(const py::array& array) {
    return py::dtype::of<T>().equal(array.dtype());
}

template <class T>
void check_elements(const py::array& array, int ndim, const char* name) {
    if (!has_dtype<T>(array))
        refuse(name, "expected dtype " + std::string(py::str(py::dtype::of<T>())) + ", got " +
                         std::string(py::str(array.dtype())));
    if (array.ndim() != ndim)
        refuse(name, "expected " + std::to_string(ndim) + " dimensions, got " +
                         std::to_string(array.ndim()));
    if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) != 0)
        refuse(name, "data is not aligned");
    for (int axis = 0; axis < ndim; ++axis)
        if (array.strides(axis) % static_cast<py::ssize_t>(sizeof(T)) != 0 && array.shape(axis) > 1)
            refuse(name, "strides are not multiples of the element size");
}

template <class T>
MatrixView<const T> input_matrix(const py::array& array, const char* name) {
    check_elements<T>(array, 2, name);
    constexpr auto size = static_cast<py::ssize_t>(sizeof(T));
    return {static_cast<const T*>(array.data()), array.shape(0), array.shape(1),
            array.strides(0) / size, array.strides(1) / size};
}

template <class T>
MatrixView<T> output_matrix(py::array& array, const char* name) {
    if (!array.writeable()) refuse(name, "array is read-only");
    const auto view = input_matrix<T>(array, name);
    return {static_cast<T*>(array.mutable_data()), view.rows, view.cols, view.row_stride,
            view.col_stride};
}

template <class T>
BatchView<const T> input_batch(const py::array& array, const char* name) {
    check_elements<T>(array, 3, name);
    constexpr auto size = static_cast<py::ssize_t>(sizeof(T));
    return {static_cast<const T*>(array.data()),
            array.shape(0),
            array.shape(1),
            array.shape(2),
            array.strides(0) / size,
            array.strides(1) / size,
            array.strides(2) / size};
}

template <class T>
BatchView<T> output_batch(py::array& array, const char* name) {
    if (!array.writeable()) refuse(name, "array is read-only");
    const auto view = input_batch<T>(array, name);
    return {static_cast<T*>(array.mutable_data()),
            view.count,
            view.rows,
            view.cols,
            view.stride,
            view.row_stride,
            view.col_stride};
}

// A contiguous vector.
template <class T>
struct VectorView {
    T* data;
    index_t size;
};

template <class T>
VectorView<const T> input_vector(const py::array& array, const char* name) {
    check_elements<T>(array, 1, name);
    if (array.shape(0) > 1 && array.strides(0) != static_cast<py::ssize_t>(sizeof(T)))
        refuse(name, "vector is not contiguous");
    return {static_cast<const T*>(array.data()), array.shape(0)};
}

template <class T>
VectorView<T> output_vector(py::array& array, const char* name) {
    if (!array.writeable()) refuse(name, "array is read-only");
    const auto view = input_vector<T>(array, name);
    return {static_cast<T*>(array.mutable_data()), view.size};
}

template <class T>
py::array_t<T> new_matrix(index_t rows, index_t cols) {
    return py::array_t<T>({static_cast<py::ssize_t>(rows), static_cast<py::ssize_t>(cols)});
}

// f(T{}) for the element type of the array, float or double.
template <class F>
auto visit_real(const py::array& array, const char* name, F&& f) {
    if (has_dtype<float>(array)) return f(float{});
    if (has_dtype<double>(array)) return f(double{});
    refuse(name, "expected dtype float32 or float64, got " + std::string(py::str(array.dtype())));
}

}  // namespace randnla::bindings
