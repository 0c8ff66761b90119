// SPDX-License-Identifier: MIT
// See device.h.
#include "cli/device.h"

#include "autograd/backend.h"
#include "base/error.h"
#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "cuda/plan_table.h"

#include <stdlib.h>
#include <string.h>

int device_use(const char *device, int64_t threads) {
    const char *table = getenv("P2S_PLAN_TABLE");
    if (strcmp(device, "cuda") == 0 && table && plan_table_read(table) != 0) return -1;
    const Backend *backend =
        strcmp(device, "cuda") == 0 ? cuda_backend(cpu_backend()) : cpu_backend();
    if (!backend) return -1;
    if (threads > 0) cpu_set_threads((int)threads);
    backend_use(backend);
    return 0;
}

int device_option(const char *device, int64_t threads) {
    return device_use(device, threads) == 0 ? 0 : error_context("--device %s", device);
}
