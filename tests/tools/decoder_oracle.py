#!/usr/bin/python3
"""An independent decoder: small random models as GGUF, and what they answer.

    tests/tools/decoder_oracle.py tests/golden        (writes decoder_NAME.gguf and .txt)
    tests/tools/decoder_oracle.py seeds FOLDER        (smaller files, for tests/fuzz)

For what no other oracle of ours has: sliding windows, soft caps, norms behind the
sub-layers, two rotations in one net, LongRoPE's factors, biases everywhere, heads
that are not n_embd / n_heads wide or turn only in part, experts in files of their
own. The forward pass is written from the papers over PyTorch in float64 and knows
nothing of the C code: whole sequences, masks, no cache. Weights are rounded to F16
first, so that the file holds exactly what is computed with.
Needs python3-torch. The same seed gives the same files.
"""
import math
import os
import struct
import sys

import numpy
import torch

from gguf_write import gguf_string, gguf_value

VOCAB, POSITIONS = 40, 44

# n_layers, n_embd, heads, kv heads, head_dim, n_ff, and what is special; the keys'
# names are those of the GGUF specification
MODELS = {
    "gemma2": dict(arch="gemma2", layers=3, embd=32, heads=4, kv=2, dim=16, ff=48, window=7,
                   every=2, attn_cap=5., final_cap=4., base=10000.),
    "gemma3": dict(arch="gemma3", layers=7, embd=32, heads=2, kv=1, dim=16, ff=32, window=6,
                   every=6, base=1000000., local_base=10000., scaling="linear", factor=8.),
    "mistral": dict(arch="llama", layers=2, embd=32, heads=4, kv=1, dim=8, ff=48, window=9,
                    base=10000.),
    "qwen3": dict(arch="qwen3", layers=2, embd=32, heads=6, kv=2, dim=20, ff=48, base=1000000.,
                  rot=12, scaling="yarn", factor=4., original=16, fast=8., slow=2.),
    "phi3": dict(arch="phi3", layers=2, embd=32, heads=3, kv=1, dim=16, ff=40, base=10000.,
                 rot=12, original=24, gain=1.19, long=True),
    "biases": dict(arch="llama", layers=2, embd=24, heads=4, kv=4, dim=6, ff=40, base=500000.,
                   bias=True, freqs=True),
    "experts": dict(arch="llama", layers=2, embd=32, heads=2, kv=1, dim=16, ff=24, base=10000.,
                    experts=5, used=2, apart=True),
    "merged": dict(arch="llama", layers=2, embd=32, heads=2, kv=2, dim=16, ff=24, base=10000.,
                   experts=3, used=3),
}
NEIGHBOURS = {"llama"}
EPS = 1e-5


# ---- GGUF

def write_gguf(path, keys, tensors):
    infos, data, at = b"", [], 0
    for name, w in tensors.items():
        flat = w.dim() == 1
        raw = w.numpy().astype(numpy.float32 if flat else numpy.float16).tobytes()
        infos += gguf_string(name) + struct.pack("<I", w.dim())
        infos += b"".join(struct.pack("<Q", n) for n in reversed(w.shape))
        infos += struct.pack("<IQ", 0 if flat else 1, at)
        data.append(raw + bytes(-len(raw) % 32))
        at += len(data[-1])
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    head += b"".join(gguf_string(k) + gguf_value(v) for k, v in keys.items()) + infos
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32))
        f.writelines(data)


def keys_of(name, m):
    a = m["arch"] + "."
    keys = {"general.architecture": m["arch"], "general.name": "oracle-" + name,
            a + "block_count": m["layers"], a + "context_length": 64,
            a + "embedding_length": m["embd"], a + "feed_forward_length": m["ff"],
            a + "attention.head_count": m["heads"], a + "attention.head_count_kv": m["kv"],
            a + "attention.key_length": m["dim"], a + "attention.value_length": m["dim"],
            a + "attention.layer_norm_rms_epsilon": EPS,
            a + "rope.dimension_count": m.get("rot", m["dim"]), a + "rope.freq_base": m["base"]}
    for key, field in (("attention.sliding_window", "window"), ("rope.scaling.type", "scaling"),
                       ("rope.scaling.factor", "factor"), ("rope.scaling.attn_factor", "gain"),
                       ("rope.scaling.original_context_length", "original"),
                       ("rope.scaling.yarn_beta_fast", "fast"), ("rope.scaling.yarn_beta_slow", "slow"),
                       ("attn_logit_softcapping", "attn_cap"),
                       ("final_logit_softcapping", "final_cap"),
                       ("expert_count", "experts"), ("expert_used_count", "used")):
        if field in m:
            keys[a + key] = m[field]
    return keys


# ---- weights

