# SPDX-License-Identifier: MIT
"""The text tower: tokenizer, encoder, and the empty prompt that both make.

The tokenizer's vocabulary is learned here, by byte-pair merging of a few lines of text. Our tokenizer must give the
ids of CLIPTokenizerFast on every string; where CLIPTokenizer (the slow one) gives others, the row counts the strings
and names the kinds of character that tell them apart, because the fast one is followed.
"""
import json
import os
import unicodedata
from collections import Counter

import numpy as np
import torch
from safetensors.numpy import load_file
from tokenizers import normalizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPTokenizerFast
from transformers.models.clip.tokenization_clip import bytes_to_unicode

from trial import GRADIENT_LIMIT, component, rms

STRINGS = 10000
MERGES = 400
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]
CORPUS = """a photo of the painting that the woman in the street was looking at, with another one behind it; it's not what
they'd have thought, we're sure: he'll say "I've seen 1234 of 5678 (and 90)!!!" and don't you think so?? ... élan naïve
Straße œuvre Привет мир Ελλάδα 中文字符 日本語 한국어 हिन्दी العربية עברית ไทย 😀😃👍🏽 👩‍👩‍👧 café résumé x²+y³=½ №42 ™ → ∑∞ ---- ### $$$""".lower()


# ---- a small vocabulary -------------------------------------------------------------------------

def learn(count):
    """The most frequent pair joins, again and again."""
    letters = bytes_to_unicode()
    words = Counter()
    for word in CORPUS.split():
        symbols = [letters[b] for b in word.encode()]
        words[tuple(symbols[:-1] + [symbols[-1] + "</w>"])] += 1
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        joined = Counter()
        for word, n in words.items():
            out, i = [], 0
            while i < len(word):
                step = 2 if word[i:i + 2] == best else 1
                out.append("".join(word[i:i + step]))
                i += step
            joined[tuple(out)] += n
        words = joined
    return merges


def write_tokenizer(folder, padding):
    """padding: "same" (pads with the end token), or "old" and "new": with "!", as released and as saved again."""
    os.makedirs(folder, exist_ok=True)
    letters, merges = list(bytes_to_unicode().values()), learn(MERGES)
    vocabulary = letters + [letter + "</w>" for letter in letters] + [a + b for a, b in merges] + SPECIAL
    files = {"vocab.json": {token: i for i, token in enumerate(dict.fromkeys(vocabulary))}}
    flags = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    begin, end = ({"content": token, **flags} for token in SPECIAL)
    words = {"bos_token": begin, "eos_token": end, "unk_token": end}
    if padding == "old":
        files["tokenizer_config.json"] = {**words, "pad_token": SPECIAL[1], "tokenizer_class": "CLIPTokenizer"}
        files["special_tokens_map.json"] = {**words, "pad_token": "!"}
    for name, content in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False)
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    if padding == "new":
        tokenizer = CLIPTokenizer.from_pretrained(folder, pad_token="!")
        tokenizer.save_pretrained(folder)


# ---- strings ------------------------------------------------------------------------------------

ODD = ["", " ", "\n\t ", "\x00", "\x00\x01\x1f\x7f\x85\xa0", "'", "''", "'S 'T 'RE 'VE 'M 'LL 'D", "'s't're've'm'll'd'x", "!'s !!'ll",
       "İstanbul İİ", "ΣΑΣ ΌΣΟΣ σς", "ẞß ŉ ǰ ﬁﬂ", "e\u0301 \u0301e A\u030a Å", "\u1100\u1161\u11a8 각", "१२३ ٤٥٦ Ⅷⅷ ½²", "a\u200bb\u200dc\ufeffd",
       "\u2028\u2029\u3000\u1680\u180e", "😀👍🏽👩‍👩‍👧🇩🇪", "<|startoftext|>", "<|endoftext|>x<|ENDOFTEXT|>", "<|startoftext|", "<|endoftext|>" * 5,
       "!", "a!b !! !", "\U0010ffff\U000e0001", "\ufdfa\u0344\u0958", "中文字a日本1語", "x" * 3000, "!" * 500, "1" * 300, "é" * 700,
       "the theatre's thé", "\ufffd\ufffe", "a\u0300\u0316\u0301b", "\u0f73\u0f75", "\U0001d15e \U000110ab"]


