"""kill -9 at random moments of a mixed load; what was acknowledged must hold.

Each round starts the server on the same store, lets uploads, deletes and
questions run at once, kills it with SIGKILL after a random time, has
`carrel check --deep` look at what lies there, starts again and compares with
what the clients were told. 5 rounds, or 50 with CI or CARREL_SLOW;
CRASH_SEED repeats a run, CRASH_ROUNDS sets the number.
"""
import functools
import http.client
import json
import os
import random
import threading
import time

import lib

ROUNDS = int(os.environ.get("CRASH_ROUNDS", 50 if lib.SLOW else 5))
SEED = int(os.environ.get("CRASH_SEED", random.randrange(1 << 30)))
READY_S = 3.0
BROKEN = (ConnectionError, http.client.HTTPException, OSError, json.JSONDecodeError)


def body_of(number):
    """A text with one word that is nowhere else, long enough for several chunks."""
    rng = random.Random(number)
    words = [rng.choice("harbour lantern copper meadow thunder basket violet marble anchor willow".split())
             for _ in range(rng.choice((20, 200, 1500)))]
    half = len(words) // 2
    lines = [" ".join(words[i:i + 12]) + "." for i in range(0, len(words), 12)]
    return f"{word_of(number)} begins here.\n\n" + "\n".join(lines) + f"\n\nOn page {half} it ends.\n"


def word_of(number):
    return f"token{number:06d}q"


