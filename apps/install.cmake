# What `cmake --install` lays down besides the commands: the libraries, their headers and the CMake
# package. Another project then says
#
#   find_package(gramtile REQUIRED)
#   target_link_libraries(mine PRIVATE gramtile::engine)      # arrays in memory
#   target_link_libraries(mine PRIVATE gramtile::io)          # and files
#
# and includes "engine/…" and "io/…" as the project itself does.
set(gramtile_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gramtile)

install(TARGETS gramtile_engine gramtile_io gramtile_options EXPORT gramtileTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT gramtileTargets NAMESPACE gramtile:: DESTINATION ${gramtile_package_dir})
# handle.hpp is the inside of the HDF5 seam; *-inl.hpp is compiled once per instruction set.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/engine ${PROJECT_SOURCE_DIR}/io
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/gramtile
  FILES_MATCHING PATTERN "*.hpp" PATTERN "handle.hpp" EXCLUDE PATTERN "*-inl.hpp" EXCLUDE)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/gramtileConfig.cmake.in
  ${PROJECT_BINARY_DIR}/gramtileConfig.cmake INSTALL_DESTINATION ${gramtile_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/gramtileConfigVersion.cmake
  VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/gramtileConfig.cmake
  ${PROJECT_BINARY_DIR}/gramtileConfigVersion.cmake DESTINATION ${gramtile_package_dir})
