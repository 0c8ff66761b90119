// SPDX-License-Identifier: MIT
// A reader of our own because the common library, given a damaged file of this layout (which has no
// checksums), writes beyond its memory; and because it can inflate one chunk at a time only.
// Source: the HDF5 file format specification, version 1.1; datasets.md 2.3.
#include "data/hdf5_classic.h"

#include "base/error.h"
#include "base/memory.h"
#include "data/image.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_DATASPACE = 1,
    MESSAGE_DATATYPE = 3,
    MESSAGE_LAYOUT = 8,
    MESSAGE_FILTERS = 11,
    MESSAGE_CONTINUATION = 16,
    MESSAGE_GROUP = 17,
    FILTER_DEFLATE = 1,
    FILTER_SHUFFLE = 2,
    MAX_FILTERS = 4,
    MAX_BLOCKS = 16,
    MAX_LEVEL = 8,
    MAX_VISITS = 1 << 20,
    KEY_SIZE = 32, // of a chunk: bytes, filter mask, three offsets
};

static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', 0x0D, 0x0A, 0x1A, 0x0A};

typedef struct {
    const uint8_t *bytes;
    uint64_t size;
    const char *path, *name;
    uint64_t visits; // of nodes and symbols; a hostile tree may meet itself again and again
} File;

typedef struct {
    const uint8_t *bytes; // NULL: not there
    size_t size;
} Message;

typedef struct {
    uint64_t height, width; // of a chunk
    int filters[MAX_FILTERS], filter_count;
    size_t bytes;          // of a decoded chunk
    uint8_t *raw, *spare;  // [bytes] each
    uint8_t *seen;         // [chunks down, chunks across]
    uint64_t down, across; // number of chunks
    uint64_t found;
    struct libdeflate_decompressor *inflater;
} Chunks;

static uint64_t number(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static int damaged(const File *file, const char *what) {
    return error_int("%s: dataset \"%s\": damaged HDF5 file: %s", file->path, file->name, what);
}

// The bytes at an address, or NULL and an error when they leave the file.
static const uint8_t *bytes_at(const File *file, uint64_t address, uint64_t count,
                               const char *what) {
    if (address <= file->size && count <= file->size - address) return file->bytes + address;
    damaged(file, what);
    return NULL;
}

// Like bytes_at, for a structure that starts with four letters.
static const uint8_t *tagged_at(const File *file, uint64_t address, uint64_t count,
                                const char *tag) {
    const uint8_t *at = bytes_at(file, address, count, tag);
    if (!at || memcmp(at, tag, 4) == 0) return at;
    damaged(file, tag);
    return NULL;
}

bool hdf5_is_classic(const uint8_t *bytes, size_t size) {
    return size >= 96 && memcmp(bytes, signature, sizeof signature) == 0 && bytes[8] == 0;
}

// Looks for a message in one block of an object header, and notes blocks that continue it.
static int scan_block(const File *file, const uint8_t *block, uint64_t length, int type,
                      Message *message, uint64_t blocks[][2], int *block_count) {
    for (uint64_t at = 0; at + 8 <= length;) {
        const int found = (int)number(block + at, 2);
        const uint64_t size = number(block + at + 2, 2);
        const int shared = block[at + 4] & 2;
        at += 8;
        if (size > length - at) return damaged(file, "a message leaves its header");
        if (found == MESSAGE_CONTINUATION) {
            if (size < 16 || *block_count == MAX_BLOCKS)
                return damaged(file, "a header is continued too often");
            blocks[*block_count][0] = number(block + at, 8);
            blocks[(*block_count)++][1] = number(block + at + 8, 8);
        } else if (found == type && !message->bytes) {
            if (shared) return damaged(file, "a shared message, which is not supported");
            *message = (Message){block + at, size};
        }
        at += size;
    }
    return 0;
}

// Finds the first message of a type in an object header; message->bytes stays NULL without one.
static int find_message(const File *file, uint64_t header, int type, Message *message) {
    *message = (Message){0};
    const uint8_t *at = bytes_at(file, header, 16, "an object header leaves it");
    if (!at) return -1;
    if (at[0] != 1) return damaged(file, "an object header is not of version 1");
    uint64_t blocks[MAX_BLOCKS][2] = {{header + 16, number(at + 8, 4)}};
    int count = 1;
    for (int i = 0; i < count; i++) {
        const uint8_t *block =
            bytes_at(file, blocks[i][0], blocks[i][1], "an object header leaves it");
        if (!block) return -1;
        if (scan_block(file, block, blocks[i][1], type, message, blocks, &count)) return -1;
    }
    return 0;
}

static int visit(File *file, uint64_t count) {
    file->visits += count;
    return file->visits <= MAX_VISITS ? 0 : damaged(file, "a tree without end");
}

// Looks for the name in the symbols of one node; *header stays 0 without it.
static int scan_symbols(File *file, uint64_t address, const Message *names, uint64_t *header) {
    const uint8_t *node = tagged_at(file, address, 8, "SNOD");
    if (!node) return -1;
    const uint64_t count = number(node + 6, 2);
    if (visit(file, 1 + count) != 0) return -1;
    if (!bytes_at(file, address + 8, 40 * count, "symbols leave it")) return -1;
    const size_t length = strlen(file->name) + 1;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *symbol = node + 8 + 40 * i;
        const uint64_t name = number(symbol, 8);
        if (name <= names->size && length <= names->size - name &&
            memcmp(names->bytes + name, file->name, length) == 0)
            *header = number(symbol + 8, 8);
    }
    return 0;
}

