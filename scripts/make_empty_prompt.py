#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes MODEL/empty_prompt.safetensors: what a model's text encoder answers to the empty prompt.

p2s has no text encoder; the empty prompt is the only one it ever needs, in two forms:

    train  [77, D]   begin, end, then padding up to the encoder's length, as in training
    infer  [ 2, D]   begin, end, as the published pipeline prompts

Needs the folders text_encoder/ and tokenizer/ of the model, and

    pip install torch transformers safetensors
    python scripts/make_empty_prompt.py models/gen2seg-sd
"""
import argparse
import json
import os
import sys

import torch
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer


def padding_word(folder):
    """The word that pads. In old folders special_tokens_map.json and tokenizer_config.json may
    differ; the map counts unless the config has added_tokens_decoder. Releases of transformers
    disagree about that, so it is decided here."""
    words = {}
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                words[name] = json.load(file)
    config = words.get("tokenizer_config.json", {})
    chosen = config.get("pad_token")
    if "added_tokens_decoder" not in config or chosen is None:
        chosen = words.get("special_tokens_map.json", {}).get("pad_token", chosen)
    return chosen["content"] if isinstance(chosen, dict) else chosen


def answer(encoder, ids):
    with torch.no_grad():
        rows = encoder(torch.tensor([ids])).last_hidden_state[0]
    return rows.float().contiguous()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a model folder with text_encoder/ and tokenizer/")
    parser.add_argument("--pad-id", type=int, help="padding token, if not the tokenizer's own")
    options = parser.parse_args()
    texts = os.path.join(options.model, "tokenizer")
    tower = os.path.join(options.model, "text_encoder")
    for folder in (texts, tower):
        if not os.path.isdir(folder):
            sys.exit(f"{folder}: there is no such folder; download it with the rest of the model")

    tokenizer = CLIPTokenizer.from_pretrained(texts)
    encoder = CLIPTextModel.from_pretrained(tower, torch_dtype=torch.float32).eval()
    length = encoder.config.max_position_embeddings
    short = tokenizer("").input_ids
    if len(short) != 2:
        sys.exit(f"{texts}: the empty prompt has {len(short)} tokens, expected begin and end")
    pad = options.pad_id
    if pad is None:
        word = padding_word(texts)
        pad = tokenizer.pad_token_id if word is None else tokenizer.convert_tokens_to_ids(word)
    rows = {"train": answer(encoder, short + [pad] * (length - 2)), "infer": answer(encoder, short)}

    # The encoder's mask is causal: what follows cannot change the first two rows.
    apart = (rows["train"][:2] - rows["infer"]).abs().max().item()
    if not apart <= 1e-3 * rows["infer"].abs().max().item():
        sys.exit(f"{tower}: the first two rows differ by {apart:g} between both forms")
    path = os.path.join(options.model, "empty_prompt.safetensors")
    save_file(rows, path + ".tmp")
    os.replace(path + ".tmp", path)
    print(f"{path}: train {list(rows['train'].shape)}, infer {list(rows['infer'].shape)}, "
          f"tokens {short[0]} {short[1]}, padding {pad}")


main()
