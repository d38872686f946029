#!/usr/bin/env python3
"""The HTTP interface of the real program: API.md, said and kept."""
import contextlib
import html
import http.client
import json
import os
import re
import socket
import threading
import time
import urllib.parse

import lib
from lib import check, same

OTTERS = ("# Otters\n\nSea otters hold hands while they sleep. They do so in order not to drift "
          "apart.\n\nA river otter eats about fifteen percent of its weight in fish every day.\n\n"
          "## Range\n\nThe giant otter lives in the Amazon basin, and it can be two metres long.\n")
CLOCKS = ("# Clocks\n\nA pendulum clock loses time when the weather is warm, for the rod grows "
          "longer. Harrison built a rod of brass and steel that keeps its length.\n")
SAFE = {"content-security-policy": "default-src 'none'", "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin", "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin", "cache-control": ""}


def error(r, status, code=None, param="any"):
    """Fail unless r is that error, told as API.md tells errors."""
    same(r.status, status, f"status ({lib.short(r.text, 200)})")
    e = r.json()["error"]
    same(sorted(e), ["code", "message", "param", "request_id"], "members of the error")
    if code:
        same(e["code"], code, "code")
    if param != "any":
        same(e["param"], param, "param")
    check(e["message"], "an error without a sentence")


def filled(server):
    """Two documents to ask about."""
    return (server.upload("otters.md", OTTERS), server.upload("clocks.md", CLOCKS))


@lib.test
def a_document_is_uploaded_read_back_and_deleted():
    with lib.Server() as s:
        r = s.upload_form([("otters.md", OTTERS.encode())], {"wait": "true",
                                                            "metadata": '{"kind":"animal"}'})
        same(r.status, 200)
        d = r.json()["documents"][0]
        same((d["name"], d["state"], d["duplicate"]), ("otters.md", "ready", False))
        whole = s.get("/v1/documents/" + d["id"]).json()
        same(whole["metadata"], {"kind": "animal"})
        for member in ("collection", "uri", "mime", "size_bytes", "stage", "progress", "error",
                       "warnings", "pages", "chunks", "tokens", "created_at", "updated_at"):
            check(member in whole, f"no {member} in a document")
        same(s.get(f"/v1/documents/{d['id']}/content").body, OTTERS.encode(), "the original")
        chunks = s.get(f"/v1/documents/{d['id']}/chunks").json()["chunks"]
        text = s.get(f"/v1/documents/{d['id']}/text").body
        same(len(chunks), whole["chunks"])
        for c in chunks:
            part = s.get(f"/v1/documents/{d['id']}/text?start={c['start']}&end={c['end']}")
            same(part.body, text[c["start"]:c["end"]], "the text of a chunk")
        same([x["id"] for x in s.get("/v1/documents").json()["documents"]], [d["id"]])
        gone = s.delete("/v1/documents/" + d["id"]).json()["deleted"]
        same((gone["documents"], gone["chunks"]), (1, len(chunks)))
        error(s.get("/v1/documents/" + d["id"]), 404, "not_found")
        error(s.delete("/v1/documents/" + d["id"]), 404, "not_found")
        same(s.search("otters sleep")["hits"], [])


@lib.test
def an_upload_without_wait_is_accepted_with_a_job_that_ends():
    with lib.Server() as s:
        r = s.post("/v1/documents?name=clocks.md", CLOCKS,
                   headers={"Content-Type": "text/markdown"})
        same(r.status, 202)
        d = r.json()["documents"][0]
        same(s.wait(d["id"])["state"], "ready")
        job = s.get(f"/v1/jobs/{d['job_id']}").json()
        same((job["state"], job["document_id"]), ("done", d["id"]))
        told = lib.events(s.get(f"/v1/jobs/{d['job_id']}/events").text)
        same(told[-1][0], "done")
        error(s.post(f"/v1/jobs/{d['job_id']}/cancel"), 409, "conflict")
        error(s.get("/v1/jobs/999999"), 404)
        error(s.get("/v1/jobs/x"), 404)


@lib.test
def the_same_bytes_under_the_same_name_are_stored_once():
    with lib.Server() as s:
        first = s.upload("otters.md", OTTERS)
        r = s.post("/v1/documents?name=otters.md", OTTERS)
        same(r.status, 200)
        again = r.json()["documents"][0]
        same((again["duplicate"], again["id"]), (True, first["id"]))
        newer = s.upload("otters.md", OTTERS + "\nOtters also whistle.\n")
        check(newer["id"] != first["id"], "new bytes under an old name are a new document")
        same(len(s.get("/v1/documents").json()["documents"]), 1, "documents of that name")


