// SPDX-License-Identifier: MIT
// Sums over the processes of a job by NCCL. Its library is looked for when it is needed: a program
// for one GPU starts without. See all_reduce.h; without NCCL's header without_nccl.c stands here.
#include "cuda/all_reduce.h"

#include "base/error.h"
#include "base/job.h"
#include "cuda/runtime.h"

#include <dlfcn.h>
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NCCL_FUNCTIONS(FUNCTION)                                                               \
    FUNCTION(GetVersion, (int *version))                                                       \
    FUNCTION(GetUniqueId, (ncclUniqueId * id))                                                 \
    FUNCTION(CommInitRank, (ncclComm_t * communicator, int size, ncclUniqueId id, int rank))   \
    FUNCTION(AllReduce, (const void *from, void *to, size_t count, ncclDataType_t type,        \
                         ncclRedOp_t operation, ncclComm_t communicator, cudaStream_t stream)) \
    FUNCTION(GroupStart, (void))                                                               \
    FUNCTION(GroupEnd, (void))

#define FIELD(name, arguments) ncclResult_t(*name) arguments;
static struct {
    NCCL_FUNCTIONS(FIELD)
    const char *(*GetErrorString)(ncclResult_t result);
} nccl;
#undef FIELD

static ncclComm_t communicator;

#define NCCL_TRY(name, ...)                                                                     \
    do {                                                                                        \
        ncclResult_t status_ = nccl.name(__VA_ARGS__);                                          \
        if (status_ != ncclSuccess)                                                             \
            return error_int("nccl" #name ": %s (NCCL error %d)", nccl.GetErrorString(status_), \
                             (int)status_);                                                     \
    } while (0)

static int find(void *library, const char *name, void *function) {
    void *found = dlsym(library, name);
    if (!found) return error_int("libnccl.so.2 has no %s", name);
    memcpy(function, &found, sizeof found);
    return 0;
}

static int load(void) {
    void *library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return error_int("several GPUs need NCCL, which was not found (%s); LD_LIBRARY_PATH may "
                         "name its folder",
                         dlerror());
#define FIND(name, arguments) \
    if (find(library, "nccl" #name, &nccl.name) != 0) return -1;
    NCCL_FUNCTIONS(FIND)
#undef FIND
    return find(library, "ncclGetErrorString", &nccl.GetErrorString);
}

static int join(void) {
    ncclUniqueId id;
    memset(&id, 0, sizeof id);
    // Sums by the switch of an NVLink network may come in another order every time.
    setenv("NCCL_ALGO", "^NVLS", 0);
    if (job_rank() == 0) NCCL_TRY(GetUniqueId, &id);
    job_share(&id, sizeof id);
    NCCL_TRY(CommInitRank, &communicator, job_size(), id, job_rank());
    return 0;
}

int all_reduce_open(void) {
    const char *alone = getenv("P2S_NCCL");
    if (communicator || (job_size() == 1 && !(alone && strcmp(alone, "1") == 0))) return 0;
    if (job_agree(load()) != 0) return -1;
    if (join() == 0) return 0;
    return error_context(
        "rank %d of %d, GPU %d of this machine (each process needs one of its own)", job_rank(),
        job_size(), job_local_rank());
}

void all_reduce_text(char text[LIBRARY_TEXT]) {
    int version = 0;
    text[0] = '\0';
    if (!communicator) return;
    nccl.GetVersion(&version);
    snprintf(text, LIBRARY_TEXT, ", NCCL %d", version);
}

static int give(void *data, size_t count, ncclDataType_t type) {
    NCCL_TRY(AllReduce, data, data, count, type, ncclSum, communicator,
             (cudaStream_t)device_stream(STREAM_COMPUTE));
    return 0;
}

static int give_all(Tensor *const *tensors, int64_t count, const Tensor *found) {
    for (int64_t i = 0; i < count; i++) {
        if (tensors[i]->dtype != F32)
            return error_int("all_reduce: %s is not f32", tensor_text(tensors[i]));
        if (give(tensors[i]->data, (size_t)tensor_numel(tensors[i]), ncclFloat32) != 0) return -1;
    }
    return give(found->data, STEP_FOUND, ncclFloat64);
}

// One group: NCCL makes few launches of all.
int cuda_all_reduce(Tensor *const *tensors, int64_t count, Tensor *found) {
    if (!communicator) return 0;
    NCCL_TRY(GroupStart);
    const int result = give_all(tensors, count, found);
    NCCL_TRY(GroupEnd);
    return result;
}
