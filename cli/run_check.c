// SPDX-License-Identifier: MIT
// Whether an input file holds what a component wants. See run.h.
#include "base/error.h"
#include "base/text.h"
#include "cli/run_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPECTATION_SIZE = 160 };

static bool names(const RunTensor *row, const char *name) {
    if (!text_ends_with(row->name, ".*")) return strcmp(row->name, name) == 0;
    return strncmp(name, row->name, strlen(row->name) - 1) == 0;
}

const RunTensor *run_row(const RunTensor *rows, const char *name) {
    for (int i = 0; i < RUN_MAX_TENSORS && rows[i].name; i++)
        if (names(&rows[i], name)) return &rows[i];
    return NULL;
}

static const char *type_text(RunType type) {
    static const char *const texts[] = {"float", "image", "integer", "U8"};
    return texts[type];
}

static bool type_fits(RunType row, SafeType type) {
    bool real = type == SAFE_F64 || type == SAFE_F32 || type == SAFE_F16 || type == SAFE_BF16;
    if (row == RUN_BYTE) return type == SAFE_U8;
    return row == RUN_INTEGER ? !real : real;
}

// What was found, for messages: "F32 [1,4,8,8]".
static const char *found_text(const SafeTensor *tensor, char *text) {
    int used = snprintf(text, EXPECTATION_SIZE, "%s [", safe_type_name(tensor->type));
    for (int i = 0; i < tensor->ndim; i++)
        used += snprintf(text + used, (size_t)(EXPECTATION_SIZE - used), "%s%lld", i ? "," : "",
                         (long long)tensor->shape[i]);
    snprintf(text + used, (size_t)(EXPECTATION_SIZE - used), "]");
    return text;
}

static RunSymbol *symbol(Run *run, const char *name) {
    for (int i = 0; i < run->symbol_count; i++)
        if (strcmp(run->symbols[i].name, name) == 0) return &run->symbols[i];
    return NULL;
}

static int wrong(const Run *run, const RunTensor *row, const SafeTensor *tensor) {
    char found[EXPECTATION_SIZE];
    return error_int("%s: tensor %s is %s; expected %s [%s]", safetensors_path(run->in),
                     tensor->name, found_text(tensor, found), type_text(row->type), row->shape);
}

static int wrong_size(const Run *run, const RunTensor *row, const SafeTensor *tensor,
                      const RunSymbol *known) {
    wrong(run, row, tensor);
    char *message = text_format("%s, where %s is %lld as in %s", error_take(), known->name,
                                (long long)known->size, known->tensor);
    error_int("%s", message ? message : "out of memory");
    free(message);
    return -1;
}

// One side against its word: a number, a size already known, or a new one.
static int check_side(Run *run, const RunTensor *row, const SafeTensor *tensor, const char *word,
                      int64_t size) {
    int64_t number;
    if (word[0] >= '0' && word[0] <= '9') {
        if (text_to_int64(word, 0, INT64_MAX, &number) != 0) return -1;
        return size == number ? 0 : wrong(run, row, tensor);
    }
    RunSymbol *known = symbol(run, word);
    if (known) return known->size == size ? 0 : wrong_size(run, row, tensor, known);
    if (size < 1) return wrong(run, row, tensor);
    if (run->symbol_count == RUN_MAX_SYMBOLS) return error_int("too many sizes with names");
    RunSymbol *made = &run->symbols[run->symbol_count++];
    snprintf(made->name, sizeof made->name, "%s", word);
    made->size = size;
    made->tensor = tensor->name;
    return 0;
}

static int check_shape(Run *run, const RunTensor *row, const SafeTensor *tensor) {
    const char *at = row->shape;
    if (strcmp(at, "...") == 0) return 0;
    for (int i = 0; i < tensor->ndim; i++) {
        char word[RUN_SYMBOL_SIZE];
        size_t length = strcspn(at, ",");
        if (length == 0) return wrong(run, row, tensor);
        snprintf(word, sizeof word, "%.*s", (int)length, at);
        if (check_side(run, row, tensor, word, tensor->shape[i]) != 0) return -1;
        at += length + (at[length] == ',');
    }
    return *at == '\0' ? 0 : wrong(run, row, tensor);
}

// "grad.NAME": of the output NAME.
static int check_gradient(Run *run, const SafeTensor *tensor) {
    const char *name = tensor->name + strlen("grad.");
    const RunTensor *row = run_row(run->component->outputs, name);
    if (!run->component->gradients)
        return error_int("%s: %s has no gradients, so there can be no tensor %s",
                         safetensors_path(run->in), run->component->name, tensor->name);
    if (!row || (row->type != RUN_FLOAT && row->type != RUN_IMAGE))
        return error_int("%s: tensor %s: %s has no float output %s", safetensors_path(run->in),
                         tensor->name, run->component->name, name);
    if (!type_fits(row->type, tensor->type)) return wrong(run, row, tensor);
    run->gradients = true;
    return 0;
}

static int unknown(const Run *run, const char *name) {
    const RunTensor *rows = run->component->inputs;
    size_t count = 0;
    while (count < RUN_MAX_TENSORS && rows[count].name) count++;
    const char *near = count ? text_nearest(name, &rows[0].name, count, sizeof rows[0]) : NULL;
    return error_int("%s: %s knows no tensor %s%s%s", safetensors_path(run->in),
                     run->component->name, name, near ? "; nearest is " : "", near ? near : "");
}

static int check_tensor(Run *run, const SafeTensor *tensor) {
    if (text_starts_with(tensor->name, "grad.")) return check_gradient(run, tensor);
    const RunTensor *row = run_row(run->component->inputs, tensor->name);
    if (!row) return unknown(run, tensor->name);
    if (!type_fits(row->type, tensor->type)) return wrong(run, row, tensor);
    if (tensor->ndim > TENSOR_MAX_DIMS || (row->type == RUN_IMAGE && tensor->ndim != 4))
        return wrong(run, row, tensor);
    return check_shape(run, row, tensor);
}

static int check_missing(const Run *run, const RunTensor *row) {
    if (row->optional) return 0;
    for (size_t i = 0; i < safetensors_count(run->in); i++)
        if (names(row, safetensors_at(run->in, i)->name)) return 0;
    return error_int("%s: tensor %s is missing; %s wants %s [%s]", safetensors_path(run->in),
                     row->name, run->component->name, type_text(row->type), row->shape);
}

int run_check(Run *run) {
    const Component *component = run->component;
    for (int i = 0; i < RUN_MAX_TENSORS && component->inputs[i].name; i++)
        if (check_missing(run, &component->inputs[i]) != 0) return -1;
    for (size_t i = 0; i < safetensors_count(run->in); i++)
        if (check_tensor(run, safetensors_at(run->in, i)) != 0) return -1;
    return 0;
}
