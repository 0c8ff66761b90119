// SPDX-License-Identifier: MIT
// The table of an evaluation's keys. See config.h.
#include "eval/config.h"

#define ROW(...) CONFIG_ROW(EvalConfig, __VA_ARGS__)
static const ConfigKey keys[] = {EVAL_KEYS(ROW)};
#undef ROW

const ConfigTable eval_table = {keys, sizeof keys / sizeof *keys};
