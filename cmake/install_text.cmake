# drover_install_text(PATH TEXT): a file that is made by `cmake --install` is written where it belongs; the build tree may be
# another user's.
function(drover_install_text path text)
    message(STATUS "Installing: $ENV{DESTDIR}${path}")
    file(WRITE $ENV{DESTDIR}${path} "${text}")
    file(CHMOD $ENV{DESTDIR}${path} PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
    set(CMAKE_INSTALL_MANIFEST_FILES ${CMAKE_INSTALL_MANIFEST_FILES} ${path} PARENT_SCOPE)
endfunction()

# drover_installed_path(RESULT PATH): CMAKE_INSTALL_LIBDIR and its like may be absolute.
function(drover_installed_path result path)
    cmake_path(ABSOLUTE_PATH path BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} NORMALIZE)
    set(${result} ${path} PARENT_SCOPE)
endfunction()