class Ledger:
    """What clients were told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.next = 0
        self.live = {}      # id -> number: acknowledged, no delete sent
        self.unsure = {}    # id -> number: a delete was sent and not answered
        self.gone = {}      # id -> number: delete acknowledged
        self.asked = 0

    def number(self):
        with self.lock:
            self.next += 1
            return self.next


def upload_some(server, ledger, stop):
    while not stop.is_set():
        n = ledger.number()
        try:
            r = server.post(f"/v1/documents?name=doc{n}.txt", body_of(n).encode(), timeout=10)
            if r.status in (200, 202):
                with ledger.lock:
                    ledger.live[r.json()["documents"][0]["id"]] = n
        except BROKEN:
            return


def delete_some(server, ledger, stop, rng):
    while not stop.is_set():
        with ledger.lock:
            ids = sorted(ledger.live)
            if len(ids) > 20:
                doc = rng.choice(ids)
                ledger.unsure[doc] = ledger.live.pop(doc)
            else:
                doc = None
        if not doc:
            time.sleep(0.005)
            continue
        try:
            r = server.delete("/v1/documents/" + doc, timeout=10)
            if r.status == 200:
                with ledger.lock:
                    ledger.gone[doc] = ledger.unsure.pop(doc)
        except BROKEN:
            return


def ask_some(server, ledger, stop, rng):
    while not stop.is_set():
        with ledger.lock:
            n = rng.randrange(ledger.next + 1)
        try:
            server.post("/v1/ask", {"question": f"Where does {word_of(n)} begin?"}, timeout=10)
            ledger.asked += 1
        except BROKEN:
            return


def load_and_kill(server, ledger, rng):
    stop = threading.Event()
    seeds = [random.Random(rng.random()) for _ in range(2)]
    threads = [threading.Thread(target=upload_some, args=(server, ledger, stop)) for _ in range(2)]
    threads.append(threading.Thread(target=delete_some, args=(server, ledger, stop, seeds[0])))
    threads.append(threading.Thread(target=ask_some, args=(server, ledger, stop, seeds[1])))
    for t in threads:
        t.start()
    time.sleep(rng.uniform(0.02, 1.0))
    server.kill()
    stop.set()
    for t in threads:
        t.join()


class Findings:
    def __init__(self):
        self.lost, self.found, self.half, self.check, self.slow = [], [], [], [], []
        self.acknowledged = self.deleted = 0


def all_documents(server):
    docs, cursor = {}, None
    while True:
        r = server.get("/v1/documents?limit=500" + (f"&cursor={cursor}" if cursor else "")).json()
        docs.update((d["id"], d) for d in r["documents"])
        cursor = r["next_cursor"]
        if not cursor:
            return docs


def hits_of(server, number):
    r = server.search(word_of(number), mode="words", top_k=5)
    return {h["document_id"] for h in r["hits"] if word_of(number) in h["text"]}


def look_whole(server, doc, number, findings):
    """A ready document has its text, its chunks and is found; else it is half there."""
    text = server.get(f"/v1/documents/{doc['id']}/text").text
    chunks = server.get(f"/v1/documents/{doc['id']}/chunks").json()["chunks"]
    if text.split() != body_of(number).split():
        findings.half.append(f"{doc['name']}: its text is not what was uploaded")
    elif len(chunks) != doc["chunks"] or not chunks:
        findings.half.append(f"{doc['name']}: {len(chunks)} chunks, its row says {doc['chunks']}")
    elif doc["id"] not in hits_of(server, number):
        findings.half.append(f"{doc['name']}: ready and not found")


def compare(server, ledger, findings, rng, everything):
    end = time.monotonic() + 120
    docs = all_documents(server)
    for doc in ledger.live:
        if doc not in docs:
            findings.lost.append(f"doc{ledger.live[doc]}")
    while any(d["state"] in ("queued", "running") for d in docs.values()):
        lib.check(time.monotonic() < end, "documents are still queued two minutes after the restart")
        time.sleep(0.05)
        docs = all_documents(server)
    for doc in docs.values():
        if doc["state"] == "failed":
            findings.lost.append(f"{doc['name']}: failed: {doc['error']}")
    gone = sorted(ledger.gone)
    for doc in gone if everything else rng.sample(gone, min(len(gone), 20)):
        if doc in docs or hits_of(server, ledger.gone[doc]):
            findings.found.append(f"doc{ledger.gone[doc]}")
    ready = [d for d in docs.values() if d["state"] == "ready"]
    for doc in ready if everything else rng.sample(ready, min(len(ready), 20)):
        look_whole(server, doc, int(doc["name"][3:-4]), findings)
    for doc in list(ledger.unsure):     # either way is right, but only one of them
        n = ledger.unsure.pop(doc)
        (ledger.live if doc in docs else ledger.gone)[doc] = n
    known = set(ledger.live) | set(ledger.gone)
    for doc in docs.values():           # stored, and the answer was lost with the connection
        if doc["id"] not in known:
            ledger.live[doc["id"]] = int(doc["name"][3:-4])


@functools.lru_cache(1)
def rounds():
    rng, ledger, findings = random.Random(SEED), Ledger(), Findings()
    print(f"      {ROUNDS} rounds, CRASH_SEED={SEED}", flush=True)
    slowest = 0
    with lib.scratch() as home:
        server = lib.Server(data_dir=os.path.join(home, "store"))
        for i in range(ROUNDS):
            load_and_kill(server, ledger, rng)
            r = lib.carrel("check", "--deep", data_dir=server.data_dir)
            if r.rc != 0:
                findings.check.append(f"round {i}: {lib.short(r.out + r.err)}")
            server.start()
            slowest = max(slowest, server.ready_s)
            if server.ready_s > READY_S:
                findings.slow.append(f"round {i}: {server.ready_s:.1f} s")
            compare(server, ledger, findings, rng, everything=i == ROUNDS - 1)
        server.__exit__(None)
    findings.acknowledged, findings.deleted = len(ledger.live) + len(ledger.gone), len(ledger.gone)
    print(f"      {findings.acknowledged} documents acknowledged, {findings.deleted} deleted, "
          f"{ledger.asked} questions, slowest start {slowest:.2f} s", flush=True)
    return findings


def none(found, what):
    lib.check(not found, f"{len(found)} {what}, e.g. {'; '.join(found[:3])} (CRASH_SEED={SEED})")


@lib.test
def there_was_something_to_lose():
    lib.check(rounds().acknowledged >= ROUNDS * 5, f"{rounds().acknowledged} documents")
    lib.check(rounds().deleted >= ROUNDS, f"{rounds().deleted} deletes")


@lib.test
def no_acknowledged_document_is_lost():
    none(rounds().lost, "acknowledged documents lost")


@lib.test
def no_deleted_document_is_found():
    none(rounds().found, "deleted documents found")


@lib.test
def no_document_is_half_there():
    none(rounds().half, "documents half there")


@lib.test
def the_store_is_whole_after_every_kill():
    none(rounds().check, "stores with findings")


@lib.test
def it_is_ready_again_within_three_seconds():
    none(rounds().slow, "slow starts")


lib.main()
