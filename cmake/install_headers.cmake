# Run by `cmake --install`: puts the public headers into DROVER_INCLUDE_DIR/drover. The sources include each other from the
# root of the tree ("worker/module.h"); a stranger's program may well have a worker/ of its own, so installed headers say
# "drover/worker/module.h". Given: DROVER_SOURCE_DIR, DROVER_BINARY_DIR, DROVER_INCLUDE_DIR.
cmake_policy(VERSION 3.25)
include(${DROVER_SOURCE_DIR}/cmake/public_headers.cmake)

drover_public_headers(headers ${DROVER_SOURCE_DIR})
foreach(header IN LISTS headers)
    file(READ ${DROVER_SOURCE_DIR}/${header} text)
    string(REGEX REPLACE "#include \"(core|conf|worker|modules|master)/" "#include \"drover/\\1/" text "${text}")
    set(rewritten ${DROVER_BINARY_DIR}/installed_headers/${header})
    file(WRITE ${rewritten} "${text}")
    get_filename_component(folder ${header} DIRECTORY)
    file(INSTALL ${rewritten} DESTINATION ${DROVER_INCLUDE_DIR}/drover/${folder})
endforeach()