@lib.test
def many_files_in_one_form_are_all_stored():
    with lib.Server() as s:
        files = [(f"note {i} \u00e9\u4e2d.txt", f"Note number {i} speaks of otter {i}.".encode())
                 for i in range(20)]
        r = s.upload_form(files, {"wait": "true", "collection": "notes"})
        same(r.status, 200)
        same([d["name"] for d in r.json()["documents"]], [f[0] for f in files])
        listed = s.get("/v1/documents?collection=notes&limit=7").json()
        same(len(listed["documents"]), 7)
        seen = listed["documents"]
        while listed["next_cursor"]:
            listed = s.get("/v1/documents?collection=notes&limit=7&cursor=" +
                           listed["next_cursor"]).json()
            seen += listed["documents"]
        same(sorted(d["name"] for d in seen), sorted(f[0] for f in files))


@lib.test
def a_file_that_cannot_be_read_fails_with_its_reason_and_can_be_tried_again():
    with lib.Server() as s:
        d = s.upload("broken.pdf", b"%PDF-1.7\n" + bytes(range(256)) * 40)
        same(d["state"], "failed")
        whole = s.get("/v1/documents/" + d["id"]).json()
        check(whole["error"], "a failed document without a reason")
        same(s.post(f"/v1/jobs/{whole['job_id']}/retry").status, 200)
        same(s.wait(d["id"])["state"], "failed")
        page = s.get("/documents", headers={"Accept": "text/html"}).text
        check(html.escape(whole["error"], quote=False).split('"')[0] in html.unescape(page) or
              whole["error"] in html.unescape(page), "the page does not say why")


@lib.test
def search_finds_by_words_by_meaning_and_by_both():
    with lib.Server() as s:
        otters, _ = filled(s)
        for mode in ("words", "dense", "hybrid"):
            r = s.search("how long is the giant otter", mode=mode, top_k=3, explain=True)
            same(r["mode"], mode)
            check(r["hits"], f"nothing found by {mode}")
            hit = r["hits"][0]
            same(hit["document_id"], otters["id"], f"best document by {mode}")
            text = s.get(f"/v1/documents/{hit['document_id']}/text").body
            same(text[hit["span"]["start"]:hit["span"]["end"]].decode(), hit["text"])
        same([h["n"] for h in r["hits"]], list(range(1, len(r["hits"]) + 1)))


@lib.test
def an_answer_cites_stored_bytes_and_the_stream_says_the_same():
    with lib.Server() as s:
        filled(s)
        question = "Why do sea otters hold hands?"
        r = s.ask(question)
        check(r["grounded"] in ("full", "partial"), f"not grounded: {r}")
        check(r["citations"], "an answer without citations")
        numbers = {c["n"] for c in r["citations"]}
        same({int(n) for n in re.findall(r"\[(\d+)\]", r["answer"])}, numbers, "marks")
        for c in r["citations"]:
            lib.verify_citation(s, c)
            span = c["span"]
            part = s.get(f"/v1/documents/{c['document_id']}/text?start={span['start']}"
                         f"&end={span['end']}")
            same(part.body.decode(), c["quote"], "the bytes of the span")
        told = s.ask_events(question)
        names = [name for name, _ in told]
        same(names[:2], ["query", "sources"], "the first events")
        same(names[-1], "done")
        same("".join(v["text"] for name, v in told if name == "delta"), r["answer"])
        same([v["quote"] for name, v in told if name == "citation"],
             [c["quote"] for c in r["citations"]])
        check("answer" not in told[-1][1], "done repeats the answer")
        hit = s.search(question)["hits"][0]
        same((hit["uri"], r["citations"][0]["uri"]), (None, None), "the uri of what came from none")


@lib.test
def a_conversation_begins_with_an_empty_id_and_goes_on():
    with lib.Server() as s:
        filled(s)
        first = s.post("/v1/ask", {"question": "How long is the giant otter?", "conversation_id": ""}).json()
        check(re.fullmatch("[0-9a-f]{32}", first["conversation_id"]), first["conversation_id"])
        later = s.post("/v1/ask", {"question": "Where does it live?",
                                   "conversation_id": first["conversation_id"]}).json()
        same(later["conversation_id"], first["conversation_id"], "the conversation")
        check("giant otter" in later["search_query"], later["search_query"])
        same(s.ask("How long is the giant otter?")["conversation_id"], None, "unasked")
        error(s.post("/v1/ask", {"question": "x", "conversation_id": "0" * 32}), 404, "not_found")


