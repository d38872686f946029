"""`carrel model pull` from a server of our own that cuts, changes, redirects and lies."""
import hashlib
import http.server
import os
import re
import signal
import subprocess
import threading
import time

import lib

with open(os.path.join(lib.ROOT, "embed", "encoder.gguf"), "rb") as f:
    MODEL = f.read()
SUM = hashlib.sha256(MODEL).hexdigest()


class Files:
    """An HTTP server on a loopback port. `plan(handler)` answers; requests are kept."""

    def __init__(self, plan):
        self.requests = []   # (path, Range or None, If-Range or None)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.close_connection = True
                outer.requests.append((self.path, self.headers["Range"], self.headers["If-Range"]))
                self.turn = len(outer.requests)
                try:
                    plan(self)
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def log_message(self, *_):
                pass

            def head(self, status, **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.send_header("Connection", "close")
                self.end_headers()

            def give(self, body, etag='"one"', cut=None, ranges=True):
                """The file, or the part asked for if it is still `etag`; `cut`: bytes sent."""
                wanted = self.headers["Range"]
                start, version = 0, {"ETag": etag} if etag else {}
                if ranges and wanted and self.headers["If-Range"] in (None, etag):
                    start = int(wanted.split("=")[1].rstrip("-"))
                    if start >= len(body):
                        return self.head(416, Content_Range=f"bytes */{len(body)}",
                                         Content_Length=0)
                    self.head(206, Content_Length=len(body) - start, **version,
                              Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
                else:
                    self.head(200, Content_Length=len(body), **version)
                self.wfile.write(body[start:][:cut])

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Box:
    """A store folder to pull into."""

    def __init__(self, home):
        self.home = home
        self.models = os.path.join(home, "data", "models")

    def env(self, **more):
        return lib.clean_env(self.home, CARREL_STORE_DIR=os.path.join(self.home, "data"),
                             CARREL_LLM_MODELS=more.pop("models", self.models), **more)

    def pull(self, *args, **env):
        return lib.carrel("model", "pull", "--json", *args, env=self.env(**env))

    def files(self):
        return sorted(os.listdir(self.models)) if os.path.isdir(self.models) else []

    def bytes(self, name="m.gguf"):
        with open(os.path.join(self.models, name), "rb") as f:
            return f.read()


def refused(result, text, rc=1):
    lib.same(result.rc, rc, f"exit status ({result.out[-300:]})")
    message = result.last()["error"]["message"]
    lib.check(text in message, f"the sentence is {message!r}, without {text!r}")
    return message


def with_box(plan):
    """Run f(server, box)."""
    def wrap(f):
        def run():
            with lib.scratch() as home, Files(plan) as server:
                f(server, Box(home))
        run.__name__ = f.__name__
        return lib.test(run)
    return wrap


@with_box(lambda h: h.give(MODEL))
def a_file_is_pulled_whole_and_its_sum_is_told(server, box):
    r = box.pull(server.url + "/a/m.gguf?download=true")
    lib.same(r.rc, 0, f"exit status ({r.out})")
    lib.same(box.bytes(), MODEL, "the bytes")
    lib.same(box.files(), ["m.gguf"], "what lies in the folder")
    got = r.last()
    lib.same((got["sha256"], got["bytes"], got["checked_against"]), (SUM, len(MODEL), None))
    again = box.pull(server.url + "/a/m.gguf")
    lib.same((again.rc, again.last()["was_there"], len(server.requests)), (0, True, 1))
    lib.same(again.last()["bytes"], len(MODEL))


@with_box(lambda h: h.give(MODEL))
def people_are_told_how_much_comes_and_how_much_is_free(server, box):
    r = lib.carrel("model", "pull", server.url + "/m.gguf", env=box.env())
    size = f"{len(MODEL) / 1e6:.1f} MB"
    lib.check(re.search(rf"^{size} to fetch, and [0-9.]+ .B are free$", r.err, re.M), r.err)
    lib.check(f"m.gguf: {size}\n" in r.out, r.out)


@with_box(lambda h: h.give(MODEL, cut=h.turn * 300000))
def a_cut_connection_is_taken_up_where_it_was(server, box):
    r = box.pull(server.url + "/m.gguf", "--sha256", SUM.upper())
    lib.same(r.rc, 0, f"exit status ({r.out})")
    lib.same(box.bytes(), MODEL, "the bytes")
    lib.check(len(server.requests) > 2, "it was cut more than once")
    lib.same(server.requests[1][1:], ("bytes=300000-", '"one"'), "the second request")
    lib.same(r.last()["checked_against"], "argument")


def slow(h):
    """Half of it, then nothing more; all of it for those who come again."""
    if h.turn == 1:
        h.give(MODEL, cut=len(MODEL) // 2)
        h.rfile.read(1)   # until the other side has left
    else:
        h.give(MODEL)


@with_box(slow)
def a_pull_that_was_stopped_goes_on_with_the_next_one(server, box):
    p = subprocess.Popen([lib.BIN, "model", "pull", server.url + "/m.gguf"], env=box.env(),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    part = os.path.join(box.models, "m.gguf.part")
    lib.check(eventually(lambda: os.path.exists(part) and os.path.getsize(part) == len(MODEL) // 2),
              "half of it came")
    second = box.pull(server.url + "/m.gguf")
    refused(second, "pulled by another process", rc=11)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=30)
    lib.check(b"goes on where it was" in err, f"standard error: {err[-300:]}")
    lib.same(box.files(), ["m.gguf.part", "m.gguf.part.from"], "what lies in the folder")
    r = box.pull(server.url + "/m.gguf")
    lib.same((r.rc, r.last()["resumed_from"], r.last()["sha256"]), (0, len(MODEL) // 2, SUM))
    lib.same(box.files(), ["m.gguf"], "what lies in the folder")


def eventually(holds, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.01)
    return False


@with_box(lambda h: h.give(b"GGUF" + bytes(300000), etag='"old"', cut=200000) if h.turn == 1
          else h.give(MODEL, etag='"new"'))
def a_file_that_changed_between_two_attempts_is_pulled_from_its_beginning(server, box):
    r = box.pull(server.url + "/m.gguf")
    lib.same(r.rc, 0, f"exit status ({r.out})")
    lib.same(server.requests[1][1:], ("bytes=200000-", '"old"'), "the second request")
    lib.same(box.bytes(), MODEL, "the bytes")
    lib.same(r.last()["resumed_from"], 0)


def wrong_part(h):
    """A server that knows no If-Range: the rest of another file."""
    if h.turn == 1:
        return h.give(b"GGUF" + bytes(len(MODEL) - 4), etag='"old"', cut=200000)
    if h.headers["Range"]:
        h.head(206, Content_Length=len(MODEL) - 200000, ETag='"new"',
               Content_Range=f"bytes 200000-{len(MODEL) - 1}/{len(MODEL)}")
        return h.wfile.write(MODEL[200000:])
    return h.give(MODEL, etag='"new"')


@with_box(wrong_part)
def two_versions_are_never_mixed_by_a_server_that_ignores_if_range(server, box):
    r = box.pull(server.url + "/m.gguf")
    lib.same(r.rc, 0, f"exit status ({r.out})")
    lib.same(box.bytes(), MODEL, "the bytes")


@with_box(lambda h: h.give(MODEL, cut=200000 if h.turn == 1 else None, ranges=False))
def a_server_without_ranges_is_asked_for_all_of_it_again(server, box):
    r = box.pull(server.url + "/m.gguf")
    lib.same((r.rc, r.last()["sha256"]), (0, SUM))


@with_box(lambda h: h.give(MODEL, etag=None, cut=200000 if h.turn == 1 else None))
def without_a_version_nothing_is_resumed(server, box):
    r = box.pull(server.url + "/m.gguf")
    lib.same((r.rc, r.last()["sha256"], server.requests[1][1]), (0, SUM, None))


@with_box(lambda h: h.head(503, Retry_After=0, Content_Length=0) if h.turn < 3 else h.give(MODEL))
def a_busy_server_is_asked_again(server, box):
    r = box.pull(server.url + "/m.gguf")
    lib.same((r.rc, len(server.requests)), (0, 3))


@with_box(lambda h: h.head(503, Retry_After=0, Content_Length=0))
def a_server_that_stays_busy_is_given_up(server, box):
    refused(box.pull(server.url + "/m.gguf"), "answered 503")
    lib.same(len(server.requests), 5)


@with_box(lambda h: h.give(MODEL))
def another_sum_than_the_one_asked_for_is_refused_and_nothing_is_kept(server, box):
    message = refused(box.pull(server.url + "/m.gguf", "--sha256", "0" * 64), "another SHA-256")
    lib.check(SUM in message, "the sentence names the sum that was found")
    lib.same(box.files(), [], "what lies in the folder")
    refused(box.pull(server.url + "/m.gguf", "--sha256", "12"), "64 hexadecimal digits", rc=2)


@with_box(lambda h: h.head(302, Location="/cdn/m.gguf", Content_Length=0,
                           X_Linked_ETag='"%s"' % ("0" * 64 if "bad" in h.path else SUM))
          if "cdn" not in h.path else h.give(MODEL))
def the_sum_that_a_server_tells_with_its_redirect_is_checked(server, box):
    r = box.pull(server.url + "/m.gguf")
    lib.same((r.rc, r.last()["checked_against"]), (0, "server"))
    refused(box.pull(server.url + "/bad.gguf"), "another SHA-256 than its server says")
    lib.same(box.files(), ["m.gguf"], "what lies in the folder")


@with_box(lambda h: h.head(404, Content_Length=0))
def a_file_that_is_not_there_is_said_to_be_so(server, box):
    refused(box.pull(server.url + "/m.gguf"), "there is nothing at", rc=4)
    lib.same(len(server.requests), 1)


@with_box(lambda h: h.head(403, Content_Length=0))
def a_file_behind_a_login_is_said_to_be_so(server, box):
    refused(box.pull(server.url + "/m.gguf"), "wants a login")


@with_box(lambda h: h.give(b"<!doctype html>" + bytes(5000000)))
def what_is_no_gguf_is_refused_at_its_first_bytes(server, box):
    refused(box.pull(server.url + "/m.gguf"), "does not begin with GGUF")
    lib.same(box.files(), [], "what lies in the folder")


@with_box(lambda h: h.give(MODEL[:-1000]))
def a_gguf_that_is_not_whole_is_refused_at_the_end(server, box):
    refused(box.pull(server.url + "/m.gguf"), "no sound GGUF file")
    lib.same(box.files(), [], "what lies in the folder")


@with_box(lambda h: h.head(302, Location=h.path + "x", Content_Length=0))
def redirects_have_an_end(server, box):
    refused(box.pull(server.url + "/m.gguf"), "more than 5 redirects")
    lib.same(len(server.requests), 6)


WHERE = ["http://example.com/m.gguf", "ftp://127.0.0.1/m.gguf", "file:///etc/passwd"]


@with_box(lambda h: h.head(302, Location=WHERE[int(h.path[1])], Content_Length=0))
def redirects_lead_to_https_or_this_machine_only(server, box):
    for i in range(len(WHERE)):
        r = box.pull(f"{server.url}/{i}.gguf")
        lib.same(r.rc, 1, f"exit status ({r.out})")
    lib.same(len(server.requests), len(WHERE))


@with_box(lambda h: h.give(MODEL))
def addresses_and_names_that_cannot_be_are_refused(server, box):
    refused(box.pull("http://example.com/m.gguf"), "without TLS", rc=2)
    refused(box.pull("file:///etc/passwd"), "want https://", rc=2)
    refused(box.pull("https://me:secret@127.0.0.1/m.gguf"), "belongs in a file", rc=2)
    refused(box.pull("lama-3.2-1b-instruct"), "did you mean llama-3.2-1b-instruct?", rc=4)
    refused(box.pull("gemma-3"), "There are gemma-3-1b-it, gemma-3-4b-it, gemma-3-12b-it", rc=4)
    refused(box.pull(server.url + "/"), "give one with --as", rc=2)
    refused(box.pull(server.url + "/x", "--as", "../x.gguf"), "give one with --as", rc=2)
    lib.same(server.requests, [])
    lib.same(box.pull(server.url + "/x", "--as", "x.gguf").rc, 0)
    lib.same(box.files(), ["x.gguf"])


@lib.test
def the_catalogue_is_printed_without_a_name():
    with lib.scratch() as home:
        entries = Box(home).pull().last()["catalogue"]
        named = {a: e for e in entries for a in e["aliases"].split() + [e["name"]]}
        url = named["@cf/meta/llama-3.2-1b-instruct"]["url"]
        lib.check(url.startswith("https://"), "its address")
        text = lib.carrel("model", "pull", env=Box(home).env()).out
        lib.check(re.search(r"^llama-3.2-1b-instruct +808 MB  Llama 3.2", text, re.M), text)


def mounted(folder, size):
    """A file system of `size` bytes at `folder`; skips where that may not be made."""
    os.makedirs(folder)
    p = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder],
                       stderr=subprocess.DEVNULL)
    if p.returncode:
        lib.skip("may not mount a file system")


def without_length(h):
    h.head(200, ETag='"one"')
    h.wfile.write(b"GGUF" + bytes(20 << 20))


@with_box(lambda h: without_length(h) if "long" in h.path else h.give(MODEL))
def a_full_disk_is_seen_before_the_first_byte_or_said_when_it_comes(server, box):
    folder = os.path.join(box.home, "small")
    mounted(folder, 4 << 20)
    try:
        refused(box.pull(server.url + "/m.gguf", models=folder), "MB are free")
        lib.same(os.path.getsize(os.path.join(folder, "m.gguf.part")), 0)
        refused(box.pull(server.url + "/long.gguf", models=folder), "No space left")
    finally:
        subprocess.run(["umount", folder], check=False)


lib.main()
