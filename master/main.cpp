#include "core/base/version.h"
#include "master/cli/cli.h"
#include "modules/all_modules.h"

int main(int argc, char** argv) {
    return drover::run_command_line(argc, argv, drover::all_modules(), drover::version());
}