@lib.test
def a_stream_that_cannot_begin_is_a_status_and_no_event():
    with lib.Server() as s:
        filled(s)
        ask = {"question": "Why do sea otters hold hands?", "stream": True}
        error(s.post("/v1/ask", {**ask, "collection": "nowhere"}), 404, "not_found")
        error(s.post("/v1/ask", {**ask, "conversation_id": "0" * 32}), 404, "not_found")
        error(s.post("/v1/ask", {**ask, "model": "nobody"}), 404, "not_found")
        error(s.post("/v1/ask", {**ask, "response_format": {"type": "json_object"}}), 422,
              "invalid_argument", "response_format")
        same(s.ask_events(ask["question"])[-1][0], "done")


@lib.test
def a_question_nothing_answers_is_refused_with_the_nearest_passages():
    with lib.Server() as s:
        filled(s)
        r = s.ask("Which tax rate applies to imported zinc in Peru?")
        same((r["grounded"], r["finish_reason"], r["citations"]), ("none", "refused", []))
        check(r["answer"], "a refusal without a sentence")


@lib.test
def json_that_breaks_the_rules_is_refused_naming_the_field():
    with lib.Server() as s:
        for body, param in (({}, "query"), ({"query": ""}, "query"), ({"query": 1}, "query"),
                            ({"query": "x" * 9000}, "query"),
                            ({"query": "x", "top_k": 0}, "top_k"),
                            ({"query": "x", "top_k": 100000}, "top_k"),
                            ({"query": "x", "top_k": 1.5}, "top_k"),
                            ({"query": "x", "mode": "magic"}, "mode"),
                            ({"query": "x", "filter": 1}, "filter"),
                            ({"query": "x", "topk": 1}, "topk")):
            error(s.post("/v1/search", body), 422, "invalid_argument", param)
        error(s.post("/v1/search", b"{", headers={"Content-Type": "application/json"}), 400,
              "invalid_json")
        error(s.post("/v1/search", b""), 400, "invalid_json")
        error(s.post("/v1/search", b"query=x",
                     headers={"Content-Type": "application/x-www-form-urlencoded"}), 415)
        error(s.post("/v1/search", {"query": "x" * 70000}), 413, "too_large")
        error(s.post("/v1/search?query=x", {"query": "x"}), 422, "invalid_argument", "query")
        error(s.get("/v1/documents?limit=0"), 422, "invalid_argument", "limit")
        error(s.get("/v1/documents?state=lost"), 422, "invalid_argument", "state")
        error(s.get("/v1/documents?limit=%zz"), 400)
        error(s.post("/v1/ask", {"question": "x", "response_format": {"type": "json_object"}}), 422,
              "invalid_argument", "response_format")


@lib.test
def addresses_and_methods_that_are_not_there_are_told_apart():
    with lib.Server() as s:
        error(s.get("/nothing"), 404, "not_found")
        error(s.get("/v1/documents/zz"), 404, "not_found")
        r = s.request("PUT", "/v1/documents")
        error(r, 405, "method_not_allowed")
        check("GET" in r.headers["allow"] and "POST" in r.headers["allow"], "no Allow header")
        r = s.request("OPTIONS", "/v1/search")
        same((r.status, r.headers["allow"]), (204, "POST, OPTIONS"))
        r = s.request("HEAD", "/healthz")
        same((r.status, r.body), (200, b""))


@lib.test
def ranges_of_text_are_checked_and_never_clamped():
    with lib.Server() as s:
        d = s.upload("e.txt", "caf\u00e9 au lait, and a few more words to read")
        path = f"/v1/documents/{d['id']}/text"
        n = len(s.get(path).body)
        same(s.get(f"{path}?start=0&end=3").body, b"caf")
        error(s.get(f"{path}?start=0&end={n + 1}"), 422, "invalid_argument", "end")
        error(s.get(f"{path}?start={n + 1}"), 422, "invalid_argument", "start")
        error(s.get(f"{path}?start=3&end=2"), 422, "invalid_argument")
        error(s.get(f"{path}?start=4&end=6"), 422, "invalid_argument", "start")
        error(s.get(f"{path}?start=-1"), 422, "invalid_argument", "start")


