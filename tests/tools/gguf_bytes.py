#!/usr/bin/env python3
"""Give a model's vocabulary a token for every byte: a copy of a GGUF file.

    tests/tools/gguf_bytes.py IN.gguf OUT.gguf

A vocabulary made from stories alone has no piece for { } [ ] \\ or most letters of the
world: no JSON can be written with it, at any weights. Here its last 256 pieces (the
rarest: pieces are listed in the order in which they were found worth merging) become
the byte tokens <0x00> to <0xFF> that other vocabularies of this kind have from birth.
The weights stay as they are, so to such a model a byte is a rare piece of a word: it
knows no JSON, which is what a test of a grammar wants of it.
"""
import struct
import sys

ARRAY, STRING, I32 = 9, 8, 5
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
BYTE = 6            # tokenizer.ggml.token_type


class Reader:
    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, n):
        self.at += n
        return self.raw[self.at - n:self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize(form)))[0]

    def text(self):
        return self.take(self.number("Q"))

    def value(self, kind):
        """Strings and lists of them or of 32-bit whole numbers are read, the rest kept as it is."""
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            return self.take(SIZES[kind])
        of, n = self.number("I"), self.number("Q")
        if of == STRING:
            return of, [self.text() for _ in range(n)]
        if of == I32:
            return of, list(struct.unpack(f"<{n}i", self.take(4 * n)))
        return of, n, self.take(n * SIZES[of])


def put_text(raw):
    return struct.pack("<Q", len(raw)) + raw


def put_value(kind, v):
    if kind == STRING:
        return put_text(v)
    if kind != ARRAY:
        return v
    if v[0] == STRING:
        return struct.pack("<IQ", STRING, len(v[1])) + b"".join(map(put_text, v[1]))
    if v[0] == I32:
        return struct.pack("<IQ", I32, len(v[1])) + struct.pack(f"<{len(v[1])}i", *v[1])
    return struct.pack("<IQ", v[0], v[1]) + v[2]


def with_bytes(raw):
    r = Reader(raw)
    head = r.take(8)                       # magic, version
    n_tensors, n_keys = r.number("Q"), r.number("Q")
    keys = []
    for _ in range(n_keys):
        name, kind = r.text(), r.number("I")
        keys.append((name, kind, r.value(kind)))
    infos = r.at
    for _ in range(n_tensors):
        r.text()
        r.take(8 * r.number("I"))
        r.take(12)                         # type, offset from where the data begins
    infos, data = raw[infos:r.at], raw[(r.at + 31) // 32 * 32:]
    found = {name: v for name, kind, v in keys}
    tokens, kinds = found[b"tokenizer.ggml.tokens"][1], found[b"tokenizer.ggml.token_type"][1]
    for byte in range(256):
        tokens[-256 + byte] = b"<0x%02X>" % byte
        kinds[-256 + byte] = BYTE
    out = head + struct.pack("<QQ", n_tensors, n_keys)
    out += b"".join(put_text(name) + struct.pack("<I", kind) + put_value(kind, v)
                    for name, kind, v in keys) + infos
    return out + bytes(-len(out) % 32) + data


def write_with_bytes(source, target):
    with open(source, "rb") as f:
        raw = with_bytes(f.read())
    with open(target, "wb") as f:
        f.write(raw)


if __name__ == "__main__":
    write_with_bytes(*sys.argv[1:3])
