// SPDX-License-Identifier: MIT
// p2s check: every op's cases, without the test framework.
#include "cli/arguments.h"
#include "cli/command.h"

#include "tests/op_cases.h"

static const char help[] =
    "usage: p2s check [OP] [--large] [--json]\n\n"
    "Runs the cases of every op, or of OP: gradients in double precision against central\n"
    "differences, fast and reference kernels in single precision against double, known values,\n"
    "and rejections. Ends with \"N passed, N failed, N skipped\"; exit code 1 if any failed.\n\n"
    "  --large  instead the large shapes of p2s bench ops, fast against reference; minutes\n\n"
    "  p2s check group_norm\n"
    "  p2s check --json > checks.jsonl\n";

int cmd_check(int argc, char **argv) {
    Words words = {0};
    bool json = false, large = false;
    int code = EXIT_OK;
    const Argument table[] = {ARG_FLAG("--json", json), ARG_FLAG("--large", large)};
    const Arguments known = {.help = help,
                             .options = table,
                             .option_count = ARGUMENTS_COUNT(table),
                             .words = &words,
                             .max_words = 1};
    if (!arguments_read(&known, argc, argv, &code)) return code;
    CaseCounts counts;
    const int failed =
        (large ? op_cases_check_large : op_cases_check)(words.items[0], json, stdout, &counts);
    if (failed < 0) return command_failed();
    if (!json) printf("%d passed, %d failed, %d skipped\n", counts.passed, failed, counts.skipped);
    return failed ? EXIT_FAILED : EXIT_OK;
}