@lib.test
def forms_that_are_malformed_store_nothing():
    with lib.Server() as s:
        kind, body = lib.multipart([("a.txt", b"hello otters")], {})
        for wrong, status in ((body[:-20], 400), (body[:60], 400),
                              (body.replace(b'name="file"', b'name="files"'), 422)):
            error(s.post("/v1/documents", wrong, headers={"Content-Type": kind}), status)
        error(s.post("/v1/documents", body, headers={"Content-Type": "multipart/form-data"}), 400)
        error(s.upload_form([("a.txt", b"x")], {"metadata": "[1]"}), 422, None, "metadata")
        error(s.upload_form([("a.txt", b"x")], {"wait": "yes"}), 422, None, "wait")
        error(s.upload_form([("a.txt", b"x")], {"colection": "y"}), 422)
        error(s.upload_form([("a.txt", b"x")], {"collection": "../etc"}), 422, None, "collection")
        error(s.upload_form([], {"collection": "x"}), 422, None, "file")
        error(s.post("/v1/documents", b"raw bytes"), 422, None, "name")
        same(s.get("/v1/documents").json()["documents"], [], "stored documents")


@lib.test
def an_upload_that_is_too_large_is_refused_before_it_is_read():
    with lib.Server(env={"CARREL_SERVER_MAX_UPLOAD_BYTES": "1048576"}) as s:
        limit = s.get("/v1/status").json()["max_upload_bytes"]
        same(limit, 1 << 20, "the limit")
        payload = (f"POST /v1/documents?name=big HTTP/1.1\r\nHost: {s.host}:{s.port}\r\n"
                   f"Content-Length: {limit + 1}\r\n\r\n").encode()
        check(b" 413 " in s.raw(payload, timeout=3), "no 413 for a body that says it is too large")


@lib.test
def every_answer_carries_the_security_headers_and_no_inline_code():
    with lib.Server() as s:
        d, _ = filled(s)
        pages = ["/", "/?q=otters", "/search", "/search?q=otters", "/documents", "/login",
                 f"/documents/{d['id']}", f"/documents/{d['id']}?start=10&end=40",
                 f"/documents/{d['id']}/delete", "/nothing"]
        others = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/status", "/v1/documents",
                  "/assets/style.css", "/assets/app.js", "/assets/favicon.svg", "/favicon.ico",
                  "/v1/nothing", f"/v1/documents/{d['id']}/content"]
        for path in pages + others:
            r = s.get(path, headers={"Accept": "text/html" if path in pages else "*/*"})
            for name, start in SAFE.items():
                check(r.headers.get(name, "?").startswith(start), f"{path}: {name} is "
                      f"{r.headers.get(name)}")
            check("server" not in r.headers, "a Server header")
            check("access-control-allow-origin" not in r.headers, "CORS")
            check(r.headers.get("x-request-id"), f"{path}: no X-Request-Id")
            if path in pages:
                check(r.headers["content-type"].startswith("text/html"), f"{path} is no page")
                check(not re.search(r"<script(?! src=\"/assets/)|\son\w+=|<style|\sstyle=|javascript:",
                                    r.text), f"{path}: inline code")
        r = s.get("/healthz", headers={"X-Request-Id": "my-own.id_1"})
        same(r.headers["x-request-id"], "my-own.id_1")
        r = s.get(f"/v1/documents/{d['id']}/content")
        check(r.headers["content-disposition"].startswith("attachment"), "the original is shown")
        check("sandbox" in r.headers["content-security-policy"], "the original is not sandboxed")


@lib.test
def no_foreign_page_and_no_foreign_name_gets_in():
    with lib.Server() as s:
        d, _ = filled(s)
        here = f"{s.host}:{s.port}"
        foreign = [{"Origin": "http://evil.example"}, {"Origin": "null"},
                   {"Origin": f"http://{here}.evil.example"},
                   {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                   {"Sec-Fetch-Site": "cross-site", "Origin": f"http://{here}"},
                   {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}]
        unsafe = [("POST", "/v1/documents?name=x", b"x"), ("DELETE", f"/v1/documents/{d['id']}", None),
                  ("POST", f"/documents/{d['id']}/delete", b""), ("POST", "/v1/search", {"query": "x"}),
                  ("POST", "/v1/keys", {"name": "x", "scopes": "admin"}), ("POST", "/login", b"key=x")]
        for headers in foreign:
            for method, path, body in unsafe:
                error(s.request(method, path, body, headers=headers), 403, "cross_site")
        for host in ("evil.example", "evil.example:7171", "127.0.0.1.evil.example", "10.0.0.1",
                     "[::2]", "localhost.evil"):
            for path in ("/", "/healthz", "/v1/documents", "/assets/app.js"):
                error(s.get(path, headers={"Host": host}), 403, "host_not_allowed")
        for host in (here, "localhost", f"localhost:{s.port}", "127.0.0.1", "LocalHost:1"):
            same(s.get("/healthz", headers={"Host": host}).status, 200, host)
        own = {"Origin": f"http://{here}", "Sec-Fetch-Site": "same-origin"}
        same(s.post("/v1/search", {"query": "otters"}, headers=own).status, 200)
        same(s.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status,
             200, "a link from elsewhere")
        error(s.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}), 403)
        same(len(s.get("/v1/documents").json()["documents"]), 2, "documents after all that")


