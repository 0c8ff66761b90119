# SPDX-License-Identifier: MIT
# Conveniences, one word each:
#   check        every check and test of this build      check-fast   the same without test_*_slow
#   format       formats all sources                     bench        times every op
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
