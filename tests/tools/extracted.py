"""Run carrel-extract on bytes and take its result apart (for the tools beside it)."""
import os
import struct
import subprocess


def program():
    here = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("CARREL_EXTRACT",
                          os.path.join(here, "..", "..", "build", "release", "carrel-extract"))


def extract(path, name=None, mime=None):
    """-> {"TEXT", "TITL", "MIME"} as str, "WARN" as [(page, code, message)], or {"FAIL": reason}."""
    args = [program(), "--name", name or os.path.basename(path)]
    if mime:
        args += ["--mime", mime]
    with open(path, "rb") as f:
        done = subprocess.run(args, stdin=f, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    raw, out, at = done.stdout, {"WARN": []}, 4
    if raw[:4] != b"CXR1":
        return {"FAIL": "no result, exit %d" % done.returncode, "WARN": []}
    while at + 12 <= len(raw):
        tag = raw[at:at + 4].decode("ascii")
        size = struct.unpack_from("<Q", raw, at + 4)[0]
        payload = raw[at + 12:at + 12 + size]
        at += 12 + size
        if tag == "WARN":
            n = payload[4]
            out["WARN"].append((struct.unpack_from("<I", payload)[0], payload[5:5 + n].decode(),
                                payload[5 + n:].decode()))
        elif tag == "LAYO":
            out["LAYO"] = payload
        else:
            out[tag] = payload.decode("utf-8")
    return out
