"""Measures of the running server: name, input, metric and value, with tabs between.

    CARREL_BIN=build/release/carrel python3 tests/system/bench_server.py [PASSAGES]

start   time until "listening on" and resident memory, with an empty store
search  POST /v1/search over 100,000 passages (or PASSAGES): p50 and p99 of the
        whole round trip over one connection after another, and of the parts
        that the server itself reports
"""
import os
import random
import sys
import time

import lib

PASSAGES = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
PER_FILE = 500
QUERIES = 500
STEMS = ("ba be bi bo bu da de di do du fa fe fi fo fu ga ge gi go gu la le li lo lu ma me mi mo mu "
         "na ne ni no nu pa pe pi po pu ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo vu").split()
ENGLISH = ("contract river engine harvest doctor signal paper market winter report garden password teacher "
           "bridge invoice planet kitchen battery lawyer forest message camera salary island printer village "
           "protein airport railway museum insurance compiler bicycle volcano election hospital library tenant "
           "satellite vaccine orchestra glacier mortgage server passport umbrella warranty festival").split()


def tell(name, given, metric, value):
    print(f"{name}\t{given}\t{metric}\t{value:.6g}", flush=True)


def percentiles(name, given, metric, values):
    values = sorted(values)
    tell(name, given, metric + "_p50", values[len(values) // 2])
    tell(name, given, metric + "_p99", values[len(values) * 99 // 100])


def vocabulary(rng):
    """Words as frequent as words are: English ones often, made-up ones by Zipf's law."""
    made = sorted({"".join(rng.choice(STEMS) for _ in range(rng.choice((2, 3)))) for _ in range(20_000)})
    rng.shuffle(made)
    words = ENGLISH + made
    return words, [1 / (i + 10) for i in range(len(words))]


def write_corpus(folder, rng):
    words, weights = vocabulary(rng)
    os.makedirs(folder)
    for f in range(0, PASSAGES, PER_FILE):
        with open(os.path.join(folder, f"{f:07}.md"), "w", encoding="utf-8") as out:
            for i in range(min(PER_FILE, PASSAGES - f)):
                text = rng.choices(words, weights, k=60)
                out.write(f"# Section {f + i}\n\n{' '.join(text)}.\n\n")
    return words, weights


def measure_start():
    times, memory = [], []
    for _ in range(10):
        with lib.Server() as s:
            times.append(s.ready_s * 1000)
            s.get("/healthz")
            memory.append(s.rss_kib() / 1024)
    percentiles("start", "empty store", "ms", times)
    tell("start", "empty store", "rss_MiB", max(memory))


def measure_search():
    rng = random.Random(3)
    with lib.scratch() as home:
        words, weights = write_corpus(os.path.join(home, "corpus"), rng)
        store = os.path.join(home, "store")
        r = lib.carrel("add", "--json", os.path.join(home, "corpus"), data_dir=store, timeout=7200)
        added = r.last()
        lib.same(added["failed"], 0)
        given = f"{added['chunks']} passages"
        tell("add", given, "seconds", added["seconds"])
        tell("add", given, "passages_per_s", added["chunks"] / added["seconds"])
        with lib.Server(data_dir=store, ready_timeout=600) as s:
            tell("start", given, "ms", s.ready_s * 1000)
            search(s, given, [" ".join(rng.choices(words, weights, k=6)) for _ in range(QUERIES + 20)])
            tell("search", given, "rss_MiB", s.rss_kib() / 1024)


def search(server, given, queries):
    whole, parts = [], {}
    for i, q in enumerate(queries):
        began = time.monotonic()
        reply = server.search(q)
        ms = (time.monotonic() - began) * 1000
        if i < 20:          # the first ones read pages from disk
            continue
        whole.append(ms)
        for part, v in reply["timings_ms"].items():
            parts.setdefault(part, []).append(v)
    percentiles("search", given, "ms", whole)
    for part, values in parts.items():
        percentiles("search", given, part + "_ms", values)


measure_start()
if PASSAGES:
    measure_search()