static const uint8_t *visit_node(File *file, uint64_t address) {
    return visit(file, 1) == 0 ? tagged_at(file, address, 24, "TREE") : NULL;
}

static int scan_group(File *file, uint64_t address, int level, const Message *names,
                      uint64_t *header) {
    const uint8_t *node = visit_node(file, address);
    if (!node) return -1;
    if (node[4] != 0 || node[5] > level) return damaged(file, "a group's tree is of another kind");
    const uint64_t count = number(node + 6, 2);
    if (!bytes_at(file, address + 24, 16 * count + 8, "a group's tree leaves it")) return -1;
    for (uint64_t i = 0; i < count && *header == 0; i++) {
        const uint64_t child = number(node + 24 + 16 * i + 8, 8);
        if (node[5] == 0 ? scan_symbols(file, child, names, header)
                         : scan_group(file, child, node[5] - 1, names, header))
            return -1;
    }
    return 0;
}

// The address of the dataset's object header.
static int find_dataset(File *file, uint64_t *header) {
    Message group;
    if (find_message(file, number(file->bytes + 64, 8), MESSAGE_GROUP, &group)) return -1;
    if (!group.bytes || group.size < 16) return damaged(file, "the root is not a group");
    const uint8_t *heap = tagged_at(file, number(group.bytes + 8, 8), 32, "HEAP");
    if (!heap) return -1;
    const Message names = {
        .bytes = bytes_at(file, number(heap + 24, 8), number(heap + 8, 8), "names leave it"),
        .size = (size_t)number(heap + 8, 8)};
    if (!names.bytes) return -1;
    *header = 0;
    if (scan_group(file, number(group.bytes, 8), MAX_LEVEL, &names, header)) return -1;
    if (*header) return 0;
    return error_int("%s: cannot open dataset \"%s\": the file has none of this name", file->path,
                     file->name);
}

