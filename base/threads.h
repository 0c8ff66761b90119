// SPDX-License-Identifier: MIT
// A pipeline of worker threads: items 0, 1, 2, ... are made in any order by several workers, and
// taken in order by one consumer. At most `ahead` items are in the making or waiting, so memory is
// bounded; what an item is depends on its index only, so the number of workers changes nothing.
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include <stdint.h>

enum { PIPELINE_MOST_WORKERS = 256 };

typedef struct Pipeline Pipeline;

// Makes item `index` on some worker thread: returns it (owned by the pipeline until taken), or NULL
// and an error. Runs at the same time for different indices.
typedef void *(*PipelineMake)(void *context, int64_t index);

// Frees an item that nobody took.
typedef void (*PipelineDiscard)(void *context, void *item);

// Starts `workers` threads (0..PIPELINE_MOST_WORKERS; 0 makes each item when it is taken, on the
// consumer's thread) that make the items first, first + 1, ... below `end`, with 1 <= ahead <=
// 65536. Signals stay with the other threads. The context must live until pipeline_stop.
Pipeline *pipeline_start(int workers, int ahead, int64_t first, int64_t end, PipelineMake make,
                         PipelineDiscard discard, void *context);

// Takes the next item, waiting for it. NULL with an error when making it failed (the message is the
// worker's; the following item may still be taken), NULL without one at the end. One thread only.
void *pipeline_next(Pipeline *pipeline);

// Ends the workers (each finishes the item it is at), discards what was not taken, frees all. NULL
// is allowed.
void pipeline_stop(Pipeline *pipeline);

#endif
