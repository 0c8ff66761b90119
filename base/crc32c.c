// SPDX-License-Identifier: MIT
// CRC-32C, eight bytes at a time: table k holds the remainders of a byte that k others follow. See
// crc32c.h.
#include "base/crc32c.h"

#include "base/error.h"
#include "base/file_private.h"

#include <pthread.h>
#include <stdio.h>

#define POLYNOMIAL 0x82F63B78u // reflected

enum { SLICES = 8 };

static uint32_t tables[SLICES][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        tables[0][byte] = crc;
    }
    for (int k = 1; k < SLICES; k++)
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t crc = tables[k - 1][byte];
            tables[k][byte] = crc >> 8 ^ tables[0][crc & 0xFF];
        }
}

uint32_t crc32c(uint32_t before, const void *bytes, size_t size) {
    pthread_once(&once, fill_tables);
    const uint8_t *at = bytes;
    uint32_t crc = ~before;
    for (; size >= SLICES; size -= SLICES, at += SLICES)
        crc = tables[7][at[0] ^ (crc & 0xFF)] ^ tables[6][at[1] ^ (crc >> 8 & 0xFF)] ^
              tables[5][at[2] ^ (crc >> 16 & 0xFF)] ^ tables[4][at[3] ^ crc >> 24] ^
              tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^ tables[0][at[7]];
    for (; size > 0; size--) crc = crc >> 8 ^ tables[0][*at++ ^ (crc & 0xFF)];
    return ~crc;
}

int file_crc32c(const char *path, uint32_t *crc) {
    char block[65536];
    FILE *file = fopen(path, "rbe");
    if (!file) return path_error("open", path);
    *crc = 0;
    for (size_t got; (got = fread(block, 1, sizeof block, file)) > 0;)
        *crc = crc32c(*crc, block, got);
    int result = ferror(file) ? path_error("read", path) : 0;
    fclose(file);
    return result;
}
