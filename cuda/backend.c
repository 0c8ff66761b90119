// SPDX-License-Identifier: MIT
// The table of the CUDA back end, made from OP_LIST.
#include "cuda/cuda.h"

#include "base/error.h"
#include "base/job.h"
#include "cuda/all_reduce.h"
#include "cuda/host_path.h"
#include "cuda/kernels.h"
#include "cuda/library.h"
#include "cuda/memory.h"
#include "cuda/plan_table.h"
#include "cuda/record.h"
#include "cuda/runtime.h"

#include <inttypes.h>
#include <stdio.h>

static Backend backend = {.name = "cuda",
                          .bf16 = true,
                          .alloc = cuda_alloc,
                          .free = cuda_free,
                          .write = cuda_write,
                          .read = cuda_read,
                          .copy = cuda_copy,
                          .fill = cuda_fill,
                          .add_to = cuda_add_to,
                          .sum_of_squares = cuda_sum_of_squares,
                          .clip = cuda_clip,
                          .adamw = cuda_adamw,
                          .all_reduce = cuda_all_reduce,
                          .note_loss = cuda_note_loss,
                          .fetch_begin = cuda_fetch_begin,
                          .fetch_end = cuda_fetch_end,
                          .record_begin = cuda_record_begin,
                          .record_end = cuda_record_end,
                          .record_forget = cuda_record_forget,
                          .stats = cuda_stats,
                          .reset_stats = cuda_reset_stats,
                          .trim = cuda_trim,
#define OP(name, inputs, outputs) \
    .name##_forward = cuda_##name##_forward, .name##_backward = cuda_##name##_backward,
                          OP_LIST(OP)
#undef OP
};

// What beside shapes decides the last bits: another device, library or plan is another run.
static const char *kernels_text(void) {
    static char text[5 * LIBRARY_TEXT];
    char product[LIBRARY_TEXT], convolve[LIBRARY_TEXT], sum[LIBRARY_TEXT];
    library_product_text(product);
    library_convolve_text(convolve);
    all_reduce_text(sum);
    snprintf(text, sizeof text, "%s, %s, %s, plans %016" PRIx64 "%s", device_text(), product,
             convolve, plan_table_hash(), sum);
    return text;
}

const Backend *cuda_backend(const Backend *host) {
    if (job_agree(device_open()) != 0 || all_reduce_open() != 0) return NULL;
    cuda_host_use(host);
    backend.kernels = kernels_text();
    return &backend;
}
