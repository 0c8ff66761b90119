// SPDX-License-Identifier: MIT
// Walking of large JSON files. See json_text.h. Finding the members takes no parsing, only the
// matching of brackets outside of strings; elements are then parsed one by one by jansson.
#include "data/json_text.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_MEMBERS = 64, MOST_DEPTH = 64 };
static const size_t max_file = (size_t)1 << 33;

typedef struct {
    size_t key, key_end; // without the quotes
    size_t value, end;
} Member;

struct JsonText {
    char *bytes;
    size_t size;
    Member members[MOST_MEMBERS];
    int count;
};

// Says where in the file something is wrong.
static int wrong(const JsonText *text, size_t at, const char *what) {
    size_t line = 1, start = 0;
    for (size_t i = 0; i < at && i < text->size; i++)
        if (text->bytes[i] == '\n') {
            line++;
            start = i + 1;
        }
    return error_int("line %zu, column %zu: %s", line, at - start + 1, what);
}

static size_t skip_space(const JsonText *text, size_t at) {
    while (at < text->size && strchr(" \t\r\n", text->bytes[at]) && text->bytes[at]) at++;
    return at;
}

// The byte there, 0 at the end of the file.
static char byte_at(const JsonText *text, size_t at) {
    return at < text->size ? text->bytes[at] : '\0';
}

// *at stands on a quote; moves it behind the closing one.
static int skip_string(const JsonText *text, size_t *at) {
    const size_t start = (*at)++;
    while (*at < text->size && text->bytes[*at] != '"') *at += text->bytes[*at] == '\\' ? 2 : 1;
    if (*at >= text->size) return wrong(text, start, "a string without an end");
    (*at)++;
    return 0;
}

// Moves *at behind a value: to the comma or bracket that follows it.
static int skip_value(const JsonText *text, size_t *at) {
    char open[MOST_DEPTH];
    int depth = 0;
    while (*at < text->size) {
        const char c = text->bytes[*at];
        if (c == '"') {
            if (skip_string(text, at)) return -1;
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) return 0;
        if (c == '{' || c == '[') {
            if (depth == MOST_DEPTH) return wrong(text, *at, "brackets are nested too deeply");
            open[depth++] = c;
        } else if (c == '}' || c == ']') {
            if (open[--depth] != (c == '}' ? '{' : '['))
                return wrong(text, *at, "a bracket that closes another kind");
        }
        (*at)++;
    }
    return wrong(text, *at, "the file ends within a value");
}

static int find_member(JsonText *text, size_t *at) {
    if (text->count == MOST_MEMBERS) return wrong(text, *at, "more than 64 members");
    if (byte_at(text, *at) != '"') return wrong(text, *at, "expected the name of a member");
    Member *member = &text->members[text->count++];
    member->key = *at + 1;
    if (skip_string(text, at)) return -1;
    member->key_end = *at - 1;
    *at = skip_space(text, *at);
    if (byte_at(text, *at) != ':') return wrong(text, *at, "expected ':'");
    member->value = *at = skip_space(text, *at + 1);
    if (skip_value(text, at)) return -1;
    member->end = *at;
    return 0;
}

static int find_members(JsonText *text) {
    size_t at = skip_space(text, 0);
    if (byte_at(text, at) != '{') return wrong(text, at, "expected '{', an object");
    at = skip_space(text, at + 1);
    while (byte_at(text, at) != '}') {
        if (find_member(text, &at)) return -1;
        if (byte_at(text, at) == '}') break;
        if (byte_at(text, at) != ',') return wrong(text, at, "expected ',' or '}'");
        at = skip_space(text, at + 1);
    }
    at = skip_space(text, at + 1);
    return at == text->size ? 0 : wrong(text, at, "something follows the object");
}

JsonText *json_text_open(const char *path) {
    JsonText *text = array_new(1, sizeof *text);
    if (!text) return NULL;
    text->bytes = file_read(path, max_file, &text->size);
    if (text->bytes && find_members(text) == 0) return text;
    if (text->bytes) error_context("%s", path);
    json_text_close(text);
    return NULL;
}

void json_text_close(JsonText *text) {
    if (!text) return;
    free(text->bytes);
    free(text);
}

static const Member *member_named(const JsonText *text, const char *key) {
    for (int i = 0; i < text->count; i++) {
        const Member *member = &text->members[i];
        if (member->key_end - member->key == strlen(key) &&
            memcmp(text->bytes + member->key, key, strlen(key)) == 0)
            return member;
    }
    return error_null("\"%s\" is missing", key);
}

// Parses the element at *at, moves *at behind it and hands it over.
static int take_element(const JsonText *text, size_t *at, size_t end, JsonTake take,
                        void *context) {
    json_error_t problem;
    const size_t flags = JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY;
    json_t *element = json_loadb(text->bytes + *at, end - *at, flags, &problem);
    if (!element) return wrong(text, *at + (size_t)problem.position, problem.text);
    *at += (size_t)problem.position;
    const int status = take(context, element);
    json_decref(element);
    return status;
}

static int take_all(const JsonText *text, const Member *member, JsonTake take, void *context) {
    size_t at = skip_space(text, member->value + 1), count = 0;
    while (byte_at(text, at) != ']') {
        if (take_element(text, &at, member->end, take, context))
            return error_context("%.*s[%zu]", (int)(member->key_end - member->key),
                                 text->bytes + member->key, count);
        count++;
        at = skip_space(text, at);
        if (byte_at(text, at) == ']') break;
        if (byte_at(text, at) != ',') return wrong(text, at, "expected ',' or ']'");
        at = skip_space(text, at + 1);
        if (byte_at(text, at) == ']') return wrong(text, at, "expected a value");
    }
    at = skip_space(text, at + 1);
    return at >= member->end ? 0 : wrong(text, at, "something follows the list");
}

int json_text_list(const JsonText *text, const char *key, JsonTake take, void *context) {
    const Member *member = member_named(text, key);
    if (!member) return -1;
    if (byte_at(text, member->value) == '[') return take_all(text, member, take, context);
    return error_int("\"%s\" is not a list", key);
}