def make_weights(m):
    """Scales that make attention choose and every part count."""
    draw = lambda scale, *size: (torch.randn(*size) * scale).half().double() \
        if len(size) > 1 else (torch.randn(*size) * scale).float().double()
    gain = lambda n: 1 + draw(.2, n)
    e, f, q, kv = m["embd"], m["ff"], m["heads"] * m["dim"], m["kv"] * m["dim"]
    wide, half = e ** -.5, m.get("rot", m["dim"]) // 2
    tied = m["arch"].startswith("gemma")
    w = {"token_embd.weight": draw(.3 if tied else 1, VOCAB, e), "output_norm.weight": gain(e)}
    if not tied:
        w["output.weight"] = draw(2 * wide, VOCAB, e)
    if m.get("freqs"):
        w["rope_freqs.weight"] = 1 + draw(.5, half).abs()
    if m.get("long"):
        w["rope_factors_long.weight"] = 1 + draw(2, half).abs()
        w["rope_factors_short.weight"] = 1 + draw(.2, half).abs()
    for n in range(m["layers"]):
        b = f"blk.{n}."
        w[b + "attn_norm.weight"], w[b + "ffn_norm.weight"] = gain(e), gain(e)
        if m["arch"] == "phi3":
            w[b + "attn_qkv.weight"] = draw(1.5 * wide, q + 2 * kv, e)
        else:
            for part, rows in (("q", q), ("k", kv), ("v", kv)):
                w[b + f"attn_{part}.weight"] = draw(1.5 * wide, rows, e)
                if m.get("bias"):
                    w[b + f"attn_{part}.bias"] = draw(.3, rows)
        w[b + "attn_output.weight"] = draw(q ** -.5, e, q)
        if m.get("bias"):
            w[b + "attn_output.bias"] = draw(.3, e)
        if m["arch"] in ("qwen3", "gemma3"):
            w[b + "attn_q_norm.weight"], w[b + "attn_k_norm.weight"] = gain(m["dim"]), gain(m["dim"])
        if tied:
            w[b + "post_attention_norm.weight"] = gain(e)
            w[b + "post_ffw_norm.weight"] = gain(e)
        if m["arch"] == "phi3":
            w[b + "ffn_up.weight"] = draw(wide, 2 * f, e)
            w[b + "ffn_down.weight"] = draw(f ** -.5, e, f)
        elif "experts" in m:
            w[b + "ffn_gate_inp.weight"] = draw(wide, m["experts"], e)
            for part, shape in (("gate", (f, e)), ("up", (f, e)), ("down", (e, f))):
                each = draw(2 * shape[1] ** -.5, m["experts"], *shape)
                if m.get("apart"):
                    for x in range(m["experts"]):
                        w[b + f"ffn_{part}.{x}.weight"] = each[x].clone()
                else:
                    w[b + f"ffn_{part}_exps.weight"] = each
        else:
            for part, shape in (("gate", (f, e)), ("up", (f, e)), ("down", (e, f))):
                w[b + f"ffn_{part}.weight"] = draw(shape[1] ** -.5, *shape)
                if m.get("bias"):
                    w[b + f"ffn_{part}.bias"] = draw(.3, shape[0])
    return w


# ---- the net

def rms(x, weight):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPS) * weight


