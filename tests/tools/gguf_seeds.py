#!/usr/bin/env python3
"""Write the seeds of fuzz_gguf: small files, right and wrong, made from nothing.

    tests/tools/gguf_seeds.py tests/fuzz/corpus/gguf
"""
import os
import struct
import sys

U32, F32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9


def text(s):
    raw = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(raw)) + raw


def key(name, kind, payload):
    return text(name) + struct.pack("<I", kind) + payload


def strings(name, values):
    return key(name, ARRAY, struct.pack("<IQ", STRING, len(values)) + b"".join(map(text, values)))


def tensor(name, ne, kind=0, offset=0):
    return text(name) + struct.pack("<I", len(ne)) + b"".join(struct.pack("<Q", n) for n in ne) + \
        struct.pack("<IQ", kind, offset)


def whole(keys, tensors, data=b"", version=3, n_keys=None, n_tensors=None):
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors) if n_tensors is None else n_tensors,
                                 len(keys) if n_keys is None else n_keys)
    head += b"".join(keys) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + data


def bert(**changes):
    """A whole model of one layer: 8 wide, 2 heads, 8 pieces."""
    n = dict(block_count=1, context_length=8, embedding_length=8, feed_forward_length=16,
             pooling_type=1)
    heads = changes.pop("head_count", 2)
    n.update(changes)
    keys = [key("general.architecture", STRING, text("bert"))]
    keys += [key("bert." + k, U32, struct.pack("<I", v)) for k, v in n.items()]
    keys += [key("bert.attention.head_count", U32, struct.pack("<I", heads)),
             key("bert.attention.layer_norm_epsilon", F32, struct.pack("<f", 1e-6)),
             key("tokenizer.ggml.model", STRING, text("bert")),
             strings("tokenizer.ggml.tokens", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ba", "be", "##b", "bi"])]
    shapes = {"token_embd.weight": (8, 8), "position_embd.weight": (8, 8), "token_types.weight": (8, 2),
              "token_embd_norm.weight": (8,), "token_embd_norm.bias": (8,)}
    for part, shape in (("attn_q", (8, 8)), ("attn_k", (8, 8)), ("attn_v", (8, 8)), ("attn_output", (8, 8)),
                        ("attn_output_norm", (8,)), ("ffn_up", (8, 16)), ("ffn_down", (16, 8)),
                        ("layer_output_norm", (8,))):
        shapes[f"blk.0.{part}.weight"] = shape
        shapes[f"blk.0.{part}.bias"] = shape[-1:]
    infos, data = [], b""
    for i, (name, ne) in enumerate(shapes.items()):
        infos.append(tensor(name, ne, 0, len(data)))
        count = ne[0] * (ne[1] if len(ne) > 1 else 1)
        raw = b"".join(struct.pack("<f", ((i * 31 + k * 7) % 19 - 9) / 10) for k in range(count))
        data += raw + bytes(-len(raw) % 32)
    return whole(keys, infos, data)


def seeds():
    arch = key("general.architecture", STRING, text("static"))
    yield "empty", whole([], [])
    yield "minimal", whole([arch], [tensor("t", (8, 8))], bytes(256))
    yield "version2", whole([arch], [tensor("t", (8, 8))], bytes(256), version=2)
    yield "keys", whole([arch, key("k", BOOL, b"\1"), key("f", F32, struct.pack("<f", .5)),
                         strings("tokenizer.ggml.tokens", [f"w{i}" for i in range(40)]),
                         key("n", ARRAY, struct.pack("<IQ3I", U32, 3, 1, 2, 3))], [])
    yield "alignment64", whole([key("general.alignment", U32, struct.pack("<I", 64))],
                               [tensor("t", (8, 2))], bytes(128))
    yield "types", whole([arch], [tensor("a", (32, 2), 8), tensor("b", (32, 2), 2, 96),
                                  tensor("c", (4, 4), 1, 160), tensor("d", (4,), 30, 192)], bytes(224))
    yield "bert", bert()
    yield "bert_heads3", bert(head_count=3)
    yield "bert_layers2", bert(block_count=2)
    yield "bert_context0", bert(context_length=0)
    yield "n_tensors", whole([arch], [], n_tensors=1 << 60)
    yield "n_keys", whole([arch], [], n_keys=(1 << 64) - 1)
    yield "nested", whole([key("k", ARRAY, struct.pack("<IQ", ARRAY, 1))], [])
    yield "array_lie", whole([key("k", ARRAY, struct.pack("<IQ", STRING, 1 << 61))], [])
    yield "overlap", whole([], [tensor("a", (8, 8)), tensor("b", (8, 8), 0, 224)], bytes(512))
    yield "dims", whole([], [tensor("a", (1 << 62, 4))], bytes(64))
    yield "offset", whole([], [tensor("a", (8,), 0, (1 << 64) - 32)], bytes(64))
    yield "twice", whole([arch, arch], [])
    yield "cut", whole([arch], [tensor("t", (8, 8))], bytes(255))


def main():
    for name, raw in seeds():
        with open(os.path.join(sys.argv[1], name), "wb") as f:
            f.write(raw)


if __name__ == "__main__":
    main()
