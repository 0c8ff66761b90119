// SPDX-License-Identifier: MIT
// What a model's own text encoder answers to the empty prompt, the only one that is ever asked.
#ifndef NN_EMPTY_PROMPT_H
#define NN_EMPTY_PROMPT_H

#include <stdint.h>

// What was made, for messages.
typedef struct {
    int64_t positions, width; // `train` is [positions,width], `infer` [2,width]
    int32_t begin, end, pad;  // ids
} EmptyPrompt;

// Runs MODEL/text_encoder on the tokens of MODEL/tokenizer and writes
// MODEL/empty_prompt.safetensors (model.h): train, the empty prompt padded to the encoder's length,
// and infer, begin and end alone. An error when a part is missing or both forms disagree about what
// they share.
int empty_prompt_write(const char *model, EmptyPrompt *made);

#endif
