"""`llm.remote`: answers by an OpenAI-compatible server, played here by one of our own."""
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import lib

WORDS = ["Cats ", "are ", "w\u00e9lcome", ".\n"]
TEXT = "".join(WORDS)


def chunk(**choice):
    return "data: " + json.dumps({"object": "chat.completion.chunk", "choices": [
        {"index": 0, "delta": {}, "finish_reason": None, **choice}]}) + "\n\n"


def stream(words=WORDS, finish="stop"):
    """A whole streamed answer, with comments, in CRLF and LF."""
    out = ": a comment\r\n\r\n" + chunk(delta={"role": "assistant", "content": ""})
    for word in words:
        out += chunk(delta={"content": word}).replace("\n", "\r\n" if "a" in word else "\n")
    out += chunk(finish_reason=finish)
    usage = {"prompt_tokens": 21, "completion_tokens": 4}
    out += "data: " + json.dumps({"choices": [], "usage": usage})
    return (out + "\n\ndata: [DONE]\n\n").encode()


class Model:
    """The stand-in: `plan(handler)` answers the handler.turn-th request."""

    def __init__(self, plan):
        self.requests = []      # (headers, body)
        self.left = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.close_connection = True
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((self.headers, body))
                self.turn, self.outer = len(outer.requests), outer
                try:
                    plan(self)
                except (BrokenPipeError, ConnectionResetError):
                    outer.left.set()

            def log_message(self, *_):
                pass

            def refuse(self, status, message="not now", **headers):
                error = {"message": message, "type": "x", "code": None}
                self.begin(status, "application/json", **headers)
                self.wfile.write(json.dumps({"error": error}).encode())

            def begin(self, status=200, kind="text/event-stream", **headers):
                self.send_response(status)
                for name, value in {"Content-Type": kind, "Connection": "close", **headers}.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()

            def give(self, data, piece=None):
                """All of `data`, in pieces of so many bytes."""
                for i in range(0, len(data), piece or len(data)):
                    self.wfile.write(data[i:i + (piece or len(data))])

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def config(home, *remotes):
    path = os.path.join(home, "carrel.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("llm:\n  remote:\n")
        for r in remotes:
            lines = [f"{k}: {v}" for k, v in r.items()]
            f.write("    - " + "\n      ".join(lines) + "\n")
    return path


def with_remote(plan, **more):
    """Run f(server, model) with a carrel whose only generator is the stand-in."""
    def wrap(f):
        def run():
            with lib.scratch() as home, Model(plan) as model:
                remote = {"name": "far", "url": model.url, "model": "big", **more}
                with lib.Server(args=["--config", config(home, remote)]) as s:
                    f(s, model)
        run.__name__ = f.__name__
        return lib.test(run)
    return wrap


def chat(server, **more):
    return server.post("/v1/chat/completions", {
        "model": "far", "messages": [{"role": "user", "content": "May cats stay?"}], **more})


def said(response):
    lib.same(response.status, 200, f"status ({response!r})")
    return response.json()["choices"][0]["message"]["content"]


@with_remote(lambda h: (h.begin(), h.give(stream(), 1 + h.turn * 6)))
def an_answer_comes_through_in_whatever_pieces_it_was_sent(server, model):
    for _ in range(3):
        r = chat(server)
        lib.same(said(r), TEXT)
        usage = r.json()["usage"]
        lib.same((usage["prompt_tokens"], usage["completion_tokens"]), (21, 4))
    asked = model.requests[0][1]
    lib.same((asked["model"], asked["stream"], asked["messages"][-1]),
             ("big", True, {"role": "user", "content": "May cats stay?"}))


@with_remote(lambda h: (h.begin(), h.give(stream())))
def an_answer_is_streamed_through(server, model):
    r = chat(server, stream=True)
    lib.same(r.status, 200)
    deltas = [json.loads(line[6:]) for line in r.text.split("\n")
              if line.startswith("data: {")]
    text = "".join(c["delta"].get("content") or "" for d in deltas for c in d["choices"])
    lib.same(text, TEXT)
    lib.check(r.text.rstrip().endswith("data: [DONE]"), "it ends with [DONE]")


def busy_twice(h):
    if h.turn == 1:
        return h.refuse(429, Retry_After=0)
    if h.turn == 2:
        return h.refuse(500, retry_after_ms=1)
    h.begin()
    return h.give(stream())


@with_remote(busy_twice)
def a_busy_and_a_failing_server_are_asked_again_and_each_attempt_is_logged(server, model):
    lib.same(said(chat(server)), TEXT)
    lib.same(len(model.requests), 3)
    lines = re.findall(r"llm\.attempt remote=far status=(\d+)", server.log())
    lib.same(lines, ["429", "500", "200"])


@with_remote(lambda h: h.refuse(429, Retry_After=3600))
def a_server_that_is_busy_for_an_hour_is_429_to_our_caller(server, model):
    r = chat(server)
    lib.same((r.status, len(model.requests)), (429, 1))


@with_remote(lambda h: h.rfile.read(1), timeout_ms=300)
def a_silent_server_is_given_up(server, model):
    started = time.monotonic()
    r = chat(server)
    lib.check(r.status >= 500, f"status {r!r}")
    lib.check("no byte came for 300 ms" in r.text, r.text)
    lib.check(time.monotonic() - started < 10, "it did not take long")
    lib.same(len(model.requests), 1)


@with_remote(lambda h: (h.begin(), h.give(stream()[:400])))
def an_answer_that_breaks_off_is_an_error_and_is_not_begun_again(server, model):
    r = chat(server)
    lib.check(r.status >= 500, f"status {r!r}")
    lib.check("broke off in the middle" in r.text, r.text)
    lib.same(len(model.requests), 1)


def melt(h):
    h.begin()
    h.give(chunk(delta={"content": "Cats "}).encode() + b'data: {"error":{"message":"melted"}}\n\n')


@with_remote(melt)
def an_error_in_the_middle_of_a_stream_reaches_the_reader(server, model):
    r = chat(server, stream=True)
    lib.check("Cats" in r.text, "what had come was given")
    lib.check("melted" in r.text, r.text)


def endless(h):
    h.begin()
    while True:
        h.give(chunk(delta={"content": "more "}).encode())
        time.sleep(0.005)


@with_remote(endless)
def a_reader_who_leaves_ends_the_request_to_the_server(server, model):
    conn = http.client.HTTPConnection(server.host, server.port, timeout=20)
    conn.request("POST", "/v1/chat/completions", headers={"Content-Type": "application/json"},
                 body=json.dumps({"model": "far", "stream": True,
                                  "messages": [{"role": "user", "content": "go on"}]}))
    r = conn.getresponse()
    lib.check(b"data" in r.read(200), "the answer began")
    r.close()
    conn.close()
    lib.check(model.left.wait(20), "the stand-in was left")


@lib.test
def the_next_generator_answers_when_the_first_one_fails():
    with lib.scratch() as home, Model(lambda h: h.refuse(503, retry_after_ms=1)) as one, \
            Model(lambda h: (h.begin(), h.give(stream()))) as two:
        path = config(home, {"name": "one", "url": one.url, "model": "m", "attempts": 2},
                      {"name": "two", "url": two.url, "model": "m"})
        with lib.Server(args=["--config", path]) as s:
            doc = s.upload("pets.txt", "Cats are welcome in the house. Dogs must stay outside.\n")
            lib.same(doc["state"], "ready")
            r = s.ask("Are cats welcome?")
            lib.same((len(one.requests), len(two.requests)), (2, 1))
            lib.same(r["model"], "two")


@lib.test
def a_key_is_sent_and_never_told():
    with lib.scratch() as home, \
            Model(lambda h: h.refuse(500, "who is sk-Very-Secret?",
                                     x_should_retry="false")) as model:
        key = os.path.join(home, "key")
        with open(key, "w", encoding="ascii") as f:
            f.write("sk-Very-Secret\n")
        path = config(home, {"name": "far", "url": model.url, "model": "m", "key_file": key})
        with lib.Server(args=["--config", path]) as s:
            r = chat(s)
            lib.same(model.requests[0][0]["Authorization"], "Bearer sk-Very-Secret")
            status = s.get("/v1/status").text
            lib.check("Very-Secret" not in r.text + s.log() + status, "the key was told")


def traced(home, name):
    """A program that is carrel under strace, and where the trace goes."""
    trace, wrapper = os.path.join(home, name + ".trace"), os.path.join(home, name)
    with open(wrapper, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\nexec strace -f -qq -e trace=connect,sendto,sendmsg,socket -o {trace} "
                f"{lib.BIN} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    return wrapper, trace


def calls_out(trace):
    """Lines of the trace that open a connection, or a socket that could ask a name server."""
    with open(trace, encoding="utf-8", errors="replace") as f:
        return [n for n in f.read().splitlines()
                if "AF_INET" in n and ("connect(" in n or "SOCK_DGRAM" in n)]


@lib.test
def without_a_remote_no_connection_is_opened():
    """Promise 5, seen by the kernel: connect(2) is never called for an internet address."""
    if not shutil.which("strace"):
        lib.skip("no strace")
    with lib.scratch() as home:
        wrapper, trace = traced(home, "control")
        subprocess.run([wrapper, "ls", "--server", "http://127.0.0.1:1"], capture_output=True,
                       check=False)
        if not os.path.exists(trace) or not calls_out(trace):
            lib.skip("may not trace")
        wrapper, trace = traced(home, "carrel")
        s = lib.Server(binary=wrapper)
        try:
            s.upload("pets.txt", "Cats are welcome in the house. Dogs must stay outside.\n")
            s.ask("Are cats welcome?")
            s.search("dogs")
            s.get("/metrics")
        finally:
            with open(f"/proc/{s.pid}/task/{s.pid}/children", encoding="ascii") as f:
                os.kill(int(f.read().split()[0]), 15)
            s.proc.wait(30)
            s.proc.stdout.close()
            shutil.rmtree(s.home, ignore_errors=True)
        with open(trace, encoding="utf-8", errors="replace") as f:
            lib.check("socket(AF_INET" in f.read(), "it listened")
        lib.same(calls_out(trace), [], "what called out")


# ---- JSON ----

NOT_JSON = ["Sure! ", "Here it is: ", '{"pet": "cat"}']
SCHEMA = {"type": "object", "properties": {"pet": {"type": "string"}, "age": {"type": "integer"}},
          "required": ["pet"], "additionalProperties": False}


def in_json(schema=None):
    if schema:
        return {"type": "json_schema", "json_schema": {"name": "pet", "schema": schema}}
    return {"type": "json_object"}


@lib.test
def a_server_that_writes_no_json_when_asked_for_it_leaves_the_request_to_the_next():
    with lib.scratch() as home, Model(lambda h: (h.begin(), h.give(stream(NOT_JSON)))) as one, \
            Model(lambda h: (h.begin(), h.give(stream(['{"age": 3, ', '"pet": "cat"}'])))) as two:
        path = config(home, {"name": "one", "url": one.url, "model": "m"},
                      {"name": "two", "url": two.url, "model": "m"})
        with lib.Server(args=["--config", path]) as s:
            doc = s.upload("pets.txt", "Cats are welcome in the house. Dogs must stay outside.\n")
            lib.same(doc["state"], "ready")
            for form in in_json(SCHEMA), in_json():
                r = s.post("/v1/ask", {"question": "Are cats welcome?", "response_format": form})
                lib.same((r.status, r.json()["model"]), (200, "two"), r.text)
                lib.same(json.loads(r.json()["answer"]), {"age": 3, "pet": "cat"})
            lib.same((len(one.requests), len(two.requests)), (2, 2), "each asked once")


@with_remote(lambda h: (h.begin(), h.give(stream(NOT_JSON))))
def what_is_no_json_is_an_error_and_not_a_word_of_it_is_told(server, model):
    for more in {}, {"stream": True}:
        r = chat(server, response_format=in_json(SCHEMA), **more)
        lib.check(more or r.status == 500, f"status {r!r}")
        lib.check("far was asked for JSON, and what it wrote is none" in r.text, r.text)
        lib.check("Sure" not in r.text and "cat" not in r.text, r.text)
    lib.same(len(model.requests), 2, "nothing was asked twice")


@with_remote(lambda h: (h.begin(), h.give(stream(['{"pet": ', '7}']))))
def json_that_does_not_keep_to_its_schema_is_an_error(server, model):
    r = chat(server, response_format=in_json(SCHEMA))
    lib.check("does not keep to the schema" in r.text, r.text)
    lib.same(said(chat(server, response_format=in_json())), '{"pet": 7}')


# ---- Ctrl-C ----

def interrupted(server, number):
    """carrel ask against `endless`, sent signal `number` once words have come."""
    p = subprocess.Popen([lib.BIN, "ask", "--server", server.url, QUESTION],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=lib.clean_env(server.home))
    out = p.stdout.read(40)
    p.send_signal(number)
    rest, err = p.communicate(timeout=30)
    return p.returncode, (out + rest).decode(), err.decode()


@with_remote(endless)
def an_interrupted_ask_ends_by_the_signal_and_says_nothing(server, model):
    server.upload("rules.txt", RULES)
    for number in signal.SIGINT, signal.SIGTERM:
        rc, out, err = interrupted(server, number)
        lib.same((rc, err), (-number, ""), f"{out[-100:]!r}")
        lib.check(out.startswith("more more") and out.endswith("\n"), out[-100:])


# ---- what people see of it ----

RULES = ("Cats may stay in the house from April to October. In winter cats stay in the barn. "
         "The fee for a cat is 12 euros a year.")
FANCY = ["Cats may stay in the house from April ", "to October [1]. The moon is b\u00f6rek ",
         "\x1b[31mand cheese. The fee for a cat ", "is 12 euros a year [1]."]
QUESTION = "When may cats stay in the house, and for what fee?"
PAGE = {"Accept": "text/html"}


def prose(page):
    """The answer of a page as (text no source supports, all of it)."""
    whole = re.search(r'<div class="prose">(.*?)</div>', page, re.S).group(1)
    unsure = re.findall(r'<span class="unsure"[^>]*>(.*?)<span class="hidden">([^<]+)</span></span>', whole)
    return unsure, re.sub(r"<[^>]+>", "", whole)


@with_remote(lambda h: (h.begin(), h.give(stream(FANCY))))
def a_page_marks_what_no_source_supports_and_says_who_wrote_it(server, model):
    server.upload("rules.txt", RULES)
    home = server.get("/", headers=PAGE).text
    lib.check("Answers are written by far, on another server." in home, "who will answer")
    page = server.get("/?" + lib.urllib.parse.urlencode({"q": QUESTION}), headers=PAGE).text
    unsure, text = prose(page)
    lib.same(len(unsure), 1, f"claims marked in {text!r}")
    lib.check("b\u00f6rek" in unsure[0][0] and "April" not in unsure[0][0], unsure[0][0])
    lib.check("no source supports this" in unsure[0][1], "nothing for those who hear it")
    lib.same(page.count('class="cite"'), 2, "marks")
    lib.check("Written by far" in page and "underlined with dots" in page, "author and caveat")


@with_remote(lambda h: (h.begin(), h.give(stream(["The moon is made of green cheese."]))))
def an_answer_without_any_source_says_so(server, model):
    server.upload("rules.txt", RULES)
    page = server.get("/?" + lib.urllib.parse.urlencode({"q": QUESTION}), headers=PAGE).text
    lib.check("No source supports this answer." in page, "no warning")
    lib.check("Nearest passages" in page, "no passages")


@with_remote(lambda h: (h.begin(), h.give(stream(FANCY))))
def a_terminal_is_told_what_no_source_supports(server, model):
    server.upload("rules.txt", RULES)
    r = lib.carrel("ask", "--server", server.url, QUESTION)
    lib.same(r.rc, 0, r.err)
    lib.check("no source supports" in r.err and "b\u00f6rek" in r.err, r.err)
    lib.check("April" not in r.err, r.err)
    lib.check("\x1b" not in r.out + r.err, "an escape reached the terminal")


@lib.test
def the_configured_temperature_holds_for_pages_and_commands():
    with lib.scratch() as home, Model(lambda h: (h.begin(), h.give(stream(FANCY)))) as model:
        path = config(home, {"name": "far", "url": model.url, "model": "big"})
        with open(path, "a", encoding="utf-8") as f:
            f.write("  temperature: 0.7\n")
        rules, data = os.path.join(home, "rules.txt"), os.path.join(home, "own")
        with open(rules, "w", encoding="utf-8") as f:
            f.write(RULES)
        lib.same(lib.carrel("add", rules, data_dir=data).rc, 0)
        lib.same(lib.carrel("ask", "--config", path, QUESTION, data_dir=data).rc, 0)
        with lib.Server(data_dir=data, args=["--config", path]) as s:
            s.get("/?" + lib.urllib.parse.urlencode({"q": QUESTION + "?"}), headers=PAGE)
            s.ask(QUESTION + "!")
        lib.same([body["temperature"] for _, body in model.requests], [0.7] * 3, "temperatures")


lib.main()
