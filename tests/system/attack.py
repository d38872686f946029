#!/usr/bin/env python3
"""Clients, model files and servers that mean no good: what a model's door must survive.

Clients vanish at every stage of a request; weights are no numbers; a file is cut while it is
loaded; a remote server answers with whatever is worst. Each time: a sentence or an answer,
no place and no page of the cache lost, and the end of the program on SIGTERM.
"""
import http.server
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import threading

import lib
from lib import check, same

STORIES = "models/stories260K/stories260K-%s.gguf"
RESET = struct.pack("ii", 1, 0)   # SO_LINGER: closing sends RST


def store_with(home, file):
    store = os.path.join(home, "store")
    os.makedirs(os.path.join(store, "models"))
    shutil.copyfile(file, os.path.join(store, "models", "a.gguf"))
    return store


def local_model(server):
    return next(m["id"] for m in server.get("/v1/models").json()["data"]
                if not m["id"].startswith("carrel"))


def question(model, **more):
    return {"model": model, "messages": [{"role": "user", "content": "Once upon a time"}], **more}


def idle(server):
    """All places free and all pages of the cache back; asks until it is so."""
    for _ in range(2000):
        g = server.get("/v1/status").json()["models"]["llm"]
        if g["sessions"]["running"] + g["sessions"]["waiting"] == 0:
            return same(g["kv"]["pages_free"], g["kv"]["pages"], "free pages of the cache")
    raise lib.Failure(f"answers go on for nobody: {g}")


# ---- clients ----

def send(server, body):
    k = socket.create_connection((server.host, server.port), timeout=30)
    data = json.dumps(body).encode()
    k.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
              b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data))
    return k, data


