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

set(private_libs -pthread)
if(NOT DROVER_LLHTTP_OBJECTS)
    string(APPEND private_libs " -lllhttp")
endif()
install(CODE "
    set(DROVER_SOURCE_DIR [[${PROJECT_SOURCE_DIR}]])
    set(DROVER_LIBDIR [[${CMAKE_INSTALL_LIBDIR}]])
    set(DROVER_INCLUDEDIR [[${CMAKE_INSTALL_INCLUDEDIR}]])
    set(PC_DESCRIPTION [[${PROJECT_DESCRIPTION}]])
    set(PC_VERSION [[${PROJECT_VERSION}]])
    set(PC_PRIVATE_LIBS [[${private_libs}]])
    include([[${PROJECT_SOURCE_DIR}/cmake/install_pc.cmake]])" COMPONENT development)
install(DIRECTORY ${PROJECT_BINARY_DIR}/include/drover DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
