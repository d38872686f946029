"""Shared by the system tests: find the program, start it, speak HTTP, count.

A test file is a list of functions named as sentences:

    import lib

    @lib.test
    def a_word_that_is_nowhere_gives_no_hits():
        with lib.Server() as s:
            r = s.post("/v1/search", {"query": "zyzzyva"})
            lib.same(r.status, 200)
            lib.same(r.json()["hits"], [])

    lib.main()

`python3 tests/system/x.py` runs all of them, `... x.py PATTERN` those whose
name holds PATTERN, `... x.py -l` lists them. The last line is
"N passed, N failed, N skipped"; the exit status is 1 when one failed.

Environment: CARREL_BIN (the program; default build/release/carrel),
CARREL_DATA (test data; tests that need it skip without), CARREL_SLOW and CI
(run the long version). Python's standard library only.
"""
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.environ.get("CARREL_BIN") or os.path.join(ROOT, "build/release/carrel"))
DATA = os.environ.get("CARREL_DATA") or ""
CI = os.environ.get("CI", "") not in ("", "0", "false")
SLOW = CI or os.environ.get("CARREL_SLOW", "") not in ("", "0")


# ---- counting ----

class Skip(Exception):
    """Raised by skip(); the reason is printed."""


class Failure(AssertionError):
    """Raised by the checks below; its text is what the reader sees."""


def skip(why):
    """End this test without a verdict."""
    raise Skip(why)


def check(condition, message="a condition does not hold"):
    """Fail with `message` unless `condition`."""
    if not condition:
        raise Failure(message)


def same(got, want, what="value"):
    """Fail and show both unless they are equal."""
    if got != want:
        raise Failure(f"{what} is {short(got)}, want {short(want)}")


