// SPDX-License-Identifier: MIT
// The tokenizer of CLIP: byte-level BPE over normalised, lower-cased words. The same ids as
// transformers' CLIPTokenizerFast, from the same files. Sources: Sennrich et al. 2016, Radford et
// al. 2021.
//
//   MODEL/tokenizer/vocab.json               token -> id
//   MODEL/tokenizer/merges.txt               pairs of tokens that join, the first ones first
//   MODEL/tokenizer/tokenizer_config.json    (optional) which tokens are special, and
//   MODEL/tokenizer/special_tokens_map.json  (optional) the same; which of both counts: method 1.7
#ifndef NN_TOKENIZER_H
#define NN_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

typedef struct Tokenizer Tokenizer;

// Longer texts are refused, in bytes.
enum { TOKENIZER_MAX_TEXT = 1 << 16 };

// Opens MODEL/tokenizer. NULL and an error that names file and token when a file is missing or
// damaged, or a token that is needed is not in the vocabulary.
Tokenizer *tokenizer_open(const char *model);
void tokenizer_free(Tokenizer *tokenizer);

// The tokens of a text of `size` bytes of UTF-8 (zeros included): begin, words, end. Returns their
// ids, owned by the caller, and their number (at least 2). NULL and an error when the text is not
// UTF-8 or too long.
int32_t *tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t size, size_t *count);

// Brings `count` ids of tokenizer_encode to `length` (at least 2): cuts before the end token, or
// pads. out: [length].
void tokenizer_fit(const Tokenizer *tokenizer, const int32_t *ids, size_t count, int32_t *out,
                   size_t length);

#endif
