#!/usr/bin/python3
"""An independent BERT: makes random models as GGUF and says what they answer.

    tests/tools/bert_oracle.py golden tests/golden          (the committed two-layer model)
    tests/tools/bert_oracle.py SHAPE POOLING FOLDER         (a large one, for the oracle test)

SHAPE is small (bge-small: 12 layers of 384), base (bge-base: 12 of 768) or tiny;
POOLING cls or mean. FOLDER gets F32.gguf, F16.gguf and Q8_0.gguf of one model,
texts.txt (a text a line) and vectors.f32 (little-endian floats, a row a text).

The forward pass is written from the papers (Devlin et al. 2018; Reimers and
Gurevych 2019) over PyTorch, with the unquantised weights, and knows nothing of
the C code; nor does the GGUF writer (gguf_write.py). Texts are built from whole words of
a made-up vocabulary, so that their ids are known without a tokenizer.
Needs python3-torch. The same seed gives the same files.
"""
import os
import struct
import sys

import numpy
import torch

from gguf_write import gguf_string, gguf_value

SHAPES = {"tiny": (2, 32, 4, 64, 60), "small": (12, 384, 12, 1536, 30522),
          "base": (12, 768, 12, 3072, 30522)}        # layers, dim, heads, ffn, vocabulary
WINDOW, EPS = 512, 1e-12
POOLING = {"mean": 1, "cls": 2}
TYPES = ("F32", "F16", "Q8_0")


# ---- a vocabulary

def vocabulary(n):
    """Specials, letters, and made-up words: all whole pieces, none part of a text twice."""
    words, consonants, vowels = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], "bdfgklmnprstvz", "aeiou"
    syllables = [c + v for c in consonants for v in vowels]
    for length in (1, 2, 3):
        index = [0] * length
        while len(words) < n:
            words.append("".join(syllables[i] for i in index))
            for at in range(length - 1, -1, -1):
                index[at] += 1
                if index[at] < len(syllables):
                    break
                index[at] = 0
            else:
                break
    assert len(set(words)) == n
    return words


def marked(word):
    """llama.cpp's converter marks the beginnings of words."""
    return word if word.startswith("[") else "\u2581" + word


# ---- GGUF

def rows_as(kind, w):
    a = w.numpy().astype(numpy.float32)
    if kind == "F32" or a.ndim == 1:
        return 0, a.tobytes()
    if kind == "F16":
        return 1, a.astype(numpy.float16).tobytes()
    blocks = a.reshape(-1, 32)
    d = numpy.abs(blocks).max(axis=1, keepdims=True) / numpy.float32(127)
    q = numpy.rint(blocks / numpy.where(d == 0, 1, d)).astype(numpy.int8)
    return 8, b"".join(numpy.float16(s[0]).tobytes() + r.tobytes() for s, r in zip(d, q))


def write_gguf(path, keys, tensors, kind):
    infos, data = b"", []
    at = 0
    for name, w in tensors.items():
        number, raw = rows_as(kind, w)
        infos += gguf_string(name) + struct.pack("<I", w.dim())
        infos += b"".join(struct.pack("<Q", n) for n in reversed(w.shape))
        infos += struct.pack("<IQ", number, at)
        data.append(raw + bytes(-len(raw) % 32))
        at += len(data[-1])
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    head += b"".join(gguf_string(k) + gguf_value(v) for k, v in keys.items()) + infos
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32))
        f.writelines(data)


# ---- a model

def make_weights(shape, window):
    """Scales that make attention choose and every part count."""
    layers, dim, _, ffn, vocab = SHAPES[shape]
    wide = dim ** -0.5
    draw = lambda scale, *size: torch.randn(*size) * scale
    w = {"token_embd.weight": draw(1, vocab, dim), "position_embd.weight": draw(.3, window, dim),
         "token_types.weight": draw(.3, 2, dim),
         "token_embd_norm.weight": 1 + draw(.1, dim), "token_embd_norm.bias": draw(.1, dim)}
    for n in range(layers):
        for name, rows, columns, scale in (
                ("attn_q", dim, dim, 1.5 * wide), ("attn_k", dim, dim, 1.5 * wide),
                ("attn_v", dim, dim, wide), ("attn_output", dim, dim, wide),
                ("ffn_up", ffn, dim, wide), ("ffn_down", dim, ffn, wide)):
            w[f"blk.{n}.{name}.weight"] = draw(scale, rows, columns)
            w[f"blk.{n}.{name}.bias"] = draw(.1, rows)
        for name in ("attn_output_norm", "layer_output_norm"):
            w[f"blk.{n}.{name}.weight"] = 1 + draw(.1, dim)
            w[f"blk.{n}.{name}.bias"] = draw(.1, dim)
    return w


