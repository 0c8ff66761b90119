// SPDX-License-Identifier: MIT
// From text to ids. See tokenizer.h; the files are read by tokenizer_files.c.
//
// Special tokens are cut out first; then the text is normalised (NFC, runs of white space become
// one blank, lower case), cut into words (contractions, letters, single digits, other marks), and
// each word's bytes are joined pair by pair, the pair of the lowest rank first. All is done on code
// points, so that offsets need no care.
#include "nn/tokenizer_private.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>
#include <unictype.h>

typedef struct {
    const uint32_t *at;
    size_t length;
} Span;

typedef struct {
    const Tokenizer *tokenizer;
    int32_t *ids;
    size_t count, capacity;
} Output;

static int add_id(Output *output, int32_t id) {
    if (array_grow(&output->ids, &output->capacity, output->count, sizeof *output->ids)) return -1;
    output->ids[output->count++] = id;
    return 0;
}

// ---- joining the bytes of a word ----------------------------------------------------------------

static const TokenMerge *find_merge(const Tokenizer *tokenizer, int32_t left, int32_t right) {
    size_t low = 0, high = tokenizer->merge_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const TokenMerge *merge = &tokenizer->merges[middle];
        if (merge->left == left && merge->right == right) return merge;
        if (merge->left < left || (merge->left == left && merge->right < right))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

// One symbol of a word and the merge with the one behind it, NULL when there is none.
typedef struct {
    int32_t id;
    const TokenMerge *merge;
} Symbol;

// Joins until no pair is left; returns the number of symbols.
static size_t join(const Tokenizer *tokenizer, Symbol *symbols, size_t count) {
    for (size_t i = 0; i + 1 < count; i++)
        symbols[i].merge = find_merge(tokenizer, symbols[i].id, symbols[i + 1].id);
    for (;;) {
        size_t best = count;
        for (size_t i = 0; i + 1 < count; i++)
            if (symbols[i].merge &&
                (best == count || symbols[i].merge->rank < symbols[best].merge->rank))
                best = i;
        if (best == count) return count;
        symbols[best].id = symbols[best].merge->id;
        memmove(&symbols[best + 1], &symbols[best + 2], (count - best - 2) * sizeof *symbols);
        count--;
        for (size_t i = best > 0 ? best - 1 : 0; i <= best; i++)
            symbols[i].merge =
                i + 1 < count ? find_merge(tokenizer, symbols[i].id, symbols[i + 1].id) : NULL;
    }
}

static int add_word(Output *output, Span word) {
    size_t size = 0;
    uint8_t *bytes = u32_to_u8(word.at, word.length, NULL, &size);
    if (!bytes) return error_int("tokenizer: out of memory");
    Symbol *symbols = array_new(size, sizeof *symbols);
    for (size_t i = 0; symbols && i < size; i++)
        symbols[i].id = output->tokenizer->byte_ids[i + 1 == size][bytes[i]];
    size_t count = symbols ? join(output->tokenizer, symbols, size) : 0;
    int result = symbols ? 0 : -1;
    for (size_t i = 0; i < count && result == 0; i++) result = add_id(output, symbols[i].id);
    free(symbols);
    free(bytes);
    return result;
}

// ---- cutting into words -------------------------------------------------------------------------

typedef enum { SPACE, LETTER, DIGIT, MARK } CharacterKind;

static CharacterKind kind_of(uint32_t c) {
    if (uc_is_property_white_space(c)) return SPACE;
    if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L)) return LETTER;
    return uc_is_general_category_withtable(c, UC_CATEGORY_MASK_N) ? DIGIT : MARK;
}

