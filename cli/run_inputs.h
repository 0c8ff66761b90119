// SPDX-License-Identifier: MIT
// Helpers of components: many texts or lists in one tensor (all items one behind the other, and a
// second tensor that says where each ends), and 8-bit pictures.
#ifndef CLI_RUN_INPUTS_H
#define CLI_RUN_INPUTS_H

#include "base/text.h"
#include "cli/run.h"
#include "data/image.h"

typedef struct {
    int32_t *items, *ends;
    size_t count, capacity, lists, list_capacity;
} IntegerLists;

// Appends a list; writes all lists as two outputs; frees them.
int integer_lists_add(IntegerLists *lists, const int32_t *items, size_t count);
int integer_lists_output(Run *run, const IntegerLists *lists, const char *items, const char *ends);
void integer_lists_free(IntegerLists *lists);

typedef struct {
    Text bytes;
    IntegerLists ends; // one entry each
} TextLists;

// The same for texts.
int text_lists_add(TextLists *lists, const char *text, size_t size);
int text_lists_output(Run *run, const TextLists *lists, const char *bytes, const char *ends);
void text_lists_free(TextLists *lists);

// Copies the input `name`, U8 [H,W,C], to an image, which the caller frees.
int run_picture(Run *run, const char *name, Image *image);

// The integers of the input `name`, [*count], owned by the caller.
int32_t *run_integers(Run *run, const char *name, size_t *count);

// The input `name`, which says where lists end: checks that it rises and goes up to `total`.
// Returns [*count] integers, owned by the caller.
int32_t *run_ends(Run *run, const char *name, int64_t total, size_t *count);

// Gives the texts of the inputs "text" and "ends" to `each`, in order, until it fails.
typedef int TextVisit(void *context, const uint8_t *bytes, size_t size);
int run_each_text(Run *run, TextVisit *each, void *context);

#endif
