// SPDX-License-Identifier: MIT
// Event files. See event_file.h.
#include "train/event_file.h"

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 12, FOOT = 4, PICTURE_LIMIT = 1 << 28 };
enum { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES, WIRE_FIXED32 = 5 };
enum { EVENT_TIME = 1, EVENT_STEP, EVENT_VERSION, EVENT_SUMMARY = 5 };

struct EventFile {
    char *path;
    FILE *stream;
};

// ---- messages -----------------------------------------------------------------------------------

static void put_fixed(Text *text, uint64_t bits, int bytes) {
    unsigned char little[8];
    for (int i = 0; i < bytes; i++) little[i] = (unsigned char)(bits >> (8 * i));
    text_add_bytes(text, little, (size_t)bytes);
}

static void put_varint(Text *text, uint64_t value) {
    unsigned char bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (unsigned char)((value & 0x7F) | (value > 0x7F ? 0x80 : 0));
    } while (value >>= 7);
    text_add_bytes(text, bytes, count);
}

static void put_key(Text *text, int field, int wire) {
    put_varint(text, (uint64_t)(field << 3 | wire));
}

static void put_number(Text *text, int field, int64_t value) {
    put_key(text, field, WIRE_VARINT);
    put_varint(text, (uint64_t)value);
}

static void put_bytes(Text *text, int field, const void *bytes, size_t size) {
    put_key(text, field, WIRE_BYTES);
    put_varint(text, size);
    text_add_bytes(text, bytes, size);
}

// A message in another one, which fails with it.
static void put_message(Text *text, int field, const Text *message) {
    if (message->failed) text->failed = true;
    put_bytes(text, field, text_string(message), message->length);
}

static void put_event_start(Text *event, int64_t step) {
    double time = clock_calendar();
    uint64_t bits;
    memcpy(&bits, &time, sizeof bits);
    put_key(event, EVENT_TIME, WIRE_FIXED64);
    put_fixed(event, bits, 8);
    put_number(event, EVENT_STEP, step);
}

static void put_scalar(Text *summary, const EventScalar *scalar) {
    Text value = {0};
    float number = (float)scalar->value;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    put_bytes(&value, 1, scalar->tag, strlen(scalar->tag));
    put_key(&value, 2, WIRE_FIXED32);
    put_fixed(&value, bits, 4);
    put_message(summary, 1, &value);
    text_free(&value);
}

