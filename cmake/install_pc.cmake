# Run by `cmake --install`: writes drover.pc, for the prefix that is known only now. Given: DROVER_SOURCE_DIR, DROVER_LIBDIR,
# DROVER_INCLUDEDIR, and the values that drover.pc.in names.
cmake_policy(VERSION 3.25)
include(${DROVER_SOURCE_DIR}/cmake/install_text.cmake)

drover_installed_path(library_dir ${DROVER_LIBDIR})
drover_installed_path(PC_INCLUDE_DIR ${DROVER_INCLUDEDIR})
set(PC_PREFIX ${CMAKE_INSTALL_PREFIX})
set(PC_LIBRARY_DIR ${library_dir})
if(NOT IS_ABSOLUTE ${DROVER_LIBDIR})
    # From the .pc file, so that an installed tree can be moved.
    file(RELATIVE_PATH to_prefix ${library_dir}/pkgconfig ${CMAKE_INSTALL_PREFIX})
    string(REGEX REPLACE "/$" "" to_prefix ${to_prefix})
    set(PC_PREFIX \${pcfiledir}/${to_prefix})
    set(PC_LIBRARY_DIR \${prefix}/${DROVER_LIBDIR})
endif()
if(NOT IS_ABSOLUTE ${DROVER_INCLUDEDIR})
    set(PC_INCLUDE_DIR \${prefix}/${DROVER_INCLUDEDIR})
endif()
# A program finds the shared library where it was linked; in /usr the system's linker looks by itself.
if(NOT library_dir MATCHES "^(/usr)?/lib(/|$)")
    set(PC_RUN_PATH "-Wl,-rpath,\${libdir} ")
endif()
file(READ ${DROVER_SOURCE_DIR}/cmake/drover.pc.in text)
string(CONFIGURE "${text}" text @ONLY)
drover_install_text(${library_dir}/pkgconfig/drover.pc "${text}")
