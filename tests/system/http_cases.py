#!/usr/bin/env python3
"""Malformed and odd HTTP requests against the real server.

The cases (payload, expected status, whether closing without an answer will do)
lie in $CARREL_DATA/hostile/http/cases.jsonl. Each gets its own connection;
afterwards the server must still answer, and no request may have been taken for
two. At least 9 in 10 of the cases that name a status, and of all, must pass.
CARREL_URL: a server that runs already, instead of one of our own.
"""
import json
import os
import re
import socket
import time
import urllib.parse

import lib

PATIENCE_S = 1.0        # for an answer; a request that is not whole gets none
FLOOR = 0.9


def exchange(host, port, payload):
    """All bytes that come back, and whether the server closed."""
    out, closed = b"", False
    with socket.create_connection((host, port), timeout=PATIENCE_S) as s:
        s.sendall(payload)
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            s.settimeout(0.25 if out else PATIENCE_S)
            try:
                got = s.recv(65536)
            except socket.timeout:
                break
            except ConnectionError:
                closed = True
                break
            if not got:
                closed = True
                break
            out += got
    return out, closed


def statuses(raw):
    """Status of each answer, interim ones (1xx) left out."""
    found = [int(m) for m in re.findall(rb"HTTP/1\.[01] (\d{3}) ", raw)]
    return [s for s in found if s >= 200], 101 in found


def judge(case, raw, closed):
    """True when what came back is among what the case allows."""
    got, switched = statuses(raw)
    status = got[0] if got else None
    if len(got) > 1:
        return False                          # one request served as two
    silent = status is None and closed
    want = case["status"]
    if want == "Exact400":
        return status == 400 or (case["allow_close"] and silent)
    if want == "Range2xx":
        return (status or 0) // 100 == 2 or (case["allow_close"] and silent)
    text = re.sub(r"\d+ \(warn\)|, 2xx \(warn\)", "", case["expect"] or "")
    if "!101" in text or "non-101" in text:
        return not switched
    if "non-1xx" in text:
        return re.search(rb"HTTP/1\.[01] 1\d\d ", raw) is None and status is not None
    if "poisoned" in text:                    # one answer, or none, is all we ask
        return status is not None or closed
    refused = status is not None and 400 <= status < 600
    allowed = (refused and re.search(r"\b(4\d\d|501|505)\b|[Rr]eject", text) is not None)
    allowed |= status is not None and str(status) in text
    allowed |= (status or 0) // 100 == 2 and re.search(r"2xx|\b200\b|pass-through", text) is not None
    allowed |= silent and re.search(r"close|drop", text) is not None
    allowed |= status is None and "timeout" in text
    return bool(allowed)


def run(host, port, cases):
    """How many passed of those that name a status, and of the others."""
    passed = {True: 0, False: 0}
    for case in cases:
        payload = case["payload"].replace("@@HOST@@", f"{host}:{port}").encode("latin-1")
        raw, closed = exchange(host, port, payload)
        ok = judge(case, raw, closed)
        passed[case["status"] is not None] += ok
        if not ok:
            print(f"      {case['id']}: wanted {case['status'] or case['expect']}, got "
                  f"{statuses(raw)[0] or ('close' if closed else 'nothing')}")
    return passed[True], passed[False]


@lib.test
def nine_in_ten_malformed_requests_get_the_status_they_should():
    with open(lib.data("hostile/http/cases.jsonl"), encoding="utf-8") as f:
        cases = [json.loads(line) for line in f]
    named = sum(case["status"] is not None for case in cases)
    given = os.environ.get("CARREL_URL")
    server = None if given else lib.Server()
    try:
        at = urllib.parse.urlsplit(given or server.url)
        ok, other = run(at.hostname, at.port, cases)
        raw, _ = exchange(at.hostname, at.port,
                          f"GET /healthz HTTP/1.1\r\nHost: {at.netloc}\r\n\r\n".encode())
    finally:
        if server:
            server.stop()
    print(f"      named status: {ok} of {named}; described: {other} of {len(cases) - named}")
    lib.check(b" 200 OK" in raw, "the server no longer answers")
    lib.check(ok >= FLOOR * named, f"{ok} of {named} named statuses")
    lib.check(ok + other >= FLOOR * len(cases), f"{ok + other} of {len(cases)} cases")


lib.main()