// Length of 's 't 'm 'd 're 've 'll at the start of the text, 0 when there is none.
static size_t contraction(Span text) {
    if (text.length < 2 || text.at[0] != '\'') return 0;
    const uint32_t a = text.at[1], b = text.length > 2 ? text.at[2] : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

static size_t word_length(Span text) {
    size_t length = contraction(text);
    if (length) return length;
    const CharacterKind kind = kind_of(text.at[0]);
    length = 1;
    while (kind != DIGIT && length < text.length && kind_of(text.at[length]) == kind) length++;
    return length;
}

static int add_words(Output *output, Span text) {
    for (size_t at = 0, length; at < text.length; at += length) {
        const Span rest = {text.at + at, text.length - at};
        length = word_length(rest);
        if (kind_of(*rest.at) != SPACE && add_word(output, (Span){rest.at, length})) return -1;
    }
    return 0;
}

// ---- normalising --------------------------------------------------------------------------------

// Runs of white space become one blank, the rest lower case; in place but for the one character
// that becomes two.
static uint32_t *fold(const uint32_t *text, size_t *length) {
    uint32_t *out = array_new(2 * *length, sizeof *out);
    size_t used = 0;
    for (size_t i = 0; out && i < *length; i++) {
        size_t room = 2;
        if (uc_is_property_white_space(text[i])) {
            if (i == 0 || !uc_is_property_white_space(text[i - 1])) out[used++] = ' ';
        } else if (u32_tolower(&text[i], 1, NULL, NULL, out + used, &room)) {
            used += room;
        }
    }
    *length = used;
    return out;
}

uint32_t *tokenizer_normalise(const uint32_t *text, size_t *length) {
    size_t composed_length = 0;
    uint32_t *composed = u32_normalize(UNINORM_NFC, text, *length, NULL, &composed_length);
    if (!composed && *length > 0) return error_null("tokenizer: out of memory");
    uint32_t *folded = fold(composed, &composed_length);
    free(composed);
    *length = composed_length;
    return folded;
}

// ---- special tokens -----------------------------------------------------------------------------

static bool starts_with(Span text, const SpecialToken *token) {
    return token->length <= text.length &&
           memcmp(text.at, token->text, token->length * sizeof *text.at) == 0;
}

// The longest special token that the text starts with, NULL when it starts with none.
static const SpecialToken *special_at(const Tokenizer *tokenizer, Span text, bool normalised) {
    const SpecialToken *found = NULL;
    for (size_t i = 0; i < tokenizer->special_count; i++) {
        const SpecialToken *token = &tokenizer->specials[i];
        if (token->normalised == normalised && starts_with(text, token) &&
            (!found || token->length > found->length))
            found = token;
    }
    return found;
}

typedef int AddText(Output *output, Span text);

// Gives what lies between special tokens to `add`.
static int add_between(Output *output, Span text, bool normalised, AddText *add) {
    size_t start = 0, at = 0;
    while (at < text.length) {
        const Span rest = {text.at + at, text.length - at};
        const SpecialToken *token = special_at(output->tokenizer, rest, normalised);
        if (!token) {
            at++;
            continue;
        }
        if (add(output, (Span){text.at + start, at - start}) || add_id(output, token->id))
            return -1;
        start = at += token->length;
    }
    return add(output, (Span){text.at + start, text.length - start});
}

static int add_raw(Output *output, Span text) {
    size_t length = text.length;
    if (length == 0) return 0;
    uint32_t *normalised = tokenizer_normalise(text.at, &length);
    if (!normalised) return -1;
    int result = add_between(output, (Span){normalised, length}, true, add_words);
    free(normalised);
    return result;
}

// ---- public -------------------------------------------------------------------------------------

static int encode(Output *output, const uint32_t *text, size_t length) {
    if (add_id(output, output->tokenizer->begin) ||
        add_between(output, (Span){text, length}, false, add_raw))
        return -1;
    return add_id(output, output->tokenizer->end);
}

int32_t *tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t size,
                          size_t *count) {
    if (size > TOKENIZER_MAX_TEXT)
        return error_null("tokenizer: the text has %zu bytes, at most %d are taken", size,
                          TOKENIZER_MAX_TEXT);
    if (u8_check((const uint8_t *)text, size)) return error_null("tokenizer: text is not UTF-8");
    size_t length = 0;
    uint32_t *points = u8_to_u32((const uint8_t *)text, size, NULL, &length);
    if (!points && size > 0) return error_null("tokenizer: out of memory");
    Output output = {.tokenizer = tokenizer};
    int result = encode(&output, points, length);
    free(points);
    *count = output.count;
    if (result == 0) return output.ids;
    free(output.ids);
    return NULL;
}

void tokenizer_fit(const Tokenizer *tokenizer, const int32_t *ids, size_t count, int32_t *out,
                   size_t length) {
    for (size_t i = 0; i < length; i++) out[i] = i < count ? ids[i] : tokenizer->pad;
    if (count > length) out[length - 1] = tokenizer->end;
}
