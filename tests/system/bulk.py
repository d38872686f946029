"""`carrel add` of 1,384 real files, and 100 citations checked byte for byte.

CI and CARREL_SLOW only. Prints what it measured as name, input, metric and
value with tabs between.
"""
import functools
import json
import os
import random
import re
import subprocess

import lib


def tell(metric, value):
    print(f"bulk\tPEPs and RFCs\t{metric}\t{value:.6g}", flush=True)


class Loaded:
    """The store after the first and the second run; lives until the program ends."""

    def __init__(self, home):
        self.home = home
        self.store = os.path.join(home, "store")
        for archive in ("text-peps", "text-rust-rfcs"):
            into = os.path.join(home, "docs", archive[5:])
            os.makedirs(into)
            subprocess.run(["tar", "-xJf", lib.data(f"bulk/{archive}.tar.xz"), "-C", into], check=True)
        self.first = self.add()
        self.second = self.add()

    def add(self):
        r = lib.carrel("add", "--json", os.path.join(self.home, "docs"), data_dir=self.store,
                       env=lib.clean_env(self.home), timeout=1800)
        out = r.last()
        out["status"] = r.rc
        return out


HOME = lib.scratch()


@functools.lru_cache(1)
def loaded():
    if not lib.SLOW:
        lib.skip("slow")
    lib.data("bulk/text-peps.tar.xz")
    return Loaded(HOME.__enter__())


@lib.test
def every_file_is_read():
    run = loaded().first
    lib.same((run["status"], run["failed"]), (0, 0), lib.short(run["failures"]))
    lib.check(run["files"] >= 1384, f"{run['files']} files")
    lib.same(run["added"], run["files"])
    tell("seconds", run["seconds"])
    tell("documents_per_s", run["files"] / run["seconds"])
    tell("MB_per_s", run["bytes"] / 1e6 / run["seconds"])
    tell("chunks", run["chunks"])
    stages = run["stages_ms"]
    for name, ms in stages.items():
        tell(f"share_{name}", ms / (sum(stages.values()) or 1))


@lib.test
def the_second_run_does_only_what_is_new():
    run = loaded().second
    lib.same((run["status"], run["added"], run["failed"]), (0, 0, 0))
    lib.same(run["unchanged"], loaded().first["files"])
    tell("second_run_seconds", run["seconds"])
    lib.check(run["seconds"] < 2, f"{run['seconds']:.2f} s for a run that finds nothing new")


def questions(server, n):
    """What the documents themselves are about: their titles and headings, as questions."""
    rng, found, cursor = random.Random(11), [], None
    while True:
        page = server.get("/v1/documents?limit=500" + (f"&cursor={cursor}" if cursor else "")).json()
        found += [d.get("title") or "" for d in page["documents"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    titles = sorted({t for t in found if len(re.findall(r"\w+", t)) >= 3})
    rng.shuffle(titles)
    if len(titles) < n:     # titles are optional in the API: take headings of passages instead
        for word in ("module", "syntax", "async", "trait", "import", "typing", "macro", "packaging"):
            for hit in server.search(word, top_k=50)["hits"]:
                titles += [h for h in hit.get("heading") or [] if len(h.split()) >= 3]
    return [f"What does the document say about {t}?" for t in dict.fromkeys(titles)][:n]


@lib.test
def a_hundred_citations_are_verbatim():
    box = loaded()
    with lib.Server(data_dir=box.store) as server:
        asked = questions(server, 300)
        checked = answered = 0
        for question in asked:
            reply = server.ask(question)
            answered += reply["finish_reason"] != "refused"
            for c in reply["citations"]:
                lib.verify_citation(server, c)
                lib.check(f"[{c['n']}]" in reply["answer"], lib.short(reply["answer"]))
                checked += 1
            for n in re.findall(r"\[(\d+)\]", reply["answer"]):
                if int(n) not in [c["n"] for c in reply["citations"]]:
                    # brackets of the source itself are text, not marks
                    lib.check(any(f"[{n}]" in c["quote"] for c in reply["citations"]),
                              f"[{n}] has no citation: {lib.short(reply['answer'])}")
            if checked >= 100 and answered >= 100:
                break
        tell("questions_answered", answered)
        tell("citations_checked", checked)
        lib.check(checked >= 100, f"only {checked} citations for {len(asked)} questions")


@lib.test
def the_store_is_whole_afterwards():
    r = lib.carrel("check", "--json", data_dir=loaded().store, timeout=600)
    lib.same(r.rc, 0, lib.short(r.out))
    lib.same(json.loads(r.out.splitlines()[-1])["findings"], 0)


try:
    lib.main()
finally:
    if loaded.cache_info().currsize:
        HOME.__exit__(None, None, None)