int hdf5_check_shape(const char *path, const char *name, int rank, const uint64_t *shape) {
    if (rank != 2)
        return error_int("%s: dataset \"%s\" has %d dimensions, expected 2", path, name, rank);
    for (int i = 0; i < 2; i++)
        if (shape[i] < 1 || shape[i] > 65535)
            return error_int("%s: side %d of dataset \"%s\" is %llu, expected 1 to 65535", path, i,
                             name, (unsigned long long)shape[i]);
    if (shape[0] * shape[1] <= (uint64_t)IMAGE_MAX_PIXELS) return 0;
    return error_int("%s: dataset \"%s\" of %llux%llu has more than %lld elements", path, name,
                     (unsigned long long)shape[0], (unsigned long long)shape[1],
                     (long long)IMAGE_MAX_PIXELS);
}

static int read_shape(const File *file, uint64_t header, Hdf5Array *array) {
    Message space;
    if (find_message(file, header, MESSAGE_DATASPACE, &space)) return -1;
    const size_t start = space.bytes && space.size && space.bytes[0] == 1 ? 8 : 4;
    if (!space.bytes || space.size < start || space.bytes[0] < 1 || space.bytes[0] > 2 ||
        space.size < start + 8 * (size_t)space.bytes[1])
        return damaged(file, "no readable shape");
    uint64_t shape[2] = {0};
    for (int i = 0; i < 2 && i < space.bytes[1]; i++)
        shape[i] = number(space.bytes + start + 8 * (size_t)i, 8);
    if (hdf5_check_shape(file->path, file->name, space.bytes[1], shape)) return -1;
    array->height = (int)shape[0];
    array->width = (int)shape[1];
    return 0;
}

// Sign, exponent and mantissa must lie as in the IEEE format of that size.
static bool is_ieee(const uint8_t *type, size_t bits) {
    const uint8_t exponent = bits == 16 ? 5 : bits == 32 ? 8 : 11;
    const uint8_t mantissa = (uint8_t)(bits - 1 - exponent);
    return bits >= 16 && type[2] == bits - 1 && type[12] == mantissa && type[13] == exponent &&
           type[14] == 0 && type[15] == mantissa &&
           number(type + 16, 4) == (UINT64_C(1) << (exponent - 1)) - 1;
}

static int read_type(const File *file, uint64_t header, Hdf5Array *array) {
    Message type;
    if (find_message(file, header, MESSAGE_DATATYPE, &type)) return -1;
    if (!type.bytes || type.size < 12) return damaged(file, "no readable type");
    const uint8_t *at = type.bytes;
    const uint64_t size = number(at + 4, 4);
    array->is_float = (at[0] & 15) == 1;
    array->is_signed = (at[1] & 8) != 0;
    const bool plain = (size == 1 || size == 2 || size == 4 || size == 8) && (at[1] & 1) == 0 &&
                       number(at + 8, 2) == 0 && number(at + 10, 2) == 8 * size;
    const bool integer = (at[0] & 15) == 0;
    if (!plain || !(integer || (array->is_float && type.size >= 20 && is_ieee(at, 8 * size))))
        return error_int("%s: dataset \"%s\" is not of little-endian integers or IEEE floats",
                         file->path, file->name);
    array->element = (size_t)size;
    return 0;
}

static int read_filters(const File *file, uint64_t header, Chunks *chunks) {
    Message list;
    if (find_message(file, header, MESSAGE_FILTERS, &list)) return -1;
    if (!list.bytes) return 0;
    if (list.size < 8 || list.bytes[0] != 1 || list.bytes[1] > MAX_FILTERS)
        return damaged(file, "no readable filters");
    size_t at = 8;
    for (int i = 0; i < list.bytes[1]; i++) {
        if (list.size - at < 8) return damaged(file, "filters leave their message");
        const int id = (int)number(list.bytes + at, 2);
        const size_t values = (size_t)number(list.bytes + at + 6, 2);
        const size_t length =
            8 + (size_t)number(list.bytes + at + 2, 2) + 4 * (values + values % 2);
        if (length > list.size - at) return damaged(file, "filters leave their message");
        if (id != FILTER_DEFLATE && id != FILTER_SHUFFLE)
            return error_int("%s: dataset \"%s\" needs filter %d, known are deflate and shuffle",
                             file->path, file->name, id);
        chunks->filters[chunks->filter_count++] = id;
        at += length;
    }
    return 0;
}