def frequencies(m, w, local, context):
    """Radians per position of each pair, and the gain of cosine and sine."""
    rot = m.get("rot", m["dim"])
    i = torch.arange(rot // 2, dtype=torch.float64)
    base = m["local_base"] if local else m["base"]
    freq, gain = base ** (-2 * i / rot), m.get("gain", 1.)
    if local:
        return freq, gain
    if m.get("scaling") == "linear":
        freq = freq / m["factor"]
    if m.get("scaling") == "yarn":         # arXiv:2309.00071, section 3.2 and 3.4
        turns = lambda t: rot * math.log(m["original"] / (t * 2 * math.pi)) / (2 * math.log(base))
        low = max(math.floor(turns(m["fast"])), 0)
        high = min(math.ceil(turns(m["slow"])), rot - 1)
        keep = 1 - ((i - low) / max(high - low, .001)).clamp(0, 1)
        freq = freq / m["factor"] * (1 - keep) + freq * keep
        gain *= .1 * math.log(m["factor"]) + 1
    if m.get("freqs"):
        freq = freq / w["rope_freqs.weight"]
    if m.get("long"):
        freq = freq / w["rope_factors_" + ("long" if context > m["original"] else "short") + ".weight"]
    return freq, gain


def turn(m, x, freq, gain):
    """x [positions][heads][dim]"""
    angle = torch.arange(len(x), dtype=torch.float64)[:, None, None] * freq
    c, s, half = torch.cos(angle) * gain, torch.sin(angle) * gain, len(freq)
    out = x.clone()
    if m["arch"] in NEIGHBOURS:
        a, b = x[..., 0:2 * half:2], x[..., 1:2 * half:2]
        out[..., 0:2 * half:2], out[..., 1:2 * half:2] = a * c - b * s, a * s + b * c
    else:
        a, b = x[..., :half], x[..., half:2 * half]
        out[..., :half], out[..., half:2 * half] = a * c - b * s, a * s + b * c
    return out


def attention(m, w, b, x, local, context):
    n, dim = len(x), m["dim"]
    line = lambda name: x @ w[b + name + ".weight"].T + w.get(b + name + ".bias", 0)
    if m["arch"] == "phi3":
        q, k, v = line("attn_qkv").split([m["heads"] * dim, m["kv"] * dim, m["kv"] * dim], -1)
    else:
        q, k, v = line("attn_q"), line("attn_k"), line("attn_v")
    q, k, v = (t.view(n, -1, dim) for t in (q, k, v))
    if b + "attn_q_norm.weight" in w:
        q, k = rms(q, w[b + "attn_q_norm.weight"]), rms(k, w[b + "attn_k_norm.weight"])
    freq, gain = frequencies(m, w, local and "local_base" in m, context)
    q, k = turn(m, q, freq, gain), turn(m, k, freq, gain)
    group = m["heads"] // m["kv"]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    score = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(dim)
    if "attn_cap" in m:
        score = m["attn_cap"] * torch.tanh(score / m["attn_cap"])
    ago = torch.arange(n)[:, None] - torch.arange(n)[None, :]
    seen = (ago >= 0) & ((ago < m["window"]) if local else True)
    score = score.masked_fill(~seen, -math.inf)
    mix = torch.einsum("hqk,khd->qhd", torch.softmax(score, -1), v).reshape(n, -1)
    return mix @ w[b + "attn_output.weight"].T + w.get(b + "attn_output.bias", 0)


def feed(m, w, b, x):
    line = lambda name, t: t @ w[b + name + ".weight"].T + w.get(b + name + ".bias", 0)
    act = (lambda t: torch.nn.functional.gelu(t, approximate="tanh")) if m["arch"].startswith("gemma") \
        else torch.nn.functional.silu
    if m["arch"] == "phi3":
        gate, up = line("ffn_up", x).chunk(2, -1)
        return line("ffn_down", act(gate) * up)
    if "experts" not in m:
        return line("ffn_down", act(line("ffn_gate", x)) * line("ffn_up", x))
    out = torch.zeros_like(x)
    best, which = line("ffn_gate_inp", x).topk(m["used"], -1)
    share = torch.softmax(best, -1)
    for r in range(len(x)):
        for s, e in zip(share[r], which[r].tolist()):
            part = lambda p: w[b + f"ffn_{p}.{e}.weight"] if m.get("apart") else w[b + f"ffn_{p}_exps.weight"][e]
            out[r] += s * (part("down") @ (act(part("gate") @ x[r]) * (part("up") @ x[r])))
    return out


def forward(m, w, ids, context):
    """Logits [positions][VOCAB]"""
    post = lambda name, x: rms(x, w[name]) if name in w else x
    x = w["token_embd.weight"][ids]
    if m["arch"].startswith("gemma"):
        x = x * math.sqrt(m["embd"])
    for n in range(m["layers"]):
        b, every = f"blk.{n}.", m.get("every", 0)
        local = "window" in m and not (every and n % every == every - 1)
        a = attention(m, w, b, rms(x, w[b + "attn_norm.weight"]), local, context)
        x = x + post(b + "post_attention_norm.weight", a)
        y = feed(m, w, b, rms(x, w[b + "ffn_norm.weight"]))
        x = x + post(b + "post_ffw_norm.weight", y)
    logits = rms(x, w["output_norm.weight"]) @ w.get("output.weight", w["token_embd.weight"]).T
    return m["final_cap"] * torch.tanh(logits / m["final_cap"]) if "final_cap" in m else logits


def main(folder):
    for number, (name, m) in enumerate(MODELS.items()):
        torch.manual_seed(30 + number)
        w = make_weights(m)
        write_gguf(os.path.join(folder, f"decoder_{name}.gguf"), keys_of(name, m), w)
        lines = ["# tests/tools/decoder_oracle.py: context, then a line a position: id, its logits.",
                 "# Tolerance 1e-4: the C code works in float32, whose rounding shows at 1e-5 here;",
                 "# leaving any part out, or a wrong mask, shows at .01 and more."]
        for context, n in ((64, POSITIONS), (24, 20)) if m.get("long") else ((64, POSITIONS),):
            ids = torch.randint(0, VOCAB, (n,))
            logits = forward(m, w, ids, context)
            lines.append(f"context {context}")
            lines += [" ".join([str(i)] + [f"{x:.5f}" for x in row])
                      for i, row in zip(ids.tolist(), logits.tolist())]
            print(name, context, "std %.3f" % logits.std().item())
        with open(os.path.join(folder, f"decoder_{name}.txt"), "w") as f:
            f.write("\n".join(lines) + "\n")


def seeds(folder):
    for name, m in MODELS.items():
        torch.manual_seed(1)
        small = dict(m, embd=8, heads=2, kv=1, dim=4, ff=8, layers=2)
        small.update({"rot": 2} if "rot" in m else {})
        write_gguf(os.path.join(folder, name + ".gguf"), keys_of(name, small), make_weights(small))


if sys.argv[1] == "seeds":
    seeds(sys.argv[2])
else:
    main(sys.argv[1])
