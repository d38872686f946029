"""Keys and values of a GGUF file as bytes; the format: model/gguf.h."""
import struct


def gguf_string(s):
    raw = s.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf_value(v):
    """A text, truth, number, or list of texts, with its type in front."""
    if isinstance(v, str):
        return struct.pack("<I", 8) + gguf_string(v)
    if isinstance(v, bool):
        return struct.pack("<I?", 7, v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(map(gguf_string, v))
