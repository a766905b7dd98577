# What `cmake --install` puts where. Components: runtime (the program and its files), library (the shared library), development
# (headers, archive, CMake and pkg-config files).
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/drover)

install(TARGETS drover RUNTIME COMPONENT runtime)
install(TARGETS drover_static EXPORT drover-static ARCHIVE COMPONENT development)
install(EXPORT drover-static NAMESPACE drover:: DESTINATION ${package_dir} COMPONENT development)
if(DROVER_SHARED)
    install(TARGETS drover_shared EXPORT drover-shared
        LIBRARY COMPONENT library NAMELINK_COMPONENT development)
    install(EXPORT drover-shared NAMESPACE drover:: DESTINATION ${package_dir} COMPONENT development)
endif()

configure_package_config_file(cmake/drover-config.cmake.in drover-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(drover-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/drover-config.cmake ${PROJECT_BINARY_DIR}/drover-config-version.cmake
    DESTINATION ${package_dir} COMPONENT development)

# From the .pc file, so that an installed tree can be moved.
file(RELATIVE_PATH DROVER_PREFIX_FROM_PC /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" DROVER_PREFIX_FROM_PC ${DROVER_PREFIX_FROM_PC})
set(DROVER_PRIVATE_LIBS -pthread)
if(NOT DROVER_LLHTTP_OBJECTS)
    string(APPEND DROVER_PRIVATE_LIBS " -lllhttp")
endif()
# A program finds the shared library where it was linked; in /usr the system's linker looks by itself.
set(DROVER_RUN_PATH "-Wl,-rpath,\${libdir} ")
configure_file(cmake/drover.pc.in drover.pc @ONLY)
install(CODE "
    file(READ [[${PROJECT_BINARY_DIR}/drover.pc]] text)
    if(CMAKE_INSTALL_PREFIX STREQUAL /usr)
        string(REPLACE [[${DROVER_RUN_PATH}]] \"\" text \"\${text}\")
    endif()
    file(WRITE [[${PROJECT_BINARY_DIR}/installed_pc/drover.pc]] \"\${text}\")
    file(INSTALL [[${PROJECT_BINARY_DIR}/installed_pc/drover.pc]]
        DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig\")" COMPONENT development)

install(CODE "
    set(DROVER_SOURCE_DIR [[${PROJECT_SOURCE_DIR}]])
    set(DROVER_BINARY_DIR [[${PROJECT_BINARY_DIR}]])
    set(DROVER_INCLUDE_DIR \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR})
    include([[${PROJECT_SOURCE_DIR}/cmake/install_headers.cmake]])" COMPONENT development)
