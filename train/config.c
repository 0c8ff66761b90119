// SPDX-License-Identifier: MIT
// The rows of the training config. See config.h.
#include "train/config.h"

#define TRAIN_ROW(...) CONFIG_ROW(TrainConfig, __VA_ARGS__)
static const ConfigKey keys[] = {TRAIN_KEYS(TRAIN_ROW)};
const ConfigTable train_table = {keys, sizeof keys / sizeof keys[0]};