def short(value, limit=400):
    """repr, cut in the middle when it is long."""
    text = repr(value)
    return text if len(text) <= limit else text[:limit // 2] + " … " + text[-limit // 2:]


TESTS = []


def test(function):
    """Register `function` as a test; its name is the sentence that is printed."""
    TESTS.append(function)
    return function


def main():
    """Run the registered tests as the command line asks; never returns."""
    args = sys.argv[1:]
    if args[:1] == ["-l"]:
        for f in TESTS:
            print(f.__name__)
        sys.exit(0)
    passed, failures, skipped = 0, [], 0
    for f in TESTS:
        if args and not any(a in f.__name__ for a in args):
            continue
        started = time.monotonic()
        try:
            f()
            passed += 1
            print(f"ok    {f.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
        except Skip as why:
            skipped += 1
            print(f"skip  {f.__name__}: {why}", flush=True)
        except Exception as e:  # a test that breaks has failed; the others go on
            where = traceback.extract_tb(e.__traceback__)
            mine = [t for t in where if not t.filename.endswith("lib.py")] or where
            place = f"{os.path.relpath(mine[-1].filename, ROOT)}:{mine[-1].lineno}"
            text = str(e) if isinstance(e, Failure) else f"{type(e).__name__}: {e}"
            print(f"FAIL  {f.__name__}: {place}: {text}", flush=True)
            failures.append(f.__name__)
    print(f"{passed} passed, {len(failures)} failed, {skipped} skipped", flush=True)
    sys.exit(1 if failures else 0)


def data(relative):
    """Path of test data below CARREL_DATA; skips the test ("no data") when absent."""
    path = os.path.join(DATA, relative)
    if not DATA or not os.path.exists(path):
        skip(f"no data: {relative}")
    return path


@contextlib.contextmanager
def scratch():
    """A fresh folder, removed afterwards."""
    path = tempfile.mkdtemp(prefix="carrel-test-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


# ---- the program ----

def clean_env(home, **more):
    """The environment a test's programs run in: no CARREL_* of the caller's, HOME is `home`."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CARREL_", "XDG_"))}
    env.update(HOME=home, LC_ALL="C.UTF-8", **more)
    return env


class Result:
    """What a command did: .rc, .out, .err (text)."""

    def __init__(self, rc, out, err):
        self.rc, self.out, self.err = rc, out, err

    def values(self):
        """Each line of standard output as JSON."""
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]

    def last(self):
        """The result: the last JSON value of standard output."""
        values = self.values()
        check(values, f"nothing on standard output; standard error: {self.err[-400:]}")
        return values[-1]


def carrel(*args, data_dir=None, stdin=b"", env=None, cwd=None, timeout=120):
    """Run the program to its end: carrel("add", "x.txt", data_dir=d).rc

    `data_dir`, when given, is handed over as `--data` behind the verb.
    """
    args = [str(a) for a in args]
    if data_dir:
        args[1:1] = ["--data", str(data_dir)]
    if isinstance(stdin, str):
        stdin = stdin.encode()
    p = subprocess.run([BIN] + args, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       env=env or clean_env(tempfile.gettempdir()), cwd=cwd, timeout=timeout)
    return Result(p.returncode, p.stdout.decode("utf-8", "replace"),
                  p.stderr.decode("utf-8", "replace"))


class Response:
    """An answer: .status, .headers (names in lower case), .body (bytes), .text, .json()."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {short(self.text, 300)}>"


class Server:
    """A running `carrel serve` on a free port with a scratch (or given) store.

        with Server() as s:
            doc = s.upload("note.txt", b"Otters hold hands.")     # waits until it is ready
            s.get("/v1/documents/" + doc["id"]).json()

    Options: data_dir (kept afterwards when given), args (more arguments of
    serve), env (more environment), binary. `stop()` ends it with SIGTERM and
    checks that it exits with 0; `kill()` is SIGKILL. `.url`, `.port`, `.pid`,
    `.ready_s` (seconds from start to "listening on"), `.log()` (its stderr).
    """

    def __init__(self, data_dir=None, args=(), env=None, binary=None, ready_timeout=30):
        self.own = data_dir is None
        self.home = tempfile.mkdtemp(prefix="carrel-test-")
        self.data_dir = str(data_dir) if data_dir else os.path.join(self.home, "data")
        self.log_path = os.path.join(self.home, "stderr.txt")
        self.proc = None
        self.key = None
        self.args, self.env, self.binary = list(args), env or {}, binary or BIN
        self.start(ready_timeout)

    def start(self, ready_timeout=30):
        """Start (again, on the same store) and wait for "listening on URL"."""
        command = [self.binary, "serve", "--data", self.data_dir, "--listen", "127.0.0.1:0"]
        started = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(command + self.args, stdout=subprocess.PIPE, stderr=log,
                                         stdin=subprocess.DEVNULL, env=clean_env(self.home, **self.env))
        watchdog = threading.Timer(ready_timeout, self.proc.kill)
        watchdog.start()
        self.url = None
        for line in self.proc.stdout:
            if b"listening on " in line:
                self.url = line.decode().split("listening on ", 1)[1].split()[0]
                break
        watchdog.cancel()
        self.ready_s = time.monotonic() - started
        if not self.url:
            self.proc.wait()
            raise Failure(f"serve ended with {self.proc.returncode}: {self.log()[-600:]}")
        self.host, port = self.url.split("//", 1)[1].rstrip("/").rsplit(":", 1)
        self.port, self.pid = int(port), self.proc.pid
        return self

    def log(self):
        """Everything it has written to standard error."""
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def alive(self):
        return self.proc.poll() is None

    def kill(self):
        """SIGKILL: the store is left as it lies."""
        self.proc.kill()
        self.proc.wait()

    def stop(self, timeout=30):
        """SIGTERM and wait; returns the exit status."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
        try:
            return self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            raise Failure(f"serve did not end within {timeout} s of SIGTERM") from None

    def rss_kib(self):
        """Resident memory of the server, in KiB."""
        with open(f"/proc/{self.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            status = self.stop() if self.proc.poll() is None else None
            if kind is None and status is not None:
                same(status, 0, "exit status of serve after SIGTERM")
        finally:
            self.proc.stdout.close()
            shutil.rmtree(self.home, ignore_errors=True)

    # -- HTTP --

    def request(self, method, path, body=None, headers=None, timeout=60):
        """One request on its own connection -> Response. A dict or list body is sent as JSON."""
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        if self.key:
            headers.setdefault("Authorization", "Bearer " + self.key)
        conn = http.client.HTTPConnection(self.host.strip("[]"), self.port, timeout=timeout)
        try:
            conn.request(method, path, body=body, headers=headers)
            r = conn.getresponse()
            return Response(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
        finally:
            conn.close()

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    def raw(self, payload, timeout=5, half_close=False):
        """Send bytes as they are, return all that comes back until it closes or `timeout`."""
        with socket.create_connection((self.host.strip("[]"), self.port), timeout=timeout) as s:
            got = b""
            try:
                s.sendall(payload)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
                while True:
                    part = s.recv(65536)
                    if not part:
                        break
                    got += part
            except (socket.timeout, ConnectionError):
                pass
            return got

    def upload(self, name, content, collection=None, wait=True, **kw):
        """Upload one file as a raw body; returns its entry of "documents"; fails unless accepted."""
        if isinstance(content, str):
            content = content.encode()
        query = {"name": name, **({"collection": collection} if collection else {}),
                 **({"wait": "true"} if wait else {})}
        r = self.post("/v1/documents?" + urllib.parse.urlencode(query), content,
                      headers={"Content-Type": "application/octet-stream"}, **kw)
        check(r.status in (200, 202), f"upload of {name}: {r!r}")
        return r.json()["documents"][0]

    def upload_form(self, files, fields=None, headers=None, path="/v1/documents"):
        """multipart/form-data as a browser sends it: files [(name, bytes)], fields {}."""
        kind, body = multipart(files, fields or {})
        return self.post(path, body, headers={"Content-Type": kind, **(headers or {})})

    def document(self, doc_id):
        """The Document, or None when there is none."""
        r = self.get("/v1/documents/" + doc_id)
        return None if r.status == 404 else r.json()

    def wait(self, doc_id, timeout=60):
        """Poll until the document is ready or failed; returns it."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            d = self.document(doc_id)
            if d is None or d["state"] in ("ready", "failed"):
                return d
            time.sleep(0.02)
        raise Failure(f"document {doc_id} is still {d['state']} after {timeout} s")

    def search(self, query, **kw):
        """POST /v1/search; returns the reply, fails unless 200."""
        r = self.post("/v1/search", {"query": query, **kw})
        same(r.status, 200, f"status of search ({short(r.text, 200)})")
        return r.json()

    def ask(self, question, **kw):
        """POST /v1/ask without streaming; returns the reply, fails unless 200."""
        r = self.post("/v1/ask", {"question": question, **kw})
        same(r.status, 200, f"status of ask ({short(r.text, 200)})")
        return r.json()

    def ask_events(self, question, **kw):
        """POST /v1/ask streaming -> [(event, data)] in order."""
        r = self.post("/v1/ask", {"question": question, "stream": True, **kw},
                      headers={"Accept": "text/event-stream"})
        same(r.status, 200, f"status of ask ({short(r.text, 200)})")
        return events(r.text)


def events(text):
    """Server-sent events -> [(event, data as JSON)]; comments are left out."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        name, lines = "message", []
        for line in block.split("\n"):
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                lines.append(line[5:].lstrip(" "))
        if lines:
            found.append((name, json.loads("\n".join(lines))))
    return found


def multipart(files, fields):
    """(content type, body) of a form with files [(name, bytes)] in parts named `file`."""
    boundary = "----carrel%016x" % random.getrandbits(64)
    out = b""
    for key, value in fields.items():
        out += (f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n'
                f'{value}\r\n').encode()
    for name, content in files:
        safe = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        out += (f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{safe}"\r\n'
                f'Content-Type: application/octet-stream\r\n\r\n').encode() + content + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", out + f"--{boundary}--\r\n".encode()


def verify_citation(server, citation):
    """Fail unless the citation's bytes exist in the stored text and equal its quote."""
    span = citation["span"]
    r = server.get(f"/v1/documents/{citation['document_id']}/text")
    same(r.status, 200, "status of the cited text")
    text = r.body
    check(0 <= span["start"] < span["end"] <= len(text),
          f"span {span} is not inside the text of {len(text)} bytes")
    same(text[span["start"]:span["end"]], citation["quote"].encode(), "the quoted bytes")
    chars = citation.get("char_span")
    if chars:
        same(text.decode()[chars["start"]:chars["end"]], citation["quote"], "the quoted characters")
