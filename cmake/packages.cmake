# `cpack` in the build directory makes Debian packages: drover (the program, its unit and its configuration), libdrover0.1
# (the shared library), libdrover-dev (headers, archive, CMake and pkg-config files).
set(DROVER_PACKAGE_MAINTAINER "Drover developers <drover@localhost>" CACHE STRING
    "Maintainer of the packages; whoever publishes them says who that is")
set(DROVER_DEBIAN_VERSION ${PROJECT_VERSION}-1)
set(library_package libdrover${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
string(TIMESTAMP DROVER_BUILD_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)  # or SOURCE_DATE_EPOCH
set(debian ${PROJECT_SOURCE_DIR}/cmake/debian)

# What only a package may put into a system; left out of a plain `cmake --install`, which has a prefix to stay in.
install(FILES conf/system.toml DESTINATION /etc/drover RENAME drover.toml COMPONENT system EXCLUDE_FROM_ALL)
install(FILES conf/drover.logrotate DESTINATION /etc/logrotate.d RENAME drover COMPONENT system EXCLUDE_FROM_ALL)
install(FILES conf/drover.service DESTINATION /lib/systemd/system COMPONENT system EXCLUDE_FROM_ALL)

# Debian wants copyright and changelogs in each package.
set(made_docs ${PROJECT_BINARY_DIR}/made/doc)
configure_file(${debian}/changelog.in ${made_docs}/changelog.Debian @ONLY)
add_custom_command(OUTPUT ${made_docs}/changelog.Debian.gz ${made_docs}/changelog.gz
    COMMAND ${DROVER_GZIP} -9nkf changelog.Debian
    COMMAND ${DROVER_GZIP} -9nc ${PROJECT_SOURCE_DIR}/CHANGELOG.md > changelog.gz
    DEPENDS ${made_docs}/changelog.Debian CHANGELOG.md WORKING_DIRECTORY ${made_docs} VERBATIM)
add_custom_target(drover_changelogs ALL DEPENDS ${made_docs}/changelog.Debian.gz)

# drover_package(COMPONENT NAME SECTION DESCRIPTION): what all three have.
function(drover_package component name section description)
    set(doc /usr/share/doc/${name})
    install(FILES ${debian}/copyright ${made_docs}/changelog.Debian.gz ${made_docs}/changelog.gz DESTINATION ${doc}
        COMPONENT ${component}-doc EXCLUDE_FROM_ALL)
    if(DROVER_PACKAGE_MAINTAINER MATCHES "@localhost>$")
        set(overrides ${made_docs}/${name}.overrides)
        file(WRITE ${overrides} "# Whoever publishes packages sets DROVER_PACKAGE_MAINTAINER.\n"
            "${name}: bogus-mail-host *\n${name}: bogus-mail-host-in-debian-changelog *\n")
        install(FILES ${overrides} DESTINATION /usr/share/lintian/overrides RENAME ${name}
            COMPONENT ${component}-doc EXCLUDE_FROM_ALL)
    endif()
    string(TOUPPER ${component} key)
    foreach(part ${component} ${component}-doc)
        string(TOUPPER ${part} part_key)
        set(CPACK_COMPONENT_${part_key}_GROUP ${component} PARENT_SCOPE)
    endforeach()
    set(CPACK_DEBIAN_${key}_PACKAGE_NAME ${name} PARENT_SCOPE)
    set(CPACK_DEBIAN_${key}_PACKAGE_SECTION ${section} PARENT_SCOPE)
    set(CPACK_DEBIAN_${key}_DESCRIPTION "${description}" PARENT_SCOPE)
endfunction()

drover_package(runtime drover httpd "A server of one small master, which owns configuration, listening sockets and
supervision, and of worker processes, which serve. A reload, a stop or the
death of a worker breaks no connection that can be saved. It serves HTTP.")
drover_package(library ${library_package} libs "The shared library, for servers that are built on it.")
drover_package(development libdrover-dev libdevel "Headers, static library, CMake and pkg-config files. `drover new NAME`, in the
package drover, writes a module to start from.")

set(CPACK_COMPONENT_SYSTEM_GROUP runtime)
set(CPACK_COMPONENTS_ALL runtime runtime-doc system library library-doc development development-doc)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME drover)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "master and worker processes, as a server and as a library")
set(CPACK_PACKAGE_CONTACT "${DROVER_PACKAGE_MAINTAINER}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${debian}/conffiles ${debian}/postinst ${debian}/prerm ${debian}/postrm)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${debian}/triggers)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${library_package} (= ${DROVER_DEBIAN_VERSION}), libevent-dev, \
libspdlog-dev, libtomlplusplus-dev, pkgconf")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "drover, cmake")
include(CPack)
