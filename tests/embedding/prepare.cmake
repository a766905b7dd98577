# Installs BUILD into PREFIX, afresh, and builds SOURCE/examples against it in WORK, as a stranger would.
cmake_policy(VERSION 3.25)

function(run)
    execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "${ARGN}\n${output}")
    endif()
endfunction()

file(REMOVE_RECURSE ${PREFIX} ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX})

file(GLOB examples RELATIVE ${SOURCE}/examples ${SOURCE}/examples/*)
foreach(example IN LISTS examples)
    set(binary ${WORK}/${example})
    run(${CMAKE_COMMAND} -S ${SOURCE}/examples/${example} -B ${binary} -DCMAKE_PREFIX_PATH=${PREFIX}
        -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_FLAGS=-O1 -DCMAKE_EXPORT_COMPILE_COMMANDS=ON)
    run(${CMAKE_COMMAND} --build ${binary})
    # Flags of ours, or our source tree, would come with the target.
    file(READ ${binary}/compile_commands.json commands)
    if(NOT commands MATCHES "-isystem ${PREFIX}/include -O1 (-std=[a-z+0-9]+) -o" OR commands MATCHES " -W")
        message(FATAL_ERROR "${example} is compiled with more than it asks for: ${commands}")
    endif()
endforeach()