def strings(rng, count):
    """Random ones of several kinds: any code points, words of the corpus, pieces of the odd ones, digits and signs."""
    pools = ["".join(map(chr, range(32, 127))), CORPUS, "".join(ODD[:-10]), "0123456789'!?.,-  \t\nsStTrReEvVmMlLdD",
             "".join(map(chr, range(0xa0, 0x530)))]
    result = list(ODD)
    while len(result) < count:
        length, kind = int(rng.integers(0, 40)), int(rng.integers(0, 8))
        if kind == 0:
            points = rng.integers(0, 0x110000, length)
            text = "".join(chr(c) for c in points if not 0xd800 <= c < 0xe000)
        elif kind == 1:
            text = "".join(chr(c) for c in rng.integers(0, 0x3100, length))
        elif kind == 2:
            words = rng.choice(CORPUS.split() + SPECIAL + ODD[:24], length // 3)
            text = rng.choice(["", " ", "'"]).join(word.upper() if rng.random() < 0.3 else word for word in words)
        else:
            pool = pools[kind - 3]
            text = "".join(pool[i] for i in rng.integers(0, len(pool), length))
            text = text.title() if rng.random() < 0.2 else text
        result.append(text)
    return result[:count]


def new_marks():
    """Combining marks that are younger than the tables of the fast tokenizer, which leaves them where they are."""
    nfc, before, after = normalizers.NFC(), "\u0345", "\u0334"  # of the highest and the lowest class
    return {c for c in map(chr, range(0x110000)) if unicodedata.combining(c)
            and (nfc.normalize_str("x" + before + c), nfc.normalize_str("x" + c + after)) !=
            (unicodedata.normalize("NFC", "x" + before + c), unicodedata.normalize("NFC", "x" + c + after))}


def pack(texts):
    """Texts as one block of bytes and where each ends."""
    encoded = [text.encode() for text in texts]
    block = np.frombuffer(b"".join(encoded), np.uint8)
    return {"text": block, "ends": np.cumsum([len(e) for e in encoded]).astype(np.int32)}


def unpack(items, ends):
    return [part.tolist() for part in np.split(items, ends[:-1])]


def kinds(text):
    """What of a string the slow tokenizer treats in its own way."""
    found = {"special tokens in capitals" for token in SPECIAL if token in text.lower().replace(token, "", text.count(token))}
    for c in text:
        category = unicodedata.category(c)
        if category in ("Cc", "Cf", "Cn", "Co"):
            found.add("controls and unassigned")
        elif 0x3400 <= ord(c) <= 0x9fff or 0xf900 <= ord(c) <= 0xfaff or ord(c) >= 0x20000:
            found.add("Chinese characters")
        elif c in "ΣςΌ":
            found.add("final sigma")
        elif category[0] == "M":
            found.add("combining marks")
    return found or {"other"}


@component("tokenize", once=True)
def tokenize(trial):
    young = new_marks()
    texts = ["".join(c for c in text if c not in young) for text in strings(trial.rng, STRINGS)]
    apart = Counter()
    for padding in ("same", "old", "new"):
        model = trial.path(padding)
        write_tokenizer(os.path.join(model, "tokenizer"), padding)
        fast = CLIPTokenizerFast.from_pretrained(os.path.join(model, "tokenizer"))
        answer = trial.run("tokenize", pack(texts), model=model)
        ours = unpack(answer["ids"], answer["id_ends"])
        theirs = [fast(text).input_ids for text in texts]
        wrong = [i for i, (a, b) in enumerate(zip(theirs, ours)) if a != b]
        trial.exact(f"{padding}: strings with other ids than the fast one's", np.zeros(STRINGS),
                    np.isin(np.arange(STRINGS), wrong))
        if wrong:
            trial.wrong.append(f"{padding}: {texts[wrong[0]]!r}: {ours[wrong[0]]}, fast {theirs[wrong[0]]}")
        if padding != "same":
            continue
        slow = CLIPTokenizer.from_pretrained(os.path.join(model, "tokenizer"))
        for text, ids in zip(texts, theirs):
            if slow(text).input_ids != ids:
                apart["strings"] += 1
                apart.update(kinds(text))
    trial.shapes.append(f"{STRINGS} strings x 3 folders, without {len(young)} marks of later Unicode; slow differs from fast on {apart.pop('strings', 0)}: "
                        + ", ".join(f"{kind} ({n})" for kind, n in apart.most_common()))


# ---- the encoder --------------------------------------------------------------------------------

TOWERS = {
    "sd2": dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, hidden_act="gelu"),
    "sd15": dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
                 hidden_act="quick_gelu"),
}


