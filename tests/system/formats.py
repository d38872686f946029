#!/usr/bin/python3
"""Every document ends as text or with a reason, within its time.

Runs carrel-extract on the text, Markdown, HTML and PDF files below
$CARREL_DATA/formats (with --all on every file) and on everything that
$CARREL_DATA/hostile/make_bad_docs.py generates, and checks each result frame by
frame as carrel itself would. Prints what the readers made of each kind and, last,
"N passed, N failed".

    tests/system/formats.py [--all] [--verbose] [PATH-TO-CARREL-EXTRACT]
"""
import collections
import concurrent.futures
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time

LIMIT_S = 20
HERE = os.path.dirname(os.path.abspath(__file__))
READ = {"txt", "md", "html", "htm", "pdf"}
CRASHES = {-11: "segmentation fault", -6: "abort", -31: "forbidden system call",
           -24: "processor time", -9: "killed", -5: "trap", -25: "file size"}


def frames(raw):
    """The result as a dict of frames (WARN as a list); raises ValueError."""
    if raw[:4] != b"CXR1":
        raise ValueError("no result")
    out, at = {"WARN": []}, 4
    while "DONE" not in out:
        if len(raw) - at < 12:
            raise ValueError("the result ends early")
        tag = raw[at:at + 4].decode("ascii")
        size = struct.unpack_from("<Q", raw, at + 4)[0]
        at += 12
        if size > len(raw) - at:
            raise ValueError("a frame longer than the result")
        payload = raw[at:at + size]
        at += size
        if tag == "WARN":
            out["WARN"].append(payload)
        elif tag in out:
            raise ValueError("a frame that came twice")
        else:
            out[tag] = payload
    if at != len(raw):
        raise ValueError("bytes behind the result")
    return out


def run(program, path):
    """-> (verdict, detail, seconds): text, reason, stopped (by a limit), or bad."""
    start = time.monotonic()
    try:
        with open(path, "rb") as f:
            done = subprocess.run([program, "--name", os.path.basename(path)], stdin=f,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return "stopped", "wall clock", time.monotonic() - start
    took = time.monotonic() - start
    if b"Sanitizer" in done.stderr or b"runtime error" in done.stderr:
        return "bad", done.stderr.decode("utf-8", "replace")[:3000], took
    if done.returncode == -24:
        return "stopped", "processor time", took
    if done.returncode not in (0, 1):
        return "bad", CRASHES.get(done.returncode, "exit %d" % done.returncode), took
    try:
        result = frames(done.stdout)
        if done.returncode == 1:
            reason = result["FAIL"].decode("utf-8")
            return ("reason", reason, took) if reason else ("bad", "no reason", took)
        text = result["TEXT"].decode("utf-8")
        return ("text", text, took) if text.strip() else ("bad", "empty text", took)
    except (ValueError, KeyError) as e:
        return "bad", "result: %s" % e, took


def documents(data, scratch, every):
    for folder, _, names in sorted(os.walk(os.path.join(data, "formats"))):
        for name in sorted(names):
            ext = name.rsplit(".", 1)[-1].lower()
            # Expected texts of readability pages and the chardet texts count as HTML and text.
            if every or ext in READ or "/encodings/" in folder:
                yield os.path.join(folder, name)
    make = os.path.join(data, "hostile", "make_bad_docs.py")
    subprocess.run([sys.executable, make, scratch], check=True, stdout=subprocess.DEVNULL)
    for name in sorted(os.listdir(scratch)):
        yield os.path.join(scratch, name)


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("--")]
    program = args[0] if args else os.path.join(
        os.environ.get("CARREL_BUILD") or os.path.join(HERE, "..", "..", "build", "release"),
        "carrel-extract")
    data = os.environ.get("CARREL_DATA")
    if not data:
        print("no CARREL_DATA: nothing to read\n0 passed, 0 failed")
        return 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    counts = collections.defaultdict(collections.Counter)
    passed = failed = 0
    slowest = []
    with tempfile.TemporaryDirectory() as scratch, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        paths = list(documents(data, scratch, "--all" in sys.argv))
        for path, (verdict, detail, took) in zip(paths, pool.map(lambda p: run(program, p), paths)):
            short = os.path.relpath(path, scratch if path.startswith(scratch) else data)
            counts[path.rsplit(".", 1)[-1].lower()][verdict] += 1
            slowest.append((took, short))
            ok = verdict != "bad" and took < LIMIT_S + 1
            passed, failed = passed + ok, failed + (not ok)
            if not ok or verdict == "stopped" or ("--verbose" in sys.argv and verdict == "reason"):
                print("%s: %s: %s (%.1f s)" % ("FAILED" if not ok else verdict, short, detail, took))
    for ext in sorted(counts):
        print("%-6s" % ext, "  ".join("%s %d" % c for c in sorted(counts[ext].items())))
    print("slowest:", ", ".join("%s %.1f s" % (p, t) for t, p in sorted(slowest)[-5:]))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
