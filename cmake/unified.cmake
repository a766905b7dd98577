# drover_unified(OUT NAME KIND SOURCE...): puts into OUT what a target is to be compiled from. When DROVER_UNIFIED names
# KIND (program, tests), that is a few files that include a dozen sources each: most of a compiler's time goes into
# headers, and those are then read once for all twelve. Otherwise it is the sources themselves.
#
# The name matters: clang's analyzer looks at the functions of included sources when the including file is called
# UnifiedSource.
set(DROVER_UNIFIED "" CACHE STRING "Whose sources are compiled a dozen at a time: program, tests")

# A local name hides nothing when the global one beside it is another file's.
set(DROVER_UNIFIED_WARNINGS "")
if(DROVER_WARNINGS AND DROVER_UNIFIED)
    set(DROVER_UNIFIED_WARNINGS -Wno-shadow $<$<CXX_COMPILER_ID:GNU>:-Wshadow=local>)
endif()

function(drover_unified out name kind)
    if(NOT kind IN_LIST DROVER_UNIFIED)
        set(${out} ${ARGN} PARENT_SCOPE)
        return()
    endif()
    set(units "")
    list(LENGTH ARGN count)
    math(EXPR unit_count "(${count} + 11) / 12")
    set(number 0)
    while(number LESS unit_count)
        # Every unit_count-th source: neighbours are alike, and long ones are spread.
        set(text "")
        set(index ${number})
        while(index LESS count)
            list(GET ARGN ${index} source)
            get_filename_component(source ${source} ABSOLUTE)
            string(APPEND text "#include \"${source}\"  // NOLINT(bugprone-suspicious-include)\n")
            math(EXPR index "${index} + ${unit_count}")
        endwhile()
        set(unit ${CMAKE_CURRENT_BINARY_DIR}/unified/UnifiedSource_${name}_${number}.cpp)
        file(CONFIGURE OUTPUT ${unit} CONTENT "${text}" @ONLY)
        list(APPEND units ${unit})
        math(EXPR number "${number} + 1")
    endwhile()
    set(${out} ${units} PARENT_SCOPE)
endfunction()
