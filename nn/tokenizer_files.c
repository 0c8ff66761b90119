// SPDX-License-Identifier: MIT
// The files of a tokenizer. See tokenizer.h.
#include "nn/tokenizer_private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "nn/netconfig.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

#define WORD_END "</w>"

// MAX_MERGES: what the reference keeps of a file, 49152 tokens less 256 bytes and 2 special ones.
enum { MAX_FILE = 1 << 26, MAX_MERGES = 49152 - 256 - 2 };

// ---- the vocabulary -----------------------------------------------------------------------------

// The id of a token, -1 when it has none.
static int32_t id_of(const json_t *vocabulary, const char *token) {
    const json_t *id = json_object_get(vocabulary, token);
    return json_is_integer(id) ? (int32_t)json_integer_value(id) : -1;
}

static int check_ids(const json_t *vocabulary) {
    const char *token;
    json_t *id;
    json_object_foreach((json_t *)vocabulary, token, id) {
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return error_int("the id of \"%.60s\" is not an integer from 0 to 2147483647", token);
    }
    return 0;
}

// A byte stands in the vocabulary as a character: itself where that can be seen, the others from
// U+0100 on in their order.
static void take_bytes(Tokenizer *tokenizer, const json_t *vocabulary) {
    uint32_t hidden = 0x100;
    for (uint32_t byte = 0; byte < 256; byte++) {
        const bool seen = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
        const uint32_t character = seen ? byte : hidden++;
        uint8_t token[8 + sizeof WORD_END];
        const int length = u8_uctomb(token, (ucs4_t)character, 8);
        for (int last = 0; last < 2; last++) {
            strcpy((char *)token + length, last ? WORD_END : "");
            const int32_t id = id_of(vocabulary, (const char *)token);
            tokenizer->byte_ids[last][byte] = id < 0 ? tokenizer->unknown : id;
        }
    }
}

// ---- merges -------------------------------------------------------------------------------------

static int token_id(const json_t *vocabulary, const char *token, int32_t *id) {
    *id = id_of(vocabulary, token);
    return *id >= 0 ? 0 : error_int("\"%.60s\" is not in vocab.json", token);
}

// A line is "left right".
static int take_merge(Tokenizer *tokenizer, const json_t *vocabulary, char *line) {
    char *rest = NULL;
    const char *left = strtok_r(line, " \t\r", &rest), *right = strtok_r(NULL, " \t\r", &rest);
    TokenMerge *merge = &tokenizer->merges[tokenizer->merge_count];
    merge->rank = (int32_t)tokenizer->merge_count++;
    if (!right || strtok_r(NULL, " \t\r", &rest)) return error_int("expected two tokens");
    char *whole = text_format("%s%s", left, right);
    int result = whole && token_id(vocabulary, left, &merge->left) == 0 &&
                         token_id(vocabulary, right, &merge->right) == 0 &&
                         token_id(vocabulary, whole, &merge->id) == 0
                     ? 0
                     : -1;
    free(whole);
    return result;
}

// By pair, of equals the first line first.
static int compare_merges(const void *a, const void *b) {
    const TokenMerge *left = a, *right = b;
    if (left->left != right->left) return left->left < right->left ? -1 : 1;
    if (left->right != right->right) return left->right < right->right ? -1 : 1;
    return left->rank < right->rank ? -1 : left->rank > right->rank;
}

static void sort_merges(Tokenizer *tokenizer) {
    TokenMerge *merges = tokenizer->merges;
    size_t kept = 0;
    qsort(merges, tokenizer->merge_count, sizeof *merges, compare_merges);
    for (size_t i = 0; i < tokenizer->merge_count; i++)
        if (kept == 0 || merges[i].left != merges[kept - 1].left ||
            merges[i].right != merges[kept - 1].right)
            merges[kept++] = merges[i];
    tokenizer->merge_count = kept;
}

