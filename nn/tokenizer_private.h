// SPDX-License-Identifier: MIT
// What tokenizer.c and tokenizer_files.c share.
#ifndef NN_TOKENIZER_PRIVATE_H
#define NN_TOKENIZER_PRIVATE_H

#include "nn/tokenizer.h"

#include <stdbool.h>

// Tokens left and right join to `id`; of two possible merges the lower rank comes first.
typedef struct {
    int32_t left, right, id, rank;
} TokenMerge;

// Found as it stands in the text, before it is normalised or after.
typedef struct {
    uint32_t *text; // [length] code points, owned
    size_t length;
    int32_t id;
    bool normalised;
} SpecialToken;

struct Tokenizer {
    int32_t byte_ids[2][256]; // a byte inside a word; at its end
    TokenMerge *merges;       // by left, then right
    size_t merge_count;
    SpecialToken *specials;
    size_t special_count, special_capacity;
    int32_t begin, end, pad, unknown;
};

// NFC, one blank for each run of white space, lower case of each character by itself. Owned by the
// caller; *length in code points before and after, above 0.
uint32_t *tokenizer_normalise(const uint32_t *text, size_t *length);

#endif