def concrete(path, doc, job, key):
    """A path of the interface with something that exists in its braces."""
    for start, value in (("/documents/{id}", doc), ("/v1/documents/{id}", doc),
                         ("/v1/jobs/{id}", job), ("/v1/keys/{id}", key),
                         ("/v1/collections/{name}", "default"), ("/assets/{name}", "app.js")):
        if path.startswith(start):
            return re.sub(r"\{\w+\}", str(value), path)
    return path


def from_address(s, n, method, path, key):
    """One request from the n-th loopback address: wrong keys are counted by address."""
    connection = http.client.HTTPConnection(
        s.host, s.port, timeout=60, source_address=(f"127.0.{1 + n // 250}.{1 + n % 250}", 0))
    try:
        connection.request(method, path, headers={
            "Accept": "application/json", **({"Authorization": "Bearer " + key} if key else {})})
        r = connection.getresponse()
        return lib.Response(r.status, dict(r.getheaders()), r.read())
    finally:
        connection.close()


@lib.test
def every_route_asks_for_the_scope_it_says():
    """W1: each route of /openapi.json with no key, wrong, revoked, and each scope."""
    with lib.Server() as s:
        doc = s.upload("otters.md", OTTERS)
        other = s.upload("clocks.md", CLOCKS, collection="other")
        listed = s.get("/openapi.json").json()["paths"]
        made = {}
        s.key = None
        r = s.post("/v1/keys", {"name": "first", "scopes": "query"})
        error(r, 422, "invalid_argument", "scopes")
        first = s.post("/v1/keys", {"name": "first", "scopes": "admin"}).json()
        s.key = first["key"]
        for name, scopes, collection in (("query", "query", None), ("ingest", "ingest", None),
                                         ("both", "query,ingest", None),
                                         ("elsewhere", "query,ingest", "other"),
                                         ("revoked", "admin", None)):
            body = {"name": name, "scopes": scopes}
            made[name] = s.post("/v1/keys", {**body, **({"collection": collection} if collection
                                                        else {})}).json()
        revoked_id = made["revoked"]["id"]
        same(s.delete(f"/v1/keys/{revoked_id}").status, 200)
        holds = {"admin": {"query", "ingest", "admin"}, "query": {"query"}, "ingest": {"ingest"},
                 "both": {"query", "ingest"}, "elsewhere": {"query", "ingest"}}
        keys = {"admin": first["key"], **{n: made[n]["key"] for n in made}}
        rows = 0
        for path, operations in listed.items():
            for method, operation in operations.items():
                scope = operation["x-scope"]
                target = concrete(path, doc["id"], doc["job_id"], 999999)
                for who in [None, "wrong", "revoked", *holds]:
                    if who in holds and (method != "get" or path.endswith("/events")) and \
                            scope in holds[who]:
                        continue     # allowed, and it would change or hang on to something
                    key = keys.get(who) if who != "wrong" else first["key"][:-1] + "."
                    r = from_address(s, rows, method.upper(), target, key)
                    if target == "/login" and method == "post":
                        same(r.status, 401, "signing in with nothing")
                    elif scope == "open":
                        check(r.status not in (401, 403), f"{method} {path} is not open: {r!r}")
                    elif who not in holds:
                        same(r.status, 401, f"{method} {path} as {who}")
                    elif scope not in holds[who]:
                        same(r.status, 403, f"{method} {path} as {who}")
                    elif who == "elsewhere" and ("{id}" in path or "{name}" in path):
                        same(r.status, 404, f"{method} {path} as {who}")
                    else:
                        check(r.status not in (401, 403), f"{method} {path} as {who}: {r!r}")
                    rows += 1
        print(f"      {rows} rows of {sum(len(o) for o in listed.values())} routes")
        s.key = keys["elsewhere"]
        a, b = s.get("/v1/documents/" + doc["id"]), s.get("/v1/documents/" + "0" * 32)
        strip = re.compile(rb'"request_id":"[^"]*"')
        same(strip.sub(b"", a.body), strip.sub(b"", b.body), "foreign and unknown")
        same([d["id"] for d in s.get("/v1/documents").json()["documents"]], [other["id"]])
        same({h["document_id"] for h in s.search("clock rod otters")["hits"]}, {other["id"]})
        error(s.post("/v1/search", {"query": "x", "collection": "default"}), 404)
        error(s.post("/v1/documents?name=x&collection=default", b"x"), 404)
        same([c["name"] for c in s.get("/v1/collections").json()["collections"]], ["other"])


