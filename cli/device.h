// SPDX-License-Identifier: MIT
// Where tensors live and how many threads work: chosen here and nowhere below.
#ifndef CLI_DEVICE_H
#define CLI_DEVICE_H

#include "cli/arguments.h"

// Rows of an Argument table for --device and --threads.
#define DEVICE_ARGUMENTS(device, threads) \
    ARG_CHOICE("--device", device, "cpu|cuda"), ARG_RANGE("--threads", INTEGER, threads, 0, 1024)

// Makes "cpu" or "cuda" the current back end; `threads` is 0 for all processors. An error when the
// program was built without it or there is none; the caller says where it was chosen.
int device_use(const char *device, int64_t threads);

// The same for who has DEVICE_ARGUMENTS, or --device alone.
int device_option(const char *device, int64_t threads);

#endif
