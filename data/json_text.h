// SPDX-License-Identifier: MIT
// A large JSON file whose lists are walked element by element, so that only one element stands in
// memory as a tree: COCO's training annotations would need gigabytes as a whole.
#ifndef DATA_JSON_TEXT_H
#define DATA_JSON_TEXT_H

#include <jansson.h>

typedef struct JsonText JsonText;

// Reads the file, whose value must be an object, and finds its members; brackets and strings are
// checked, the members' values not yet. Errors name the file.
JsonText *json_text_open(const char *path);
void json_text_close(JsonText *text);

// Calls `take` with every element of the member's list, in order, until one fails. Fails when there
// is no such member or it is no list, and, with line and column, on malformed JSON. The messages do
// not name the file.
typedef int (*JsonTake)(void *context, const json_t *element);
int json_text_list(const JsonText *text, const char *key, JsonTake take, void *context);

#endif