@lib.test
def pages_ask_for_a_key_once_and_keep_it_in_a_strict_cookie():
    with lib.Server() as s:
        key = s.post("/v1/keys", {"name": "a", "scopes": "admin"}).json()["key"]
        form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
        r = s.get("/documents?state=ready", headers={"Accept": "text/html"})
        same((r.status, r.headers["location"]), (303, "/login?next=%2Fdocuments%3Fstate%3Dready"))
        same(s.get("/login?next=%2Fdocuments", headers={"Accept": "text/html"}).status, 200)
        same(s.post("/login", "key=wrong", headers=form).status, 401)
        r = s.post("/login", urllib.parse.urlencode({"key": key, "next": "/documents"}), headers=form)
        same((r.status, r.headers["location"]), (303, "/documents"))
        cookie = r.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
            check(part in cookie, f"no {part} in {cookie}")
        mine = {"Cookie": cookie.split(";")[0], "Accept": "text/html"}
        same(s.get("/documents", headers=mine).status, 200)
        for evil in ("//evil.example", "/\\evil.example", "http://evil.example", "/a\r\nX: y"):
            r = s.post("/login", urllib.parse.urlencode({"key": key, "next": evil}), headers=form)
            same(r.headers["location"], "/", f"after signing in with next={evil!r}")
        check("Max-Age=0" in s.post("/logout", "", headers={**form, **mine}).headers["set-cookie"],
              "signing out keeps the cookie")
        for _ in range(40):
            r = s.get("/v1/documents", headers={"Authorization": "Bearer nonsense"})
        same(r.status, 429, "status after 40 wrong keys")
        check(int(r.headers["retry-after"]) >= 1, "no Retry-After")
        r = s.get("/v1/documents", headers={"Authorization": "Bearer " + key})
        same(r.status, 200, "status of the right key after 40 wrong ones from its address")


@lib.test
def hostile_strings_come_back_as_the_text_they_are():
    with open(lib.data("hostile/strings/blns.json"), encoding="utf-8") as f:
        strings = [x for x in json.load(f) if x.strip() and "\0" not in x]
    with lib.Server() as s:
        d = s.upload("all.txt", "\n\n".join(strings))
        page = s.get(f"/documents/{d['id']}", headers={"Accept": "text/html"}).text
        inside = page[page.index("<article"):page.index("</article>")]
        tags = set(re.findall(r"</?([a-zA-Z][\w-]*)", inside))
        check(tags <= {"article", "p", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "mark"},
              f"tags of the document are tags of the page: {tags}")
        for i, text in enumerate(strings):
            r = s.post("/v1/search", {"query": text})
            check(r.status == 200, f"string {i} as a query: {r!r}")
            same(r.json()["query"], text, f"string {i} as a query")
            r = s.get("/search?" + urllib.parse.urlencode({"q": text}),
                      headers={"Accept": "text/html"})
            check(r.status == 200, f"string {i} in a page: {r.status}")
            shown = re.search(r'placeholder="Find passages" value="([^"]*)"', r.text)
            same(html.unescape(shown.group(1)).strip(), text.strip(), f"string {i} in a page")
        files = [(x, b"text of " + str(i).encode()) for i, x in enumerate(strings[:60])]
        r = s.upload_form(files, {"collection": "names"})
        same(r.status, 202, r.text)
        for d in r.json()["documents"]:
            check(d["name"] and not re.search(r"[\x00-\x1f\x7f-\x9f]", d["name"]), repr(d["name"]))
        same(sorted(os.listdir(s.data_dir)), sorted(set(os.listdir(s.data_dir))), "the store's folder")