def forward(w, shape, ids):
    """Hidden states [tokens][dim] of one text."""
    layers, dim, heads, _, _ = SHAPES[shape]
    norm = lambda x, name: torch.nn.functional.layer_norm(
        x, (dim,), w[name + ".weight"], w[name + ".bias"], EPS)
    line = lambda x, name: x @ w[name + ".weight"].T + w[name + ".bias"]
    split = lambda x: x.view(len(ids), heads, dim // heads).transpose(0, 1)
    x = w["token_embd.weight"][ids] + w["position_embd.weight"][:len(ids)] + w["token_types.weight"][0]
    x = norm(x, "token_embd_norm")
    for n in range(layers):
        b = f"blk.{n}."
        q, k, v = (split(line(x, b + p)) for p in ("attn_q", "attn_k", "attn_v"))
        a = torch.softmax(q @ k.transpose(1, 2) / (dim // heads) ** .5, dim=-1) @ v
        a = line(a.transpose(0, 1).reshape(len(ids), dim), b + "attn_output")
        x = norm(x + a, b + "attn_output_norm")
        h = torch.nn.functional.gelu(line(x, b + "ffn_up"))
        x = norm(x + line(h, b + "ffn_down"), b + "layer_output_norm")
    return x


def embed(w, shape, pooling, ids):
    x = forward(w, shape, torch.tensor(ids))
    v = x[0] if pooling == "cls" else x.mean(dim=0)
    return v / v.norm()


def texts_of(words, lengths, window):
    """(text, ids with [CLS] and [SEP], cut at the window)"""
    for n in lengths:
        pick = torch.randint(5, len(words), (n,)).tolist()
        yield " ".join(words[i] for i in pick), [2] + pick[:window - 2] + [3]


def keys_of(shape, pooling, words, window):
    layers, dim, heads, ffn, _ = SHAPES[shape]
    return {"general.architecture": "bert", "general.name": f"oracle-{shape}-{pooling}",
            "bert.block_count": layers, "bert.context_length": window, "bert.embedding_length": dim,
            "bert.feed_forward_length": ffn, "bert.attention.head_count": heads,
            "bert.attention.layer_norm_epsilon": EPS, "bert.attention.causal": False,
            "bert.pooling_type": POOLING[pooling], "tokenizer.ggml.model": "bert",
            "tokenizer.ggml.token_type_count": 2, "tokenizer.ggml.bos_token_id": 2,
            "tokenizer.ggml.cls_token_id": 2, "tokenizer.ggml.seperator_token_id": 3,
            "tokenizer.ggml.unknown_token_id": 1, "tokenizer.ggml.padding_token_id": 0,
            "tokenizer.ggml.tokens": [marked(x) for x in words]}


def golden(folder):
    torch.manual_seed(20)
    window, words = 40, vocabulary(SHAPES["tiny"][4])
    w = make_weights("tiny", window)
    write_gguf(os.path.join(folder, "bert_tiny.gguf"), keys_of("tiny", "cls", words, window), w, "F32")
    lines = ["# tests/tools/bert_oracle.py golden: pooling, text, unit vector. The last text is cut.",
             "# Tolerance 2e-6: both sides work in float32, values are printed to 7 places."]
    for text, ids in texts_of(words, (0, 1, 2, 7, 16, 17, 33, 38, 45), window):
        for pooling in POOLING:
            v = embed(w, "tiny", pooling, ids)
            lines.append("\t".join((pooling, text, " ".join(f"{x:.7f}" for x in v.tolist()))))
    with open(os.path.join(folder, "bert_tiny.txt"), "w") as f:
        f.write("\n".join(lines) + "\n")


def large(shape, pooling, folder):
    torch.manual_seed(20)
    words = vocabulary(SHAPES[shape][4])
    w = make_weights(shape, WINDOW)
    for kind in TYPES:
        write_gguf(os.path.join(folder, kind + ".gguf"), keys_of(shape, pooling, words, WINDOW), w, kind)
    lengths = [1, 2, 510, 511, 700] + torch.randint(1, 511, (95,)).tolist() + \
        torch.randint(1, 65, (100,)).tolist()
    made = list(texts_of(words, lengths, WINDOW))
    with open(os.path.join(folder, "texts.txt"), "w") as f:
        f.write("".join(text + "\n" for text, _ in made))
    vectors = torch.stack([embed(w, shape, pooling, ids) for _, ids in made])
    vectors.numpy().astype("<f4").tofile(os.path.join(folder, "vectors.f32"))


def main():
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    if len(sys.argv) == 3 and sys.argv[1] == "golden":
        golden(sys.argv[2])
    elif len(sys.argv) == 4 and sys.argv[1] in SHAPES and sys.argv[2] in POOLING:
        large(*sys.argv[1:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