static void unshuffle(const uint8_t *from, uint8_t *to, size_t count, size_t element) {
    for (size_t b = 0; b < element; b++)
        for (size_t i = 0; i < count; i++) to[i * element + b] = from[b * count + i];
}

// Undoes the filters, the last first. Leaves the chunk in chunks->raw.
static int decode_chunk(const File *file, Chunks *chunks, const uint8_t *stored, uint64_t size,
                        uint64_t skipped, size_t element) {
    const uint8_t *from = stored;
    uint64_t length = size;
    for (int i = chunks->filter_count - 1; i >= 0; i--) {
        if (skipped >> i & 1) continue;
        if (chunks->filters[i] == FILTER_DEFLATE) {
            size_t inflated;
            if (libdeflate_zlib_decompress(chunks->inflater, from, length, chunks->spare,
                                           chunks->bytes, &inflated) != LIBDEFLATE_SUCCESS)
                return damaged(file, "a chunk cannot be inflated");
            length = inflated;
        } else {
            if (length != chunks->bytes) return damaged(file, "a chunk has another size");
            unshuffle(from, chunks->spare, chunks->bytes / element, element);
        }
        uint8_t *decoded = chunks->spare;
        chunks->spare = chunks->raw;
        chunks->raw = decoded;
        from = decoded;
    }
    if (length != chunks->bytes) return damaged(file, "a chunk has another size");
    if (from != chunks->raw) memcpy(chunks->raw, from, chunks->bytes);
    return 0;
}

static void place_chunk(const Chunks *chunks, uint64_t top, uint64_t left, Hdf5Array *array) {
    const uint64_t height = (uint64_t)array->height, width = (uint64_t)array->width;
    const uint64_t rows = height - top < chunks->height ? height - top : chunks->height;
    const uint64_t columns = width - left < chunks->width ? width - left : chunks->width;
    for (uint64_t y = 0; y < rows; y++)
        memcpy(array->bytes + ((top + y) * width + left) * array->element,
               chunks->raw + y * chunks->width * array->element, columns * array->element);
}

static int read_chunk(const File *file, Chunks *chunks, const uint8_t *key, Hdf5Array *array) {
    const uint64_t size = number(key, 4), top = number(key + 8, 8), left = number(key + 16, 8);
    if (top >= (uint64_t)array->height || left >= (uint64_t)array->width || top % chunks->height ||
        left % chunks->width)
        return damaged(file, "a chunk lies outside or askew");
    uint8_t *seen = &chunks->seen[top / chunks->height * chunks->across + left / chunks->width];
    if (*seen) return damaged(file, "a chunk occurs twice");
    *seen = 1;
    chunks->found++;
    const uint8_t *stored = bytes_at(file, number(key + KEY_SIZE, 8), size, "a chunk leaves it");
    if (!stored) return -1;
    if (decode_chunk(file, chunks, stored, size, number(key + 4, 4), array->element)) return -1;
    place_chunk(chunks, top, left, array);
    return 0;
}

static int scan_chunks(File *file, uint64_t address, int level, Chunks *chunks, Hdf5Array *array) {
    const uint8_t *node = visit_node(file, address);
    if (!node) return -1;
    if (node[4] != 1 || node[5] > level)
        return damaged(file, "the chunks' tree is of another kind");
    const uint64_t count = number(node + 6, 2), entry = KEY_SIZE + 8;
    if (!bytes_at(file, address + 24, entry * count + KEY_SIZE, "the chunks' tree leaves it"))
        return -1;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *key = node + 24 + entry * i;
        if (node[5] == 0 ? read_chunk(file, chunks, key, array)
                         : scan_chunks(file, number(key + KEY_SIZE, 8), node[5] - 1, chunks, array))
            return -1;
    }
    return 0;
}

