// SPDX-License-Identifier: MIT
// A run's curves and pictures as TensorBoard reads them: one event file per run.
//
// A record is u64 length, u32 checksum of it, the bytes, u32 checksum of them, all little-endian;
// the checksums are CRC-32C, rotated right by 15 bits, plus 0xa282ead8 (the TFRecord format). The
// bytes are an `Event` message of protocol buffers: wall_time = 1, step = 2, file_version = 3,
// summary = 5 with values of tag = 1, simple_value = 2, image = 4 (TensorFlow's event.proto and
// summary.proto).
#ifndef TRAIN_EVENT_FILE_H
#define TRAIN_EVENT_FILE_H

#include <stdint.h>

typedef struct EventFile EventFile;

typedef struct {
    const char *tag; // "train/loss"
    double value;    // stored as float
} EventScalar;

// Opens or makes the file for appending, after cutting it back behind the last whole record of a
// step up to `step`. NULL and an error when it cannot be written or is no event file of ours.
EventFile *event_file_open(const char *path, int64_t step);

// Adds scalars, handed to the system at once; a picture from a PNG file.
int event_file_scalars(EventFile *file, int64_t step, const EventScalar *scalars, int count);
int event_file_picture(EventFile *file, int64_t step, const char *tag, const char *png);

// Makes sure that all is on the disk.
int event_file_sync(EventFile *file);
void event_file_close(EventFile *file); // takes NULL

#endif
