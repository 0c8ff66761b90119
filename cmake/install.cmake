# SPDX-License-Identifier: MIT
# `cmake --install`: the program, libp2s.a, the headers below include/p2s, and p2s.pc, which names
# what the static library needs.
include(GNUInstallDirs)
install(TARGETS libp2s ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET p2s)
  set_target_properties(p2s PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS p2s RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY base autograd cpu cuda nn data train eval
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/p2s
  FILES_MATCHING PATTERN "*.h" PATTERN "*_private.h" EXCLUDE)

set(P2S_PC_LIBS)
if(P2S_ONEDNN)
  # As -l, which CMake keeps behind libp2s.a; a bare path would come before it and be dropped.
  get_filename_component(dnnl_folder ${DNNL_LIBRARY} DIRECTORY)
  string(APPEND P2S_PC_LIBS " -L${dnnl_folder} -ldnnl")
endif()
if(MPI_C_FOUND)
  foreach(library ${MPI_C_LIBRARIES})
    get_filename_component(folder ${library} DIRECTORY)
    get_filename_component(name ${library} NAME_WE)
    string(REGEX REPLACE "^lib" "" name ${name})
    string(APPEND P2S_PC_LIBS " -L${folder} -l${name}")
  endforeach()
endif()
if(P2S_OPENMP)
  string(APPEND P2S_PC_LIBS " ${OpenMP_C_FLAGS}")
endif()
if(P2S_CUDA_LIBRARIES)
  string(APPEND P2S_PC_LIBS " -L${CUDAToolkit_LIBRARY_DIR} -lcudart -lcublasLt -ldl")
  if("cuDNN" IN_LIST P2S_CUDA_HAS)
    get_filename_component(cudnn_folder ${CUDNN_LIBRARY} DIRECTORY)
    string(APPEND P2S_PC_LIBS " -L${cudnn_folder} -lcudnn")
  endif()
  string(APPEND P2S_PC_LIBS " -lstdc++")
endif()
# Relative to the file itself, so that an installation may be moved.
file(RELATIVE_PATH P2S_PC_INCLUDE ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
  ${CMAKE_INSTALL_FULL_INCLUDEDIR}/p2s)
configure_file(cmake/p2s.pc.in p2s.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/p2s.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