static int read_chunked(File *file, uint64_t header, const Message *layout, Hdf5Array *array) {
    const uint8_t *at = layout->bytes;
    if (layout->size < 23 || at[2] != 3) return damaged(file, "no readable chunk layout");
    Chunks chunks = {.height = number(at + 11, 4), .width = number(at + 15, 4)};
    if (chunks.height < 1 || chunks.width < 1 || chunks.height > 65535 || chunks.width > 65535 ||
        chunks.height * chunks.width > (uint64_t)IMAGE_MAX_PIXELS ||
        number(at + 19, 4) != array->element)
        return damaged(file, "impossible chunk sizes");
    if (read_filters(file, header, &chunks)) return -1;
    chunks.bytes = (size_t)(chunks.height * chunks.width) * array->element;
    chunks.down = ((uint64_t)array->height + chunks.height - 1) / chunks.height;
    chunks.across = ((uint64_t)array->width + chunks.width - 1) / chunks.width;
    chunks.raw = array_new(chunks.bytes, 1);
    chunks.spare = chunks.raw ? array_new(chunks.bytes, 1) : NULL;
    chunks.seen = chunks.spare ? array_new((size_t)(chunks.down * chunks.across), 1) : NULL;
    chunks.inflater = chunks.seen ? libdeflate_alloc_decompressor() : NULL;
    int status = chunks.inflater ? 0 : -1;
    if (chunks.seen && status) error_int("out of memory for inflating %s", file->path);
    if (status == 0) status = scan_chunks(file, number(at + 3, 8), MAX_LEVEL, &chunks, array);
    if (status == 0 && chunks.found != chunks.down * chunks.across)
        status = damaged(file, "chunks are missing");
    free(chunks.raw);
    free(chunks.spare);
    free(chunks.seen);
    libdeflate_free_decompressor(chunks.inflater);
    return status;
}

static int read_values(File *file, uint64_t header, Hdf5Array *array) {
    Message layout;
    if (find_message(file, header, MESSAGE_LAYOUT, &layout)) return -1;
    if (!layout.bytes || layout.size < 4 || layout.bytes[0] != 3 || layout.bytes[1] > 2)
        return damaged(file, "no readable layout");
    const size_t size = (size_t)array->height * (size_t)array->width * array->element;
    array->bytes = array_new_unset(size, 1);
    if (!array->bytes) return -1;
    const uint8_t *values = NULL;
    if (layout.bytes[1] == 2) return read_chunked(file, header, &layout, array);
    if (layout.bytes[1] == 0 && number(layout.bytes + 2, 2) == size && layout.size >= 4 + size)
        values = layout.bytes + 4;
    if (layout.bytes[1] == 1 && layout.size >= 18 && number(layout.bytes + 10, 8) == size)
        values = bytes_at(file, number(layout.bytes + 2, 8), size, "values leave it");
    if (!values) return damaged(file, "values are missing");
    memcpy(array->bytes, values, size);
    return 0;
}

int hdf5_classic_read(const char *path, const uint8_t *bytes, size_t size, const char *name,
                      Hdf5Array *array) {
    *array = (Hdf5Array){0};
    File file = {.bytes = bytes, .size = size, .path = path, .name = name};
    if (bytes[13] != 8 || bytes[14] != 8 || number(bytes + 24, 8) != 0)
        return damaged(&file, "addresses are not of 8 bytes from the start on");
    if (number(bytes + 40, 8) > size) return damaged(&file, "it is truncated");
    uint64_t header;
    int status = find_dataset(&file, &header);
    if (status == 0) status = read_type(&file, header, array);
    if (status == 0) status = read_shape(&file, header, array);
    if (status == 0) status = read_values(&file, header, array);
    if (status) {
        free(array->bytes);
        array->bytes = NULL;
    }
    return status;
}