def vanish(server, model, dice):
    """One request that is left somewhere: before, inside or behind its body, or in the answer."""
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {
        "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}}
    ask = question(model, max_tokens=dice.choice([5, 50, 300]), temperature=1, seed=dice.randrange(99),
                   stream=dice.random() < 0.7)
    ask["messages"][0]["content"] = "The cat " * dice.randrange(1, 60)
    if dice.random() < 0.2:
        ask["response_format"] = schema
    k, data = send(server, ask)
    stage = dice.randrange(5)
    k.sendall(data[:(0, len(data) // 2, len(data))[min(stage, 2)]])
    for _ in range((0, 0, 0, 1, dice.randrange(1, 12))[stage]):
        k.recv(300)
    if dice.random() < 0.5:
        k.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    k.close()


@lib.test
def clients_that_vanish_at_any_stage_leave_no_place_taken():
    with lib.scratch() as home:
        with lib.Server(data_dir=store_with(home, lib.data(STORIES % "q8_0"))) as s:
            model, troubles = local_model(s), []

            def crowd(seed):
                dice = random.Random(seed)
                for _ in range(20 if lib.SLOW else 4):
                    try:
                        vanish(s, model, dice)
                    except ConnectionError:
                        pass   # refused with a status before all was sent
                    except OSError as e:
                        troubles.append(repr(e))

            threads = [threading.Thread(target=crowd, args=(i,)) for i in range(24)]
            [t.start() for t in threads]
            [t.join() for t in threads]
            same(troubles, [])
            idle(s)
            same(s.post("/v1/chat/completions", question(model, max_tokens=4)).status, 200)


@lib.test
def sigterm_ends_it_while_answers_run():
    with lib.scratch() as home:
        with lib.Server(data_dir=store_with(home, lib.data(STORIES % "q8_0"))) as s:
            model, open_ones = local_model(s), []
            for i in range(6):
                k, data = send(s, question(model, max_tokens=450, temperature=1, seed=i, stream=True))
                k.sendall(data)
                k.recv(10)
                open_ones.append(k)
            same(s.stop(timeout=10), 0, "exit status")
            for k in open_ones:
                k.close()


# ---- weights ----

def tensors(raw):
    """[(name, first byte, elements)] of the F32 tensors of a GGUF file."""
    at, size = 8, [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8]

    def number(n):
        nonlocal at
        at += n
        return int.from_bytes(raw[at - n:at], "little")

    def text():
        nonlocal at
        n = number(8)
        at += n
        return raw[at - n:at].decode()

    def skip(kind):
        nonlocal at
        if kind == 8:
            text()
        elif kind == 9:
            inner, n = number(4), number(8)
            for _ in range(n):
                skip(inner)
        else:
            at += size[kind]

    n_tensors, n_keys, found = number(8), number(8), []
    for _ in range(n_keys):
        text()
        skip(number(4))
    for _ in range(n_tensors):
        name, elements = text(), 1
        for _ in range(number(4)):
            elements *= number(8)
        kind, offset = number(4), number(8)
        if kind == 0:
            found.append((name, offset, elements))
    start = (at + 31) // 32 * 32
    return [(name, start + offset, n) for name, offset, n in found]


@lib.test
def weights_that_are_no_numbers_give_answers_that_end():
    with open(lib.data(STORIES % "f32"), "rb") as f:
        raw = f.read()
    cases = [("nan", "weight", float("nan")), ("infinite", "output.", float("inf")),
             ("huge", "weight", 3e38), ("no norms", "norm", 0.0)]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {
        "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}
    for what, part, value in cases:
        changed = bytearray(raw)
        for name, start, n in tensors(raw):
            if part in name and ("norm" in name) == (part == "norm"):
                changed[start:start + 4 * n] = struct.pack("<f", value) * n
        with lib.scratch() as home:
            file = os.path.join(home, "bad.gguf")
            with open(file, "wb") as f:
                f.write(changed)
            with lib.Server(data_dir=store_with(home, file)) as s:
                model = local_model(s)
                for more in ({}, {"temperature": 1, "seed": 1, "top_k": 40, "top_p": 0.9},
                             {"temperature": 2, "frequency_penalty": 1, "min_p": 0.1},
                             {"logprobs": True, "top_logprobs": 5},
                             {"response_format": schema, "temperature": 1}):
                    r = s.post("/v1/chat/completions", question(model, max_tokens=20, **more))
                    same(r.status, 200, f"{what}, {more} ({lib.short(r.text, 200)})")
                idle(s)


@lib.test
def a_file_that_is_cut_while_it_is_read_is_a_sentence():
    for verb in ("run", "check", "info"):
        with lib.scratch() as home:
            file = os.path.join(home, "big.gguf")
            with open(lib.data(STORIES % "f32"), "rb") as f:
                raw = f.read()
            with open(file, "wb") as f:
                f.write(raw)
            os.chmod(file, 0o600)
            more = ["--ids", "1", "--greedy", "1"] if verb == "run" else []
            p = subprocess.Popen([lib.BIN, "model", verb, file, *more], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, env=lib.clean_env(home))
            os.truncate(file, len(raw) // 2)   # before, while or after it reads
            said = p.communicate(timeout=30)[1].decode()
            check(p.returncode in (0, 1), f"{verb}: {p.returncode} {said}")
            check((p.returncode == 0) == (said == ""), f"{verb}: {p.returncode} {said}")


# ---- servers ----

CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"word " * 20000)
ANSWERS = {   # content type, bytes, then again and again?, status, headers
    "endless": ("text/event-stream", CHUNK, True, 200, {}),
    "comments": ("text/event-stream", b": nothing\n" * 10000, True, 200, {}),
    "a long line": ("text/event-stream", b"data: " + b"x" * 100000, True, 200, {}),
    "binary": ("text/event-stream", bytes(range(256)) * 400, False, 200, {}),
    "binary json": ("application/json", bytes(range(256)) * 400, True, 200, {}),
    "a page": ("text/html", b"<html>welcome</html>", False, 200, {}),
    "packed": ("text/event-stream", b"\x1f\x8b\x08\0" + b"\xff" * 999, False, 200,
               {"Content-Encoding": "gzip"}),
    "elsewhere": ("text/plain", b"", False, 302, {"Location": "http://127.0.0.1:1/v1"}),
    "here again": ("text/plain", b"", False, 307, {"Location": "/v1/chat/completions"}),
    "headers": ("text/plain", b"", False, 200, {f"X-{i}": "y" * 4000 for i in range(90)}),
    "no error": ("application/json", b'{"error":[[[[{"message":5}]]]]}', False, 500,
                 {"x-should-retry": "false"}),
    "a long error": ("application/json", b'{"error":{"message":"', True, 400, {}),
}


class Evil:
    def __init__(self):
        self.what = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                kind, data, again, status, headers = ANSWERS[outer.what]
                try:
                    self.send_response(status)
                    for name, value in {"Content-Type": kind, **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(data)
                    while again:
                        self.wfile.write(data)
                except OSError:
                    pass   # they have hung up

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@lib.test
def whatever_a_remote_server_sends_is_bounded_and_ends():
    evil = Evil()
    with lib.scratch() as home:
        config, key = os.path.join(home, "carrel.yaml"), os.path.join(home, "key")
        with open(key, "w", encoding="ascii") as f:
            f.write("sk-Very-Secret\n")
        with open(config, "w", encoding="ascii") as f:
            f.write(f"llm:\n  remote:\n    - name: far\n      url: {evil.url}\n      model: m\n"
                    f"      key_file: {key}\n      attempts: 1\n      timeout_ms: 5000\n")
        with lib.Server(args=["--config", config]) as s:
            for evil.what in ANSWERS:
                for stream in (False, True):
                    r = s.post("/v1/chat/completions", question("far", stream=stream), timeout=120)
                    check(b"error" in r.body and b"context_length" not in r.body, f"{evil.what}: {r.status} {lib.short(r.text, 300)}")
                    check("Very-Secret" not in r.text, f"{evil.what}: the key was told")
            check(s.rss_kib() < 600 << 10, f"{s.rss_kib()} KiB")
            check("Very-Secret" not in s.log() + s.get("/v1/status").text, "the key was told")
    evil.server.shutdown()
    evil.server.server_close()


lib.main()
