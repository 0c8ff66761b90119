# SPDX-License-Identifier: MIT
# Conveniences, one word each:
#   check        every check and test of this build      check-fast   the same without test_*_slow
#   format       formats all sources                     bench        times every op
#   check-cuda   op cases on a GPU, memory checked       fixtures     tests/fixtures, by P2S_PYTHON
add_custom_target(check-sources
  COMMAND scripts/check_includes.sh
  COMMAND scripts/check_format.sh
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} USES_TERMINAL VERBATIM)
add_custom_target(format
  COMMAND scripts/check_format.sh --fix
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} USES_TERMINAL VERBATIM)

set(op_check)
if(TARGET p2s)
  set(op_check COMMAND p2s check)
  add_custom_target(bench COMMAND p2s bench ops USES_TERMINAL VERBATIM)
endif()
set(tests COMMAND ${CMAKE_CTEST_COMMAND} --output-on-failure)
add_custom_target(check ${op_check} ${tests} USES_TERMINAL VERBATIM)
add_custom_target(check-fast ${op_check} ${tests} -LE slow USES_TERMINAL VERBATIM)
foreach(target check check-fast)
  add_dependencies(${target} check-sources ${P2S_TEST_PROGRAMS})
endforeach()

# Needs a machine with a GPU.
find_program(P2S_COMPUTE_SANITIZER compute-sanitizer HINTS /usr/local/cuda/bin)
if(P2S_CUDA_WHY OR NOT P2S_COMPUTE_SANITIZER)
  add_custom_target(check-cuda
    COMMAND ${CMAKE_COMMAND} -E echo "check-cuda: this build has no CUDA back end, or there is no compute-sanitizer"
    COMMAND ${CMAKE_COMMAND} -E false VERBATIM)
else()
  add_custom_target(check-cuda
    COMMAND ${P2S_COMPUTE_SANITIZER} --error-exitcode 1 $<TARGET_FILE:p2s> check --device cuda
    USES_TERMINAL VERBATIM)
endif()

# Needs the packages that scripts/make_fixtures.py names.
set(P2S_PYTHON python3 CACHE STRING "Python with PyTorch and diffusers, for the fixtures")
add_custom_target(fixtures
  COMMAND ${CMAKE_COMMAND} -E env P2S_PROGRAM=$<TARGET_FILE:p2s>
          ${P2S_PYTHON} scripts/make_fixtures.py tests/fixtures
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} USES_TERMINAL VERBATIM)
