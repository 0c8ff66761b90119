// SPDX-License-Identifier: MIT
// p2s check: every op's cases, without the test framework.
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/device.h"

#include "tests/op_cases.h"

#include <string.h>

static const char help[] =
    "usage: p2s check [OP] [--large | --device cuda] [--json]\n\n"
    "Runs the cases of every op, or of OP: gradients in double precision against central\n"
    "differences, fast and reference kernels in single precision against double, known values,\n"
    "and rejections. Ends with \"N passed, N failed, N skipped\"; exit code 1 if any failed.\n\n"
    "  --large        instead the large shapes of p2s bench ops, fast against reference; minutes\n"
    "  --device cuda  instead the kernels of that device, in f32 and bf16, against the "
    "reference\n\n"
    "  p2s check group_norm\n"
    "  p2s check --json > checks.jsonl\n";

static int check(const char *device, const char *only, bool large, bool json, CaseCounts *counts) {
    if (strcmp(device, "cpu") != 0)
        return op_cases_check_device(backend_current(), only, json, stdout, counts);
    return (large ? op_cases_check_large : op_cases_check)(only, json, stdout, counts);
}

int cmd_check(int argc, char **argv) {
    Words words = {0};
    bool json = false, large = false;
    const char *device = "cpu";
    int code = EXIT_OK;
    const Argument table[] = {ARG_FLAG("--json", json), ARG_FLAG("--large", large),
                              ARG_CHOICE("--device", device, "cpu|cuda")};
    const Arguments known = {.help = help,
                             .options = table,
                             .option_count = ARGUMENTS_COUNT(table),
                             .words = &words,
                             .max_words = 1};
    if (!arguments_read(&known, argc, argv, &code)) return code;
    CaseCounts counts;
    if (device_option(device, 0) != 0) return command_failed();
    const int failed = check(device, words.items[0], large, json, &counts);
    if (failed < 0) return command_failed();
    if (!json) printf("%d passed, %d failed, %d skipped\n", counts.passed, failed, counts.skipped);
    return failed ? EXIT_FAILED : EXIT_OK;
}
