// SPDX-License-Identifier: MIT
// The device through the CUDA runtime. See runtime.h.
#include "cuda/runtime.h"

#include "base/error.h"
#include "base/job.h"
#include "cuda/try.h"

#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool opened;
static cudaStream_t streams[STREAM_COUNT];
static cudaEvent_t order[STREAM_COUNT], marks[MARK_COUNT];

static size_t all_memory;
static char architecture[32];

static int make_streams(void) {
    for (int i = 0; i < STREAM_COUNT; i++) {
        CUDA_TRY(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking));
        CUDA_TRY(cudaEventCreateWithFlags(&order[i], cudaEventDisableTiming));
    }
    for (int i = 0; i < MARK_COUNT; i++)
        CUDA_TRY(cudaEventCreateWithFlags(&marks[i], cudaEventDisableTiming));
    return 0;
}

static int open_one(void) {
    int count = 0, major = 0, minor = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaErrorInsufficientDriver || status == cudaErrorNoDevice ||
        (status == cudaSuccess && count == 0))
        return error_int("no usable NVIDIA GPU: %s (CUDA error %d)",
                         status == cudaSuccess ? "no device is visible"
                                               : cudaGetErrorString(status),
                         (int)status);
    CUDA_TRY(status);
    const int device = job_local_rank() % count;
    CUDA_TRY(cudaSetDevice(device));
    CUDA_TRY(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
    CUDA_TRY(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
    snprintf(architecture, sizeof architecture, "sm_%d%d", major, minor);
    if (major < 8)
        return error_int("the GPU has compute capability %d.x, at least 8.0 is needed", major);
    size_t left;
    CUDA_TRY(cudaMemGetInfo(&left, &all_memory));
    return make_streams();
}

int device_open(void) {
    pthread_mutex_lock(&lock);
    int result = opened ? 0 : open_one();
    opened = result == 0;
    pthread_mutex_unlock(&lock);
    return result;
}

const char *device_text(void) {
    return architecture;
}

void *device_take(size_t bytes) {
    void *memory = NULL;
    if (cudaMalloc(&memory, bytes) == cudaSuccess) return memory;
    (void)cudaGetLastError(); // being out of memory is no lasting error
    return NULL;
}

void device_give(void *memory) {
    cudaFree(memory);
}

size_t device_room(void) {
    return all_memory;
}

void *pinned_take(size_t bytes) {
    void *memory = NULL;
    if (cudaMallocHost(&memory, bytes) == cudaSuccess) return memory;
    (void)cudaGetLastError();
    return NULL;
}

int device_copy(Stream stream, void *to, const void *from, size_t bytes, CopyDirection direction) {
    static const enum cudaMemcpyKind kinds[] = {cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost,
                                                cudaMemcpyDeviceToDevice};
    CUDA_TRY(cudaMemcpyAsync(to, from, bytes, kinds[direction], streams[stream]));
    return 0;
}

int device_set(void *to, int byte, size_t bytes) {
    CUDA_TRY(cudaMemsetAsync(to, byte, bytes, streams[STREAM_COMPUTE]));
    return 0;
}

int stream_follow(Stream later, Stream earlier) {
    CUDA_TRY(cudaEventRecord(order[earlier], streams[earlier]));
    CUDA_TRY(cudaStreamWaitEvent(streams[later], order[earlier], 0));
    return 0;
}

int stream_wait(Stream stream) {
    CUDA_TRY(cudaStreamSynchronize(streams[stream]));
    return 0;
}

int mark_set(int mark, Stream stream) {
    CUDA_TRY(cudaEventRecord(marks[mark], streams[stream]));
    return 0;
}

int mark_wait(int mark) {
    CUDA_TRY(cudaEventSynchronize(marks[mark]));
    return 0;
}

int device_record_begin(void) {
    // Relaxed: a block that the cache lacks may be taken from the system meanwhile.
    CUDA_TRY(cudaStreamBeginCapture(streams[STREAM_COMPUTE], cudaStreamCaptureModeRelaxed));
    return 0;
}

static int instantiate(cudaGraph_t graph, cudaGraphExec_t *recording) {
    CUDA_TRY(cudaGraphInstantiateWithFlags(recording, graph, 0));
    return 0;
}

void *device_record_end(void) {
    cudaGraph_t graph = NULL;
    cudaGraphExec_t recording = NULL;
    cudaError_t status = cudaStreamEndCapture(streams[STREAM_COMPUTE], &graph);
    (void)cudaGetLastError(); // of the capture, or of a library's call in it
    if (status != cudaSuccess || !graph)
        return error_null("recording: %s (CUDA error %d)", cudaGetErrorString(status), (int)status);
    if (instantiate(graph, &recording) != 0) recording = NULL;
    cudaGraphDestroy(graph);
    return recording;
}

int device_replay(void *recording) {
    CUDA_TRY(cudaGraphLaunch(recording, streams[STREAM_COMPUTE]));
    return 0;
}

void device_record_free(void *recording) {
    if (!recording) return;
    cudaStreamSynchronize(streams[STREAM_COMPUTE]); // a replay may still run
    cudaGraphExecDestroy(recording);
}

void *device_stream(Stream stream) {
    return streams[stream];
}

int device_launched(const char *kernel) {
    cudaError_t status = cudaGetLastError();
    if (status == cudaSuccess) return 0;
    return error_int("launch of %s: %s (CUDA error %d)", kernel, cudaGetErrorString(status),
                     (int)status);
}
