// SPDX-License-Identifier: MIT
// The host sums, in its turn of the emulated stream. See cuda/all_reduce.h.
#include "cuda/all_reduce.h"

#include "base/error.h"
#include "base/job.h"
#include "cuda/emulation/work.h"
#include "cuda/host_path.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    Tensor *found;
    int64_t count;
    Tensor *tensors[]; // whose memory is the host's
} Sum;

int all_reduce_open(void) {
    return 0;
}

void all_reduce_text(char text[LIBRARY_TEXT]) {
    text[0] = '\0';
}

static int sum(void *context) {
    Sum *all = context;
    return cuda_host()->all_reduce(all->tensors, all->count, all->found);
}

int cuda_all_reduce(Tensor *const *tensors, int64_t count, Tensor *found) {
    const size_t list = (size_t)count * sizeof *tensors, bytes = sizeof(Sum) + list;
    if (job_size() == 1) return 0;
    Sum *all = malloc(bytes);
    if (!all) return error_int("emulation: out of memory");
    *all = (Sum){.found = found, .count = count};
    memcpy(all->tensors, tensors, list);
    const int result = emulate_work(sum, all, bytes);
    free(all);
    return result;
}