def write_tower(folder, seed, **keys):
    torch.manual_seed(seed)
    tower = CLIPTextModel(CLIPTextConfig(**{"projection_dim": 512, **keys})).eval()
    with torch.no_grad():  # the starting values of norms and biases are 1 and 0: no test of them
        for name, p in tower.named_parameters():
            if "norm" in name or name.endswith(".bias"):
                p += 0.1 * torch.randn_like(p)
    tower.save_pretrained(folder)
    return tower


def key_bias(theirs, noise, name):
    """What a key's bias is measured against. Its gradient is zero by mathematics, a sum over all tokens whose terms
    cancel, and in float32 transformers itself is off by up to 1e-5 of the RMS of the layer's weight gradient: far above
    1e-4 of 1e-3 of it. Allowed are ten times the reference's own error in float32, and 1e-5 of that RMS in any case."""
    return max(0.1 * rms(theirs[name.replace(".bias", ".weight")]), 10 / GRADIENT_LIMIT * rms(noise[name]))


def reference_gradients(reference, ids, gradient, dtype):
    """The last hidden state, and the gradients of all parameters."""
    torch.set_default_dtype(dtype)  # of the mask
    reference.to(dtype).zero_grad()
    hidden = reference(torch.from_numpy(ids).long()).last_hidden_state
    hidden.backward(torch.from_numpy(gradient).to(dtype))
    torch.set_default_dtype(torch.float32)
    return hidden.detach().numpy(), {n: p.grad.numpy().copy() for n, p in reference.named_parameters()}


def tower(trial, name, batch, length, dtype, **changes):
    keys = {**TOWERS[name], "vocab_size": 1000, **changes}
    model = trial.path(name)
    reference = write_tower(os.path.join(model, "text_encoder"), trial.seed, **keys)
    ids = trial.integers(0, keys["vocab_size"] - 1, batch, length)
    given = {"ids": ids, "grad.hidden": trial.normal(batch, length, keys["hidden_size"])}
    ours = trial.run("text", given, model=model)
    hidden, noise = reference_gradients(reference, ids, given["grad.hidden"], torch.float32)
    theirs = noise
    if dtype == torch.float64:
        hidden, theirs = reference_gradients(reference, ids, given["grad.hidden"], dtype)
    trial.forward("hidden", hidden, ours["hidden"])
    mine = {n[len("grad.param."):]: g for n, g in ours.items() if n.startswith("grad.param.")}
    keys_biases = [n for n in theirs if n.endswith("k_proj.bias")]
    for n in keys_biases:
        trial.gradient(n, theirs[n], mine.pop(n), key_bias(theirs, noise, n), parameter=True)
    trial.parameter_gradients({n: g for n, g in theirs.items() if n not in keys_biases}, mine)
    trial.shape((batch, length), hidden.shape)


@component("text.sd2", once=True)
def text_sd2(trial):
    tower(trial, "sd2", 1, 16, torch.float32)


@component("text.sd15", once=True)
def text_sd15(trial):
    tower(trial, "sd15", 1, 77, torch.float32)


@component("text.narrow")
def text_narrow(trial):
    narrow = dict(hidden_size=128, intermediate_size=512, num_hidden_layers=4, num_attention_heads=2)
    for name in TOWERS:
        tower(trial, name, 3, 77, torch.float64, **narrow)
        tower(trial, name, 1, 2, torch.float64, **narrow)


@component("empty_prompt", once=True)
def empty_prompt(trial):
    for padding in ("same", "old", "new"):
        model = trial.path(padding)
        write_tokenizer(os.path.join(model, "tokenizer"), padding)
        tokenizer = CLIPTokenizer.from_pretrained(os.path.join(model, "tokenizer"))
        reference = write_tower(os.path.join(model, "text_encoder"), trial.seed, vocab_size=len(tokenizer),
                                hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4,
                                hidden_act="gelu")
        trial.command("prepare", "prompt", model)
        ours = load_file(os.path.join(model, "empty_prompt.safetensors"))
        for name, keys in (("train", dict(padding="max_length", max_length=77)), ("infer", {})):
            ids = tokenizer("", return_tensors="pt", **keys).input_ids
            with torch.no_grad():
                trial.forward(f"{padding} {name}", reference(ids).last_hidden_state[0].numpy(), ours[name])
    trial.shape((77, 64), (2, 64))