@lib.test
def json_test_suite_is_told_apart():
    folder = lib.data("hostile/json/test_parsing")
    wrong = []
    with lib.Server() as s:
        connection = http.client.HTTPConnection(s.host, s.port, timeout=20)
        count = {"y": 0, "n": 0, "i": 0}
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as f:
                body = f.read()
            if len(body) > 60000:       # larger than the address takes: 413 would hide the answer
                body = body[:60000]
            try:
                connection.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
                r = connection.getresponse()
                status, code = r.status, json.loads(r.read()).get("error", {}).get("code")
            except (ConnectionError, http.client.HTTPException):
                status, code = 0, None
            connection.close()
            refused = (status, code) == (400, "invalid_json")
            taken = status in (200, 422) and code != "invalid_json"
            if not (taken if name[0] == "y" else refused if name[0] == "n" else refused or taken):
                wrong.append(f"{name}: {status} {code}")
            count[name[0]] += 1
    print(f"      y_ {count['y']}, n_ {count['n']}, i_ {count['i']}; wrong: {wrong or 'none'}")
    same(wrong, [])


@lib.test
def a_client_that_leaves_a_stream_leaves_nothing_running():
    with lib.Server() as s:
        filled(s)
        for _ in range(30):
            body = json.dumps({"question": "Why do sea otters hold hands?", "stream": True}).encode()
            with socket.create_connection((s.host, s.port), timeout=5) as c:
                c.sendall(f"POST /v1/ask HTTP/1.1\r\nHost: {s.host}:{s.port}\r\nContent-Type: "
                          f"application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            asks = s.get("/v1/status").json()["queue"]["questions"]
            if asks == {"running": 0, "waiting": 0}:
                break
            time.sleep(0.05)
        same(asks, {"running": 0, "waiting": 0}, "questions after their clients left")
        same(s.ask("Why do sea otters hold hands?")["grounded"] != "none", True, "grounded")


@lib.test
def a_client_that_leaves_an_upload_leaves_no_file_and_no_connection():
    with lib.Server() as s:
        before = len(os.listdir(f"/proc/{s.pid}/fd"))
        for i in range(50):
            with socket.create_connection((s.host, s.port), timeout=5) as c:
                c.sendall(f"POST /v1/documents?name=x HTTP/1.1\r\nHost: {s.host}:{s.port}\r\n"
                          f"Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n".encode())
                check(c.recv(100).startswith(b"HTTP/1.1 100"), "no word to go on")
                c.sendall(b"x" * 100 * i)
        end = time.monotonic() + 10
        started = time.monotonic()
        while time.monotonic() < end:
            now = len(os.listdir(f"/proc/{s.pid}/fd"))
            if now <= before + 2:
                break
            time.sleep(0.05)
        print(f"      gone after {time.monotonic() - started:.1f} s")
        check(now <= before + 2, f"{now} open files, {before} before")
        left = [f for _, _, files in os.walk(s.data_dir) for f in files if f.endswith(".part")]
        same(left, [], "temporary files")


@lib.test
def slow_clients_are_closed_and_others_do_not_notice():
    """S3 in small: drips of heads and bodies, idle ones, slow readers."""
    n = 120 if lib.SLOW else 40
    with lib.Server() as s:
        filled(s)
        big = s.upload("big.txt", "otters and clocks and rivers\n" * 300000)
        head = f"POST /v1/documents?name=x HTTP/1.1\r\nHost: {s.host}:{s.port}\r\n"
        sockets = []
        for i in range(n):
            c = socket.create_connection((s.host, s.port), timeout=5)
            c.setblocking(False)
            sockets.append(c)
            if i % 4 == 1:
                c.sendall(head.encode())
            elif i % 4 == 2:
                c.sendall((head + "Content-Length: 100000\r\n\r\n").encode())
            elif i % 4 == 3:
                c.sendall(f"GET /v1/documents/{big['id']}/content HTTP/1.1\r\nHost: {s.host}:"
                          f"{s.port}\r\n\r\n".encode())
        def served():
            """Connections the server holds; a reader may have more in its own buffer."""
            lines = s.get("/metrics").text.splitlines()
            return int(next(x for x in lines if x.startswith("carrel_http_connections ")).split()[1])
        started, slowest, most = time.monotonic(), 0.0, 0
        while time.monotonic() - started < 25:
            for i, c in enumerate(sockets):
                with contextlib.suppress(OSError):
                    if i % 4 in (1, 2):
                        c.send(b"x")
                    c.recv(64)
            t = time.monotonic()
            left = served() - 1
            slowest = max(slowest, time.monotonic() - t)
            most = max(most, left)
            if left == 0 and time.monotonic() - started > 1 and most > 0:
                break
            time.sleep(0.5)
        took = time.monotonic() - started
        for c in sockets:
            c.close()
        print(f"      {most} held at most, {left} after {took:.0f} s; slowest /metrics meanwhile "
              f"{slowest * 1000:.0f} ms")
        same(left, 0, "slow clients still connected")
        check(most >= n * 3 // 4, f"only {most} were ever connected")


@lib.test
def questions_beyond_the_queue_are_told_to_come_back():
    with lib.Server() as s:
        filled(s)
        statuses, lock = [], threading.Lock()

        def ask(i):
            try:
                r = s.post("/v1/ask", {"question": f"Why do sea otters hold hands, take {i}?"})
                with lock:
                    statuses.append((r.status, r.headers.get("retry-after")))
            except OSError as e:
                with lock:
                    statuses.append((0, str(e)))
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(120)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for status, retry in statuses:
            check(status == 200 or (status == 429 and retry), f"{status} {retry}")
        same(s.get("/healthz").status, 200)


@lib.test
def status_metrics_and_openapi_tell_what_is_there():
    with lib.Server() as s:
        filled(s)
        s.search("otters")
        s.ask("Why do sea otters hold hands?")
        status = s.get("/v1/status").json()
        same(status["store"]["documents"]["ready"], 2)
        for member in ("version", "models", "store", "queue", "kernels", "sandbox"):
            check(member in status, f"no {member} in status")
        lines = s.get("/metrics").text.splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        for line in lines:
            check(re.match(r"# (HELP|TYPE) \w+ .+|\w+(\{[^}]*\})? [-+0-9.eEinfNa]+$", line), line)
        same(values['carrel_documents{collection="default"}'], "2")
        same(values['carrel_http_requests_total{route="/v1/search",method="POST",code="200"}'], "1")
        for name in ("carrel_build_info", "carrel_search_duration_seconds_count", "carrel_chunks",
                     "carrel_answers_total", "process_resident_memory_bytes", "carrel_hnsw_nodes",
                     "carrel_store_bytes", "process_open_fds", "process_cpu_seconds_total"):
            check(any(k.startswith(name) for k in values), f"no {name}")
        api = s.get("/openapi.json").json()
        same(api["openapi"], "3.1.0")
        fields = api["paths"]["/v1/search"]["post"]["requestBody"]["content"]["application/json"]
        same(fields["schema"]["required"], ["query"])
        for path, methods in api["paths"].items():
            for body in (m.get("requestBody", {}).get("content", {}) for m in methods.values()):
                for name, p in body.get("application/json", {}).get("schema", {}).get("properties", {}).items():
                    low, high = p.get("minimum", 0), p.get("maximum", 0)
                    check(low <= high and high >= 0, f"{path} {name}: from {low} to {high}")
        for path in ("/healthz", "/readyz"):
            same(s.get(path).status, 200)


@lib.test
def pages_work_without_javascript():
    with lib.Server() as s:
        page = {"Accept": "text/html"}
        form = {**page, "Content-Type": "application/x-www-form-urlencoded"}
        r = s.upload_form([("otters.md", OTTERS.encode())], {"collection": "", "wait": "true"},
                          headers=page)
        same(r.status, 303)
        listing = s.get("/documents", headers=page).text
        doc = re.search(r'href="/documents/([0-9a-f]{32})"', listing).group(1)
        r = s.get("/?" + urllib.parse.urlencode({"q": "Why do sea otters hold hands?"}), headers=page)
        link = html.unescape(re.search(r'class="cite" href="([^"]+)"', r.text).group(1))
        check(link.endswith("#cited"), link)
        source = s.get(link.split("#")[0], headers=page).text
        marked = html.unescape("".join(re.findall(r"<mark[^>]*>([^<]*)</mark>", source)))
        check("hold hands" in marked, f"the mark holds {marked!r}")
        check('id="cited"' in source, "no anchor")
        r = s.post("/", urllib.parse.urlencode({"q": "What does a river otter eat?"}), headers=form)
        check("fifteen percent" in r.text, "no answer by POST")
        check("otters.md" in s.get(f"/documents/{doc}/delete", headers=page).text, "no question")
        r = s.post(f"/documents/{doc}/delete", "", headers=form)
        same((r.status, r.headers["location"]), (303, "/documents#list"))
        same(s.get("/v1/documents").json()["documents"], [])
        r = s.get("/documents/" + doc, headers=page)
        check(r.status == 404 and "<h1>" in r.text, "no page for what is gone")


@lib.test
def an_idle_server_is_small():
    with lib.Server() as s:
        for path in ("/", "/documents", "/healthz", "/metrics"):
            s.get(path, headers={"Accept": "text/html"})
        rss = s.rss_kib()
        print(f"      {rss / 1024:.1f} MB resident, ready in {s.ready_s * 1000:.0f} ms")
        check(rss < 60 * 1024, f"{rss} KiB resident")


lib.main()
