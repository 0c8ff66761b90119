// SPDX-License-Identifier: MIT
// Components of text: the tokenizer and the text encoder of a model folder.
#include "autograd/tape.h"
#include "base/error.h"
#include "cli/run.h"
#include "cli/run_inputs.h"
#include "nn/text_encoder.h"
#include "nn/tokenizer.h"

#include <stdlib.h>
#include <string.h>

// ---- text ---------------------------------------------------------------------------------------

static int text(Run *run, const void *keys) {
    (void)keys;
    TextEncoder *encoder = text_encoder_open(run_model(run), F32);
    if (!encoder) return -1;
    if (run_wants_gradients(run)) params_train(&encoder->params, "");
    ParamSet *sets[] = {&encoder->params};
    int result = run_output(run, "hidden", text_encoder_forward(encoder, run_tensor(run, "ids")));
    if (result == 0) result = run_backward(run, sets, 1);
    tape_reset();
    text_encoder_free(encoder);
    return result;
}

// ---- tokenize -----------------------------------------------------------------------------------

typedef struct {
    const Tokenizer *tokenizer;
    IntegerLists lists;
} Tokens;

static int add_text(void *context, const uint8_t *bytes, size_t size) {
    Tokens *tokens = context;
    size_t count = 0;
    int32_t *ids = tokenizer_encode(tokens->tokenizer, (const char *)bytes, size, &count);
    int result = ids ? integer_lists_add(&tokens->lists, ids, count) : -1;
    free(ids);
    return result;
}

static int tokenize(Run *run, const void *keys) {
    (void)keys;
    Tokenizer *tokenizer = tokenizer_open(run_model(run));
    if (!tokenizer) return -1;
    Tokens tokens = {.tokenizer = tokenizer};
    int result = run_each_text(run, add_text, &tokens);
    if (result == 0) result = integer_lists_output(run, &tokens.lists, "ids", "id_ends");
    integer_lists_free(&tokens.lists);
    tokenizer_free(tokenizer);
    return result;
}

// ---- the table ----------------------------------------------------------------------------------

static const Component components[] = {
    {.name = "text",
     .help = "the text encoder of MODEL/text_encoder",
     .needs_model = true,
     .gradients = true,
     .inputs = {{"ids", RUN_INTEGER, "N,T", false, "of tokens"}},
     .outputs = {{"hidden", RUN_FLOAT, "N,T,D", false, "last hidden state after the final norm"}},
     .run = text},
    {.name = "tokenize",
     .help = "the tokenizer of MODEL/tokenizer on many texts",
     .needs_model = true,
     .inputs = {{"text", RUN_BYTE, "...", false, "UTF-8 of all texts, one behind the other"},
                {"ends", RUN_INTEGER, "S", false, "where each text ends, in bytes"}},
     .outputs = {{"ids", RUN_INTEGER, "I", false, "of all texts, begin and end included"},
                 {"id_ends", RUN_INTEGER, "S", false, "where the ids of each text end"}},
     .run = tokenize},
};

const ComponentGroup components_text = {components, sizeof components / sizeof components[0]};
