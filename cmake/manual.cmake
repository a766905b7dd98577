# The manual pages and the completion, as the program itself writes them. Without scdoc there are no pages.
find_program(DROVER_SCDOC scdoc DOC "Makes the manual pages")
find_program(DROVER_GZIP gzip)

set(made ${PROJECT_BINARY_DIR}/made)
file(MAKE_DIRECTORY ${made})
add_custom_command(OUTPUT ${made}/completion COMMAND drover help completion > ${made}/completion DEPENDS drover)
set(made_files ${made}/completion)
install(FILES ${made}/completion DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME drover
    COMPONENT runtime)

# drover_manual(PAGE SECTION TOPIC): PAGE.SECTION.gz out of `drover help TOPIC`.
function(drover_manual page section topic)
    set(file ${made}/${page}.${section})
    add_custom_command(OUTPUT ${file}.gz
        COMMAND drover help ${topic} > ${file}.scd
        COMMAND ${DROVER_SCDOC} < ${file}.scd > ${file}
        COMMAND ${DROVER_GZIP} -9nf ${file}
        DEPENDS drover VERBATIM)
    set(made_files ${made_files} ${file}.gz PARENT_SCOPE)
    install(FILES ${file}.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT runtime)
endfunction()

if(DROVER_SCDOC AND DROVER_GZIP)
    drover_manual(drover 1 manual)
    drover_manual(drover.toml 5 config-manual)
else()
    message(STATUS "No manual pages: scdoc or gzip is missing")
endif()
add_custom_target(drover_manual ALL DEPENDS ${made_files})