static uint32_t big_endian(const unsigned char *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int put_picture(Text *summary, const char *tag, const char *png) {
    enum { PNG_SIDES = 16, PNG_LEAST = 24, RGB = 3 };
    size_t size = 0;
    char *bytes = file_read(png, PICTURE_LIMIT, &size);
    if (!bytes) return -1;
    if (size < PNG_LEAST) {
        free(bytes);
        return error_int("%s: %zu bytes are no PNG", png, size);
    }
    const unsigned char *sides = (unsigned char *)bytes + PNG_SIDES;
    Text value = {0}, image = {0};
    put_number(&image, 1, big_endian(sides + 4));
    put_number(&image, 2, big_endian(sides));
    put_number(&image, 3, RGB);
    put_bytes(&image, 4, bytes, size);
    put_bytes(&value, 1, tag, strlen(tag));
    put_message(&value, 4, &image);
    put_message(summary, 1, &value);
    text_free(&value);
    text_free(&image);
    free(bytes);
    return 0;
}

// ---- records ------------------------------------------------------------------------------------

static uint32_t masked_crc(const void *bytes, size_t size) {
    uint32_t crc = crc32c(0, bytes, size);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

static int write_record(EventFile *file, const Text *event) {
    Text record = {0};
    put_fixed(&record, event->length, 8);
    if (!record.failed) put_fixed(&record, masked_crc(record.data, 8), 4);
    text_add_bytes(&record, text_string(event), event->length);
    put_fixed(&record, masked_crc(text_string(event), event->length), 4);
    bool made = !record.failed && !event->failed;
    bool written = made && fwrite(record.data, 1, record.length, file->stream) == record.length &&
                   fflush(file->stream) == 0;
    text_free(&record);
    if (!made) return -1;
    return written ? 0 : error_int("%s: cannot write: %s", file->path, strerror(errno));
}

static uint64_t little_endian(const unsigned char *bytes, int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

// The step of an event as put_event_start began it; -1 for any other bytes.
static int64_t step_of(const unsigned char *event, size_t size) {
    enum { STEP_AT = 10 };
    uint64_t step = 0;
    if (size <= STEP_AT || event[0] != (EVENT_TIME << 3 | WIRE_FIXED64) ||
        event[9] != (EVENT_STEP << 3 | WIRE_VARINT))
        return -1;
    for (size_t i = STEP_AT; i < size && i < STEP_AT + 9; i++) {
        step |= (uint64_t)(event[i] & 0x7F) << (7 * (i - STEP_AT));
        if (event[i] < 0x80) return (int64_t)step;
    }
    return -1;
}

// Reads the start of the record at `at`; its length with frame, 0 when there is no whole one.
static int64_t read_record(FILE *stream, int64_t at, int64_t size, int64_t *step) {
    unsigned char head[HEAD], start[20];
    if (fseeko(stream, at, SEEK_SET) != 0 || fread(head, 1, HEAD, stream) != HEAD) return 0;
    uint64_t length = little_endian(head, 8);
    if (little_endian(head + 8, 4) != masked_crc(head, 8)) return 0;
    if (size - at < HEAD + FOOT || length > (uint64_t)(size - at - HEAD - FOOT)) return 0;
    size_t got = fread(start, 1, length < sizeof start ? (size_t)length : sizeof start, stream);
    *step = step_of(start, got);
    return *step < 0 ? 0 : (int64_t)length + HEAD + FOOT;
}

// The bytes that belong to steps up to `step`.
static int64_t kept_bytes(FILE *stream, int64_t size, int64_t step) {
    int64_t at = 0, length, found = 0;
    while (at < size && (length = read_record(stream, at, size, &found)) > 0 && found <= step)
        at += length;
    return at;
}

static int write_version(EventFile *file) {
    static const char version[] = "brain.Event:2";
    Text event = {0};
    put_event_start(&event, 0);
    put_bytes(&event, EVENT_VERSION, version, sizeof version - 1);
    int result = write_record(file, &event);
    text_free(&event);
    return result;
}

static int cut_back(EventFile *file, int64_t step) {
    struct stat info;
    if (fstat(fileno(file->stream), &info) != 0)
        return error_int("%s: cannot read: %s", file->path, strerror(errno));
    int64_t kept = kept_bytes(file->stream, info.st_size, step);
    if (kept == 0 && info.st_size > HEAD + FOOT)
        return error_int("%s: not an event file of ours; move it away", file->path);
    if (kept < info.st_size && ftruncate(fileno(file->stream), kept) != 0)
        return error_int("%s: cannot be cut back: %s", file->path, strerror(errno));
    if (fseeko(file->stream, 0, SEEK_END) != 0)
        return error_int("%s: cannot read: %s", file->path, strerror(errno));
    return kept == 0 ? write_version(file) : 0;
}

// ---- public -------------------------------------------------------------------------------------

EventFile *event_file_open(const char *path, int64_t step) {
    EventFile *file = array_new(1, sizeof *file);
    if (!file) return NULL;
    file->path = string_copy(path);
    file->stream = file->path ? fopen(path, "a+be") : NULL;
    if (file->path && !file->stream) error_int("%s: cannot write: %s", path, strerror(errno));
    if (file->stream && cut_back(file, step) == 0) return file;
    event_file_close(file);
    return NULL;
}

static int write_summary(EventFile *file, int64_t step, const Text *summary) {
    Text event = {0};
    put_event_start(&event, step);
    put_message(&event, EVENT_SUMMARY, summary);
    int result = write_record(file, &event);
    text_free(&event);
    return result;
}

int event_file_scalars(EventFile *file, int64_t step, const EventScalar *scalars, int count) {
    Text summary = {0};
    for (int i = 0; i < count; i++) put_scalar(&summary, &scalars[i]);
    int result = write_summary(file, step, &summary);
    text_free(&summary);
    return result;
}

int event_file_picture(EventFile *file, int64_t step, const char *tag, const char *png) {
    Text summary = {0};
    int result = put_picture(&summary, tag, png);
    if (result == 0) result = write_summary(file, step, &summary);
    text_free(&summary);
    return result;
}

int event_file_sync(EventFile *file) {
    return fsync(fileno(file->stream)) == 0
               ? 0
               : error_int("%s: cannot flush: %s", file->path, strerror(errno));
}

void event_file_close(EventFile *file) {
    if (!file) return;
    if (file->stream) fclose(file->stream);
    free(file->path);
    free(file);
}
