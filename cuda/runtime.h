// SPDX-License-Identifier: MIT
// The few things that the back end asks of the device: memory, copies, streams. runtime.c answers
// with the CUDA runtime, emulation/runtime.c with the host's memory.
//
// Two streams: kernels and copies between tensors run on STREAM_COMPUTE, uploads on STREAM_COPY.
// Nothing here but stream_wait and mark_wait makes the host wait.
#ifndef CUDA_RUNTIME_H
#define CUDA_RUNTIME_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { STREAM_COMPUTE, STREAM_COPY, STREAM_COUNT } Stream;
typedef enum { COPY_TO_DEVICE, COPY_FROM_DEVICE, COPY_WITHIN_DEVICE } CopyDirection;
enum { MARK_COUNT = 40 };

// Opens the device of this process once: the first, or of a job's processes on one machine each the
// next visible one in turn; -1 and an error without a driver or device. The others need it.
int device_open(void);

const char *device_text(void); // "sm_90"; of the opened device

// Memory of the device, 256-byte aligned; NULL (no error set) when there is none left. Giving back
// waits for all work that uses it.
void *device_take(size_t bytes);
void device_give(void *memory);
size_t device_room(void); // bytes that the opened device has, used or not; 0: unknown
// Page-locked memory of the host; NULL when there is none left.
void *pinned_take(size_t bytes);

int device_copy(Stream stream, void *to, const void *from, size_t bytes, CopyDirection direction);
int device_set(void *to, int byte, size_t bytes); // on STREAM_COMPUTE
int stream_follow(Stream later, Stream earlier);  // later waits for what earlier holds so far
int stream_wait(Stream stream);                   // the host waits
// A mark is a place in a stream that the host can wait for; an unset one is passed already.
int mark_set(int mark, Stream stream);
int mark_wait(int mark);

// Between begin and end what STREAM_COMPUTE is given is not done but kept, with its arguments, in
// an order. end returns it, NULL and an error when something could not be kept; replay gives it all
// to the stream. Copies between host and device do not belong there.
int device_record_begin(void);
void *device_record_end(void);
int device_replay(void *recording);
void device_record_free(void *recording); // takes NULL

// The native stream (cudaStream_t), for launches and libraries.
void *device_stream(Stream stream);
// 0, or -1 and an error that names the kernel, if its launch was refused.
int device_launched(const char *kernel);

#ifdef __cplusplus
}
#endif
#endif
