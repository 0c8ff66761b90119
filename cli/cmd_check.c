// SPDX-License-Identifier: MIT
// p2s check: every op's cases, without the test framework.
#include "cli/command.h"

#include "tests/op_cases.h"

#include <string.h>

static const char help[] =
    "usage: p2s check [OP] [--json]\n\n"
    "Runs the cases of every op, or of OP: gradients in double precision against central\n"
    "differences, fast and reference kernels in single precision against double, known values,\n"
    "and rejections. Ends with \"N passed, N failed, N skipped\"; exit code 1 if any failed.\n\n"
    "  p2s check group_norm\n"
    "  p2s check --json > checks.jsonl\n";

int cmd_check(int argc, char **argv) {
    const char *only = NULL;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) return fputs(help, stdout), EXIT_OK;
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (argv[i][0] != '-' && !only)
            only = argv[i];
        else
            return fprintf(stderr, "p2s check: unexpected \"%s\"\n%s", argv[i], help), EXIT_USAGE;
    }
    int ran = 0, failed = op_cases_check(only, json, stdout, &ran);
    if (failed < 0) return command_failed();
    if (!json) printf("%d passed, %d failed, 0 skipped\n", ran - failed, failed);
    return failed ? EXIT_FAILED : EXIT_OK;
}
