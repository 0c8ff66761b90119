// SPDX-License-Identifier: MIT
// CRC-32C (Castagnoli), the checksum of RFC 3720: finds damage, not intent.
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

// The checksum of `size` bytes behind those whose checksum is `before` (0 at the start).
uint32_t crc32c(uint32_t before, const void *bytes, size_t size);

// The checksum of a whole file. -1 and an error that names it when it cannot be read.
int file_crc32c(const char *path, uint32_t *crc);

#endif
