// SPDX-License-Identifier: MIT
// Cases of embedding.
#include "tests/op_cases.h"

#include <stddef.h>

// p: rows, width; six ids, one of them twice
static void inputs(CaseRun *run) {
    const double ids[] = {0, 3, 1, 3, 4, 2};
    case_input(run, -2, 2, DIMS(run->p[0], run->p[1]));
    case_constant(run, I32, ids, DIMS(2, 3));
}

static Tensor *forward(CaseRun *run) {
    return op_embedding(run->inputs[0], run->inputs[1]);
}

#define COMMON .inputs = inputs, .forward = forward
static const OpVariant variants[] = {
    {.name = "a row twice, a row never", .p = {7, 5}, COMMON},
    {.name = "rows of 1", .p = {5, 1}, COMMON},
};

static int known_rows(void) {
    const double table[] = {1, 2, 3, 4}, ids[] = {1, 0, 1}, y[] = {3, 4, 1, 2, 3, 4};
    const double ones[] = {1, 1, 1, 1, 1, 1}, dtable[] = {1, 1, 2, 2};
    Tensor *leaf = case_leaf(F64, table, DIMS(2, 2));
    tape_record(true);
    Tensor *result = op_embedding(leaf, case_leaf(I32, ids, DIMS(3)));
    if (case_expect("embedding", result, y, 6, 0) != 0) return -1;
    if (tape_backward_from(result, case_leaf(F64, ones, DIMS(3, 2))) != 0) return -1;
    return case_expect("gradient of the table", leaf->grad, dtable, 4, 0);
}

static const OpKnown knowns[] = {{"takes rows and adds gradients of repeated ones", known_rows}};

static Tensor *with(double id) {
    const double table[4] = {0}, ids[] = {1, id};
    return op_embedding(case_leaf(F32, table, DIMS(2, 2)), case_leaf(I32, ids, DIMS(2)));
}

static Tensor *high_id(void) {
    return with(2);
}

static Tensor *negative_id(void) {
    return with(-1);
}

static Tensor *float_ids(void) {
    const double table[4] = {0};
    return op_embedding(case_leaf(F32, table, DIMS(2, 2)), case_leaf(F32, table, DIMS(2)));
}

static const OpReject rejects[] = {
    {"rejects an id above the table", high_id, "id 2 at position 1"},
    {"rejects a negative id", negative_id, "id -1 at position 1"},
    {"rejects float ids", float_ids, "type i32"},
};

const OpCase case_embedding = {"embedding",         variants, CASE_COUNT(variants), rejects,
                               CASE_COUNT(rejects), knowns,   CASE_COUNT(knowns)};
