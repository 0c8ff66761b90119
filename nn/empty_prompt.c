// SPDX-License-Identifier: MIT
// The empty prompt from tokenizer and text encoder. See empty_prompt.h.
#include "nn/empty_prompt.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "nn/model.h"
#include "nn/safetensors.h"
#include "nn/text_encoder.h"
#include "nn/tokenizer.h"

#include <math.h>
#include <stdlib.h>

enum { SHORT_PROMPT = 2 };

static int check_finite(const float *rows, int64_t count, int64_t width) {
    for (int64_t i = 0; i < count * width; i++)
        if (!isfinite(rows[i]))
            return error_int("text_encoder: its answer to the empty prompt is not finite, %g in "
                             "row %lld of %lld",
                             (double)rows[i], (long long)(i / width), (long long)count);
    return 0;
}

// The encoder's answer to `count` ids, [count,width], owned by the caller.
static float *answer(TextEncoder *encoder, const int32_t *ids, int64_t count) {
    float *rows = array_new((size_t)(count * encoder->config.width), sizeof *rows);
    Tensor *tokens = tensor_new(SHAPE(I32, 1, count));
    int result = rows && tokens ? tensor_write(tokens, ids) : -1;
    if (result == 0) {
        Tensor *hidden = text_encoder_forward(encoder, tokens);
        result = hidden ? tensor_read_float(hidden, rows) : -1;
    }
    tape_reset();
    tensor_free(tokens);
    if (result == 0) result = check_finite(rows, count, encoder->config.width);
    if (result == 0) return rows;
    free(rows);
    return NULL;
}

// The encoder's mask is causal: what follows cannot change the first rows.
static int check_shared(const float *train, const float *infer, int64_t count) {
    float most = 0, apart = 0;
    for (int64_t i = 0; i < count; i++) {
        most = fmaxf(most, fabsf(infer[i]));
        apart = fmaxf(apart, fabsf(train[i] - infer[i]));
    }
    if (apart <= 1e-3f * most) return 0;
    return error_int("text_encoder: the first rows of both forms differ by %g", (double)apart);
}

static int write_rows(const char *model, const EmptyPrompt *made, const float *train,
                      const float *infer) {
    const SafeEntry entries[] = {
        {"train", SAFE_F32, 2, {made->positions, made->width}, train},
        {"infer", SAFE_F32, 2, {SHORT_PROMPT, made->width}, infer},
    };
    char *path = path_join(model, EMPTY_PROMPT_FILE);
    int result = path ? safetensors_write(path, entries, 2, NULL, NULL) : -1;
    free(path);
    return result;
}

static int encode(const Tokenizer *tokenizer, const char *model, EmptyPrompt *made,
                  int32_t *padded) {
    size_t count = 0;
    int32_t *ids = tokenizer_encode(tokenizer, "", 0, &count);
    if (!ids) return -1;
    tokenizer_fit(tokenizer, ids, count, padded, (size_t)made->positions);
    free(ids);
    made->begin = padded[0];
    made->end = padded[1];
    made->pad = made->positions > SHORT_PROMPT ? padded[SHORT_PROMPT] : padded[1];
    if (count == SHORT_PROMPT) return 0;
    return error_int("%s: the empty prompt has %zu tokens, expected begin and end", model, count);
}

static int make(TextEncoder *encoder, const Tokenizer *tokenizer, const char *model,
                EmptyPrompt *made) {
    int32_t *padded = array_new((size_t)made->positions, sizeof *padded);
    float *train = NULL, *infer = NULL;
    int result = padded ? encode(tokenizer, model, made, padded) : -1;
    if (result == 0) train = answer(encoder, padded, made->positions);
    if (train) infer = answer(encoder, padded, SHORT_PROMPT);
    result = infer ? check_shared(train, infer, SHORT_PROMPT * made->width) : -1;
    if (result == 0) result = write_rows(model, made, train, infer);
    free(padded);
    free(train);
    free(infer);
    return result;
}

int empty_prompt_write(const char *model, EmptyPrompt *made) {
    Tokenizer *tokenizer = tokenizer_open(model);
    TextEncoder *encoder = tokenizer ? text_encoder_open(model, F32) : NULL;
    int result = encoder ? 0 : -1;
    if (result == 0) {
        *made =
            (EmptyPrompt){.positions = encoder->config.positions, .width = encoder->config.width};
        if (made->positions < SHORT_PROMPT)
            result = error_int("%s: the text encoder has %lld positions, expected 2 or more", model,
                               (long long)made->positions);
    }
    if (result == 0) result = make(encoder, tokenizer, model, made);
    text_encoder_free(encoder);
    tokenizer_free(tokenizer);
    return result;
}