// The first line is a heading.
static int take_merges(Tokenizer *tokenizer, const json_t *vocabulary, char *text) {
    char *rest = NULL, *line = strtok_r(text_trim(text), "\n", &rest);
    tokenizer->merges = array_new(MAX_MERGES, sizeof *tokenizer->merges);
    if (!tokenizer->merges) return -1;
    while (tokenizer->merge_count < MAX_MERGES && (line = strtok_r(NULL, "\n", &rest)))
        if (take_merge(tokenizer, vocabulary, line))
            return error_context("merge %zu", tokenizer->merge_count);
    sort_merges(tokenizer);
    return 0;
}

static int read_merges(Tokenizer *tokenizer, const json_t *vocabulary, const char *path) {
    char *text = file_read(path, MAX_FILE, NULL);
    if (!text) return -1;
    int result = take_merges(tokenizer, vocabulary, text);
    free(text);
    return result == 0 ? 0 : error_context("%s", path);
}

// ---- special tokens -----------------------------------------------------------------------------

// A special token is text, or an object with its text as "content".
static const char *content_of(const json_t *value) {
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

static int check_flags(const json_t *value, const char *content) {
    static const char *const flags[] = {"lstrip", "rstrip", "single_word"};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (json_is_true(json_object_get(value, flags[i])))
            return error_int("special token %.60s: %s is not supported", content, flags[i]);
    return 0;
}

static bool is_known(const Tokenizer *tokenizer, const uint32_t *text, size_t length) {
    for (size_t i = 0; i < tokenizer->special_count; i++) {
        const SpecialToken *known = &tokenizer->specials[i];
        if (known->length == length && memcmp(known->text, text, length * sizeof *text) == 0)
            return true;
    }
    return false;
}

// Takes `text`, which may be NULL after a failure.
static int keep_special(Tokenizer *tokenizer, uint32_t *text, size_t length, int32_t id,
                        bool normalised) {
    if (!text) return -1;
    if (is_known(tokenizer, text, length)) {
        free(text);
        return 0;
    }
    if (array_grow(&tokenizer->specials, &tokenizer->special_capacity, tokenizer->special_count,
                   sizeof *tokenizer->specials)) {
        free(text);
        return -1;
    }
    tokenizer->specials[tokenizer->special_count++] = (SpecialToken){text, length, id, normalised};
    return 0;
}

// The first that names a token decides how it is found. What is found in normalised text is
// normalised itself.
static int add_special(Tokenizer *tokenizer, const json_t *vocabulary, const json_t *value,
                       bool normalised) {
    const char *content = content_of(value);
    int32_t id;
    if (!content || !*content) return error_int("a special token has no text");
    if (check_flags(value, content) || token_id(vocabulary, content, &id)) return -1;
    const json_t *flag = json_object_get(value, "normalized");
    if (flag) normalised = json_is_true(flag);
    size_t length = 0;
    uint32_t *text = u8_to_u32((const uint8_t *)content, strlen(content), NULL, &length);
    if (!text) return error_int("tokenizer: out of memory");
    if (!normalised) return keep_special(tokenizer, text, length, id, false);
    uint32_t *folded = tokenizer_normalise(text, &length);
    free(text);
    return keep_special(tokenizer, folded, length, id, true);
}

static int add_list(Tokenizer *tokenizer, const json_t *vocabulary, const json_t *list) {
    size_t index;
    json_t *value;
    json_array_foreach(list, index, value) {
        if (add_special(tokenizer, vocabulary, value, false)) return -1;
    }
    return 0;
}

static int add_decoder(Tokenizer *tokenizer, const json_t *vocabulary, const json_t *decoder) {
    const char *id;
    json_t *value;
    json_object_foreach((json_t *)decoder, id, value) {
        if (add_special(tokenizer, vocabulary, value,
                        !json_is_true(json_object_get(value, "special"))))
            return -1;
    }
    return 0;
}

// In folders without added_tokens_decoder, written by old releases, the map counts before the
// config.
static const json_t *special(const json_t *config, const json_t *map, const char *key) {
    const json_t *in_config = json_object_get(config, key), *in_map = json_object_get(map, key);
    const bool old = !json_object_get(config, "added_tokens_decoder");
    if (json_is_null(in_config)) in_config = NULL;
    return in_map && !json_is_null(in_map) && (old || !in_config) ? in_map : in_config;
}

typedef struct {
    const char *key, *usual;
    bool normalised; // when the files give only its text
    size_t place;    // of its id in Tokenizer
} Role;

static const Role roles[] = {
    {"bos_token", "<|startoftext|>", true, offsetof(Tokenizer, begin)},
    {"eos_token", "<|endoftext|>", true, offsetof(Tokenizer, end)},
    {"unk_token", "<|endoftext|>", true, offsetof(Tokenizer, unknown)},
    {"pad_token", "<|endoftext|>", false, offsetof(Tokenizer, pad)},
};

static int add_role(Tokenizer *tokenizer, const json_t *vocabulary, const json_t *config,
                    const json_t *map, const Role *role) {
    const json_t *given = special(config, map, role->key);
    json_t *value = given ? json_incref((json_t *)given) : json_string(role->usual);
    int result = value ? add_special(tokenizer, vocabulary, value, role->normalised)
                       : error_int("tokenizer: out of memory");
    if (result == 0)
        result = token_id(vocabulary, content_of(value),
                          (int32_t *)(void *)((char *)tokenizer + role->place));
    json_decref(value);
    return result == 0 ? 0 : error_context("%s", role->key);
}

static int take_specials(Tokenizer *tokenizer, const json_t *vocabulary, const json_t *config,
                         const json_t *map) {
    if (add_decoder(tokenizer, vocabulary, json_object_get(config, "added_tokens_decoder")))
        return -1;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (add_role(tokenizer, vocabulary, config, map, &roles[i])) return -1;
    return add_list(tokenizer, vocabulary, special(config, map, "additional_special_tokens"));
}

// ---- opening ------------------------------------------------------------------------------------

// A file that may be missing: then *root stays NULL. Its numbers do not matter, and one of them,
// model_max_length, may be 10^30.
static int read_optional(const char *folder, const char *name, json_t **root) {
    char *path = path_join(folder, name);
    if (path && file_exists(path))
        *root = netconfig_read_object(path, MAX_FILE, JSON_DECODE_INT_AS_REAL);
    int result = path && (*root || !file_exists(path)) ? 0 : -1;
    free(path);
    return result;
}

static int read_specials(Tokenizer *tokenizer, const json_t *vocabulary, const char *folder) {
    json_t *config = NULL, *map = NULL;
    int result = read_optional(folder, "tokenizer_config.json", &config);
    if (result == 0) result = read_optional(folder, "special_tokens_map.json", &map);
    if (result == 0 && take_specials(tokenizer, vocabulary, config, map))
        result = error_context("%s", folder);
    json_decref(config);
    json_decref(map);
    return result;
}

static int read_all(Tokenizer *tokenizer, const char *folder) {
    char *vocabulary_path = path_join(folder, "vocab.json");
    char *merges_path = path_join(folder, "merges.txt");
    json_t *vocabulary =
        vocabulary_path && merges_path ? netconfig_read_object(vocabulary_path, MAX_FILE, 0) : NULL;
    int result = vocabulary ? 0 : -1;
    if (result == 0 && check_ids(vocabulary)) result = error_context("%s", vocabulary_path);
    if (result == 0) result = read_specials(tokenizer, vocabulary, folder);
    if (result == 0) take_bytes(tokenizer, vocabulary);
    if (result == 0) result = read_merges(tokenizer, vocabulary, merges_path);
    json_decref(vocabulary);
    free(vocabulary_path);
    free(merges_path);
    return result;
}

Tokenizer *tokenizer_open(const char *model) {
    Tokenizer *tokenizer = array_new(1, sizeof *tokenizer);
    char *folder = tokenizer ? path_join(model, "tokenizer") : NULL;
    int result = folder ? read_all(tokenizer, folder) : -1;
    free(folder);
    if (result == 0) return tokenizer;
    tokenizer_free(tokenizer);
    return NULL;
}

void tokenizer_free(Tokenizer *tokenizer) {
    if (!tokenizer) return;
    for (size_t i = 0; i < tokenizer->special_count; i++) free(tokenizer->specials[i].text);
    free(tokenizer->specials);
    free(tokenizer->merges);
    free(tokenizer);
}
