"""Every verb of the command line, with and without a running server."""
import json
import os
import pty
import re
import signal
import socket
import subprocess
import termios
import time

import lib

NOTE = ("# House rules\n\nRent is due on the third day of each month. "
        "The deposit is two months of rent.\n\n## Pets\n\nCats are welcome; snakes need a written permit.\n")
MEMO = ("The annual meeting takes place in Lisbon in September. "
        "Travel costs are paid back within thirty days.\n")


def folder(home):
    """notes/ with two readable files, a hidden one and an ignored one."""
    root = os.path.join(home, "notes")
    os.makedirs(os.path.join(root, "old"))
    os.makedirs(os.path.join(root, ".git"))
    files = {"house.md": NOTE, "memo.txt": MEMO, ".secret": "hidden words", ".git/config": "x",
             "old/draft.txt": "an abandoned draft", ".carrelignore": "# drafts\nold/\n*.bak\n",
             "memo.bak": "a copy"}
    for name, text in files.items():
        with open(os.path.join(root, name), "w", encoding="utf-8") as f:
            f.write(text)
    return root


class Box:
    """A home with a store in it; verbs run with its folder as HOME."""

    def __init__(self, home):
        self.home = home
        self.notes = folder(home)
        self.store = os.path.join(home, "store")

    def run(self, *args, **kw):
        return lib.carrel(*args, data_dir=self.store, env=lib.clean_env(self.home), cwd=self.home, **kw)

    def result(self, *args, rc=0, **kw):
        r = self.run(*args, "--json", **kw)
        lib.same(r.rc, rc, f"exit status of {' '.join(map(str, args))} ({lib.short(r.err + r.out)})")
        return r.last()


def filled(home):
    box = Box(home)
    box.result("add", box.notes)
    return box


# ---- without a server ----

@lib.test
def help_names_every_verb_and_each_explains_itself():
    r = lib.carrel("help")
    lib.same(r.rc, 0)
    verbs = "serve add ask search ls show rm status collection job key check reindex config " \
            "embed model train eval bench version".split()
    for v in verbs:
        lib.check(f"  {v} " in r.out, f"help does not name {v}")
        one, two = lib.carrel("help", v), lib.carrel(v, "--help")
        lib.same((one.rc, two.rc), (0, 0), f"exit status of help {v}")
        lib.same(one.out, two.out, f"help {v} against {v} --help")
        lib.check(one.out.startswith(f"carrel {v} "), one.out[:80])
        lib.check(max(map(len, one.out.splitlines())) <= 100, f"help {v} has a long line")


@lib.test
def an_unknown_verb_or_option_names_the_nearest():
    r = lib.carrel("serach", "x")
    lib.same(r.rc, 2)
    lib.check("did you mean search?" in r.err, r.err)
    r = lib.carrel("search", "--tpo", "3", "x")
    lib.same(r.rc, 2)
    lib.check("did you mean --top?" in r.err, r.err)
    r = lib.carrel("--top", "3", "search", "x")
    lib.same(r.rc, 2)
    lib.check("`carrel VERB --top" in r.err, r.err)
    lib.same(lib.carrel().rc, 2)
    lib.same(lib.carrel("search", "--top", "many", "x").rc, 2)
    lib.same(lib.carrel("search", "--top").rc, 2)


@lib.test
def errors_are_values_with_json():
    r = lib.carrel("search", "--json", "--tpo", "3", "x")
    lib.same(r.rc, 2)
    lib.same(r.last()["error"]["code"], "invalid_argument")
    with lib.scratch() as home:
        r = lib.carrel("search", "x", "--json", data_dir=os.path.join(home, "none"))
        lib.same((r.rc, r.last()["error"]["code"]), (10, "no_store"))


@lib.test
def without_a_store_every_verb_that_needs_one_says_what_makes_one():
    with lib.scratch() as home:
        for args in (["ls"], ["search", "x"], ["ask", "x"], ["show", "abcd"], ["rm", "abcd"],
                     ["job", "ls"], ["collection", "ls"], ["key", "ls"], ["check"], ["reindex"], ["status"]):
            r = lib.carrel(*args, data_dir=os.path.join(home, "none"))
            lib.same(r.rc, 10, f"exit status of {args[0]}")
            lib.check("carrel add" in r.err, r.err)
            lib.check(not os.path.exists(os.path.join(home, "none")), f"{args[0]} made a store")


@lib.test
def version_is_printed():
    r = lib.carrel("version")
    lib.check(r.out.startswith("carrel 0."), r.out)
    lib.same(lib.carrel("--version").out, r.out)
    lib.check("version" in lib.carrel("version", "--json").last())


@lib.test
def adding_a_folder_takes_what_is_new_and_leaves_out_what_is_hidden_or_ignored():
    with lib.scratch() as home:
        box = Box(home)
        first = box.result("add", box.notes)
        lib.same((first["files"], first["added"], first["unchanged"], first["failed"]), (2, 2, 0, 0))
        names = sorted(d["name"] for d in box.result("ls")["documents"])
        lib.same(names, ["notes/house.md", "notes/memo.txt"])
        again = box.result("add", "notes")
        lib.same((again["added"], again["unchanged"]), (0, 2))
        with open(os.path.join(box.notes, "memo.txt"), "a", encoding="utf-8") as f:
            f.write("The hotel is booked.\n")
        third = box.result("add", "./notes/")
        lib.same((third["added"], third["unchanged"]), (1, 1))
        lib.same(len(box.result("ls")["documents"]), 2, "documents after one was replaced")


@lib.test
def adding_standard_input_needs_a_name():
    with lib.scratch() as home:
        box = Box(home)
        lib.same(box.run("add", "-", stdin="words").rc, 2)
        box.result("add", "-", "--name", "talk.txt", stdin="A talk about lighthouses.")
        lib.same(box.result("ls")["documents"][0]["name"], "talk.txt")
        lib.same(box.result("search", "lighthouses")["hits"][0]["document_name"], "talk.txt")


@lib.test
def adding_what_is_not_there_or_not_readable_tells():
    with lib.scratch() as home:
        box = Box(home)
        lib.same(box.run("add", "nowhere").rc, 4)
        with open(os.path.join(home, "bad.pdf"), "wb") as f:
            f.write(b"%PDF-1.4\nnothing of the kind")
        out = box.result("add", "bad.pdf", box.notes, rc=3)
        lib.same((out["added"], out["failed"]), (2, 1))
        lib.same(out["failures"][0]["name"], "bad.pdf")
        lib.check(out["failures"][0]["error"], "no reason")
        again = box.result("add", "bad.pdf", box.notes, rc=3)
        lib.same((again["unchanged"], again["failed"]), (2, 1))
        lib.same(len(box.result("ls")["documents"]), 3, "documents after failing twice")
        lib.same([d["name"] for d in box.result("ls", "--state", "failed")["documents"]], ["bad.pdf"])


@lib.test
def two_files_of_one_name_are_refused_before_anything_is_read():
    with lib.scratch() as home:
        box = Box(home)
        os.makedirs(os.path.join(home, "other"))
        with open(os.path.join(home, "other", "memo.txt"), "w", encoding="utf-8") as f:
            f.write("another memo")
        r = box.run("add", "notes/memo.txt", "other/memo.txt")
        lib.same(r.rc, 2)
        lib.check("both be named" in r.err, r.err)


@lib.test
def search_finds_by_words_by_meaning_and_by_both():
    with lib.scratch() as home:
        box = filled(home)
        for mode in ("hybrid", "dense", "words"):
            out = box.result("search", "--mode", mode, "snakes", "permit")
            lib.same(out["mode"], mode)
            lib.same(out["hits"][0]["document_name"], "notes/house.md")
            hit = out["hits"][0]
            text = box.run("show", f"{hit['document_id']}:{hit['span']['start']}-{hit['span']['end']}").out
            lib.same(text.rstrip("\n"), hit["text"].rstrip("\n"))
        lib.check("explain" in box.result("search", "--explain", "rent")["hits"][0])
        lib.same(len(box.result("search", "--top", "1", "the")["hits"]), 1)
        lib.same(box.run("search", "--mode", "psychic", "rent").rc, 2)
        lib.same(box.run("search", "--mode", "words", "zyzzyva").rc, 4)
        only = box.result("search", "--filter", '{"name": "notes/memo.txt"}', "rent")
        lib.check(all(h["document_name"] == "notes/memo.txt" for h in only["hits"]))


@lib.test
def ask_answers_with_citations_that_hold_and_refuses_what_is_not_there():
    with lib.scratch() as home:
        box = filled(home)
        out = box.result("ask", "When is rent due?")
        lib.check("third day" in out["answer"], out["answer"])
        lib.check(out["citations"], "no citation")
        for c in out["citations"]:
            span = c["span"]
            text = box.run("show", f"{c['document_id']}:{span['start']}-{span['end']}").out
            lib.same(text.rstrip("\n"), c["quote"].rstrip("\n"), "the quote")
            lib.check(f"[{c['n']}]" in out["answer"], out["answer"])
        people = box.run("ask", "When is rent due?")
        lib.same(people.rc, 0)
        lib.check("third day" in people.out and "[1] notes/house.md" in people.out, people.out)
        lib.check(f"carrel show {out['citations'][0]['document_id'][:12]}:" in people.out, people.out)
        refusal = box.run("ask", "Who won the chess tournament of 1972 in Reykjavik?").out
        lib.same(refusal.count(refusal.splitlines()[0]), 1, "times that a refusal is printed")
        lib.check("The nearest passages:" in refusal and "carrel show" in refusal, refusal)
        none = box.result("ask", "Who won the chess tournament of 1972 in Reykjavik?", rc=4)
        lib.same((none["grounded"], none["finish_reason"], none["citations"]), ("none", "refused", []))


@lib.test
def an_empty_store_is_not_blamed_for_the_answer_it_cannot_give():
    with lib.scratch() as home:
        box = Box(home)
        box.result("add", "--name", "gone.txt", "-", stdin="Rent is due on the third.")
        box.result("rm", "gone.txt")
        box.result("collection", "add", "later")
        for where in ([], ["--collection", "later"]):
            r = box.run("ask", "When is rent due?", *where)
            lib.same(r.rc, 4)
            lib.same(r.out.strip(), "There are no documents here yet.")


@lib.test
def ask_names_a_source_once_and_its_quotes_beneath():
    with lib.scratch() as home:
        box = Box(home)
        text = "The ferry leaves Oban at nine. The ferry leaves Mull at ten. " \
               "The ferry leaves Iona at eleven. The harbour kiosk sells soup."
        box.result("add", "--name", "ferry.txt", "-", stdin=text)
        asked = "When does the ferry leave Oban, Mull and Iona?"
        quotes = box.result("ask", asked)["citations"]
        out = box.run("ask", asked).out
        heads = [n for n in out.splitlines() if n.startswith("[")]
        lib.check(len(quotes) > 1, f"{len(quotes)} citations: the question tries nothing")
        lib.same(heads, ["[1] ferry.txt"])
        lib.same(out.count("carrel show"), len(quotes))
        for q in quotes:
            lib.check(f'"{q["quote"]}"' in out, out)


@lib.test
def answers_break_between_words_on_a_terminal():
    with lib.scratch() as home:
        box = filled(home)
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 40))
        done = subprocess.run([lib.BIN, "ask", "When is rent due?", "--data", box.store], stdout=theirs,
                              stdin=subprocess.DEVNULL, env=lib.clean_env(home), timeout=60, check=False)
        os.close(theirs)
        seen = os.read(ours, 1 << 16).decode()
        os.close(ours)
        lib.same(done.returncode, 0)
        for line in seen.splitlines():
            lib.check(len(line) <= 40 or "carrel show" in line, f"{len(line)} columns: {line}")
        plain = box.run("ask", "When is rent due?").out
        lib.same(seen.split(), plain.split(), "the words, broken or not")


@lib.test
def a_pipe_that_is_closed_early_is_no_error_and_a_full_disk_is():
    with lib.scratch() as home:
        box = filled(home)
        ls = [lib.BIN, "ls", "--data", box.store]
        ours, theirs = os.pipe()
        os.close(ours)
        r = subprocess.run(ls, stdout=theirs, stderr=subprocess.PIPE, env=lib.clean_env(home), check=False)
        os.close(theirs)
        lib.same((r.returncode, r.stderr), (0, b""))
        with open("/dev/full", "wb") as full:
            r = subprocess.run(ls, stdout=full, stderr=subprocess.PIPE, env=lib.clean_env(home), check=False)
        lib.same(r.returncode, 1)
        lib.check(b"could not be written" in r.stderr, r.stderr)


@lib.test
def show_takes_ids_beginnings_names_and_ranges():
    with lib.scratch() as home:
        box = filled(home)
        doc = next(d for d in box.result("ls")["documents"] if d["name"] == "notes/memo.txt")
        for word in (doc["id"], doc["id"][:8], "notes/memo.txt"):
            lib.same(box.result("show", word)["id"], doc["id"])
        lib.same(box.run("show", doc["id"] + ":4-10").out, "annual\n")
        part = box.result("show", doc["id"] + ":4-10")
        lib.same((part["text"], part["span"]), ("annual", {"start": 4, "end": 10}))
        lib.check(box.run("show", "--text", doc["id"]).out.startswith("The annual meeting"))
        lib.check(box.result("show", "--chunks", doc["id"])["chunks"])
        lib.same(box.run("show", doc["id"] + ":0-999999").rc, 2)
        lib.same(box.run("show", doc["id"] + ":9-4").rc, 2, "a range that runs backwards")
        lib.same(box.run("show", "f" * 32).rc, 4)
        lib.same(box.run("show", "no such name").rc, 4)


@lib.test
def rm_deletes_and_says_how_much_of_it():
    with lib.scratch() as home:
        box = filled(home)
        docs = box.result("ls")["documents"]
        out = box.result("rm", docs[0]["id"], "f" * 32, rc=3)
        lib.same((out["deleted"]["documents"], out["failed"]), (1, 1))
        box.result("rm", docs[1]["name"])
        lib.same(box.result("ls")["documents"], [])
        lib.same(box.run("rm", docs[1]["id"]).rc, 4)
        lib.same(box.run("search", "rent").rc, 4)


@lib.test
def jobs_are_listed_and_shown():
    with lib.scratch() as home:
        box = filled(home)
        jobs = box.result("job", "ls")["jobs"]
        lib.same({j["state"] for j in jobs}, {"done"})
        lib.same(box.result("job", "show", str(jobs[0]["id"]))["id"], jobs[0]["id"])
        lib.same(box.run("job", "cancel", str(jobs[0]["id"])).rc, 2)
        lib.same(box.run("job", "show", "999999").rc, 4)
        lib.same(box.run("job", "sing").rc, 2)


@lib.test
def collections_are_searched_apart():
    with lib.scratch() as home:
        box = filled(home)
        box.result("collection", "add", "legal")
        box.result("add", "--collection", "legal", "-", "--name", "law.txt", stdin="The tenant pays the rent.")
        names = {c["name"]: c["documents"] for c in box.result("collection", "ls")["collections"]}
        lib.same(names, {"default": 2, "legal": 1})
        hits = box.result("search", "--collection", "legal", "rent")["hits"]
        lib.same([h["document_name"] for h in hits], ["law.txt"])
        lib.same(box.result("collection", "rm", "legal")["deleted"]["documents"], 1)
        lib.same(box.run("collection", "rm", "legal").rc, 4)
        lib.same(box.run("collection", "add", "a b/c").rc, 2)


@lib.test
def a_collection_of_another_encoder_is_refused_with_the_commands_that_help():
    other = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "bert_tiny.gguf")
    with lib.scratch() as home:
        box = filled(home)
        box.run = lambda *args, **kw: lib.carrel(*args, data_dir=box.store, cwd=home, env={
            **lib.clean_env(home), "CARREL_EMBED_MODEL": other}, **kw)
        r = box.run("add", box.notes)
        lib.same(r.rc, 13, r.err)
        lib.check("carrel reindex --embed --collection default" in r.err and "carrel add --collection" in r.err, r.err)
        lib.check("another encoder" in str(box.result("search", "rent")["degraded"]), "searched by meaning, unsaid")
        box.result("add", box.notes, "--collection", "fresh")
        before = box.result("ls")["documents"]
        lib.check(box.result("reindex", "--embed")["vectors"] > 0, "no vectors")
        lib.same(box.result("ls")["documents"], before)
        lib.same(box.result("check", "--deep")["findings"], 0)
        lib.same(box.result("add", box.notes)["added"], 0)
        lib.same(box.result("search", "rent")["degraded"], [])


@lib.test
def keys_are_made_listed_and_revoked():
    with lib.scratch() as home:
        box = filled(home)
        made = box.result("key", "add", "laptop", "--scope", "query,admin")
        lib.check(made["key"].startswith("carrel_"), made["key"])
        keys = box.result("key", "ls")["keys"]
        lib.same((keys[0]["name"], keys[0]["scopes"]), ("laptop", ["query", "admin"]))
        lib.check(made["key"] not in json.dumps(keys), "the key is listed")
        box.result("key", "rm", str(keys[0]["id"]))
        lib.same(box.result("key", "ls")["keys"], [])
        lib.same(box.run("key", "add", "x", "--scope", "fly").rc, 2)


@lib.test
def check_and_reindex_leave_a_whole_store():
    with lib.scratch() as home:
        box = filled(home)
        lib.same(box.result("check")["findings"], 0)
        lib.same(box.result("check", "--deep")["findings"], 0)
        lib.check(box.result("reindex")["vectors"] >= 2)
        lib.same(box.result("check", "--deep")["findings"], 0)


@lib.test
def status_counts_what_is_there():
    with lib.scratch() as home:
        box = filled(home)
        lib.same(box.result("status")["store"]["documents"]["ready"], 2)
        lib.check("(not served)" in box.run("status").out)


@lib.test
def config_is_shown_with_origins_and_checked():
    with lib.scratch() as home:
        path = os.path.join(home, "c.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write("search:\n  top_k: 3\n")
        env = lib.clean_env(home, CARREL_ASK_TOP_K="4")
        r = lib.carrel("config", "show", "--origin", "--config", path, env=env)
        lib.same(r.rc, 0, r.err)
        lib.check("c.yaml" in r.out and "CARREL_ASK_TOP_K" in r.out, r.out)
        lib.same(lib.carrel("config", "check", path, env=env).rc, 0)
        with open(path, "w", encoding="utf-8") as f:
            f.write("search:\n  topk: 3\n")
        bad = lib.carrel("config", "check", path, env=env)
        lib.same(bad.rc, 5)
        lib.check("line 2, column 3" in bad.err and "top_k" in bad.err, bad.err)
        lib.same(lib.carrel("ls", "--config", path, env=env).rc, 2)
        with open(path, "w", encoding="utf-8") as f:
            f.write("llm:\n  template: nonsense\n")
        bad = lib.carrel("config", "check", path, env=env)
        lib.check(bad.rc == 5 and "llm.template is `nonsense`" in bad.err, bad.err)


@lib.test
def embed_gives_unit_vectors():
    with lib.scratch() as home:
        env = lib.clean_env(home)
        two = lib.carrel("embed", "the cat sat", "rent is due", env=env).values()
        lib.same(len(two), 2)
        for v in two:
            length = sum(x * x for x in v["embedding"])
            lib.check(abs(length - 1) < 1e-3, f"length {length}")
            lib.same((v["tokens"], v["truncated"]), (3, False))
        lines = lib.carrel("embed", stdin="the cat sat\nrent is due\n", env=env).values()
        lib.same(lines, two)


@lib.test
def models_are_listed_described_and_checked():
    with lib.scratch() as home:
        env = lib.clean_env(home)
        gguf = os.path.join(lib.ROOT, "embed/encoder.gguf")
        lib.check(lib.carrel("model", "ls", "--json", env=env).last()["models"][0]["dimensions"] > 0)
        info = lib.carrel("model", "info", gguf, "--json", env=env).last()
        lib.same(info["architecture"], "static")
        lib.same(lib.carrel("model", "check", gguf, env=env).rc, 0)
        size = os.path.getsize(gguf)
        lib.same(info["size_bytes"], size)
        people = lib.carrel("model", "info", gguf, env=env).out
        lib.check(re.search(rf"^size of the file +{size / 1e6:.1f} MB$", people, re.M), people)
        lib.check(re.search(r"^parameters +[0-9.]+ million$", people, re.M), people)
        lib.check(str(size) not in people, "raw bytes")
        lib.check(lib.carrel("model", "info", "/dev/null", env=env).rc == 1)
        ids = lib.carrel("model", "tokenize", gguf, stdin="The cat, the cat", env=env).last()
        lib.same(ids["pieces"], ["the", "cat", ",", "the", "cat"])


@lib.test
def wordpiece_ids_are_the_published_ones():
    vocab = lib.data("models/vocab/ggml-vocab-bert-bge.gguf")
    with open(vocab + ".inp", encoding="utf-8", newline="") as f:
        texts = f.read().split("\n__ggml_vocab_test__\n")
    with open(vocab + ".out", encoding="utf-8") as f:
        want = [[int(n) for n in line.split()] for line in f.read().split("\n")]
    for text, ids in list(zip(texts, want))[:12]:
        got = lib.carrel("model", "tokenize", vocab, "--special", stdin=text).last()["ids"]
        if ids[:1] != [101]:
            got = got[1:-1]
        lib.same(got, ids, f"ids of {lib.short(text)}")


@lib.test
def eval_measures_a_set():
    with lib.scratch() as home:
        words = ["rent", "snake", "lighthouse", "violin", "glacier", "passport"]
        with open(os.path.join(home, "corpus.jsonl"), "w", encoding="utf-8") as f:
            for i, w in enumerate(words):
                f.write(json.dumps({"_id": f"d{i}", "title": w, "text": f"A page about the {w} and more."}) + "\n")
        with open(os.path.join(home, "queries.jsonl"), "w", encoding="utf-8") as f:
            for i, w in enumerate(words):
                f.write(json.dumps({"_id": f"q{i}", "text": f"what of the {w}"}) + "\n")
        with open(os.path.join(home, "qrels.tsv"), "w", encoding="utf-8") as f:
            f.write("query-id\tcorpus-id\tscore\n")
            for i in range(len(words)):
                f.write(f"q{i}\td{i}\t1\n")
        env = lib.clean_env(home)
        out = lib.carrel("eval", home, "--json", env=env).last()
        lib.same((out["documents"], out["queries"]), (6, 6))
        for mode in ("words", "dense", "hybrid"):
            lib.same(round(out[mode]["ndcg_at_10"], 6), 1.0, f"nDCG@10 of {mode}")
            lib.check("ms_per_query" in out[mode])
        people = lib.carrel("eval", home, env=env)
        lib.check("nDCG@10" in people.out and "hybrid" in people.out, people.out)
        lib.check(lib.carrel("eval", os.path.join(home, "no"), env=env).rc != 0)


@lib.test
def bench_prints_lines_of_four():
    r = lib.carrel("bench", "dot")
    lib.same(r.rc, 0, r.err)
    lib.same([len(line.split("\t")) for line in r.out.splitlines()], [4])


# ---- with a server ----

@lib.test
def every_verb_works_through_the_server_that_holds_the_store():
    with lib.scratch() as home:
        box = Box(home)
        with lib.Server(data_dir=box.store):
            lib.same(box.result("add", box.notes)["added"], 2)
            lib.same(box.result("add", box.notes)["unchanged"], 2)
            box.result("add", "-", "--name", "talk.txt", stdin="A talk about lighthouses.")
            docs = box.result("ls")["documents"]
            lib.same(len(docs), 3)
            lib.same(box.result("search", "lighthouses")["hits"][0]["document_name"], "talk.txt")
            answer = box.result("ask", "When is rent due?")
            lib.check("third day" in answer["answer"], answer["answer"])
            people = box.run("ask", "When is rent due?")
            lib.check("third day" in people.out and "[1] notes/house.md" in people.out, people.out)
            c = answer["citations"][0]
            text = box.run("show", f"{c['document_id'][:12]}:{c['span']['start']}-{c['span']['end']}").out
            lib.same(text.rstrip("\n"), c["quote"].rstrip("\n"))
            lib.same(box.run("ask", "Who won the chess tournament of 1972 in Reykjavik?").rc, 4)
            lib.same(box.result("show", "talk.txt")["name"], "talk.txt")
            lib.same({j["state"] for j in box.result("job", "ls")["jobs"]}, {"done"})
            box.result("collection", "add", "legal")
            lib.same(box.result("collection", "rm", "legal")["deleted"]["documents"], 0)
            lib.same(box.result("status")["store"]["documents"]["ready"], 3)
            lib.same(box.result("rm", "talk.txt")["deleted"]["documents"], 1)
            lib.same(box.run("rm", docs[0]["id"][:-1] + "!").rc, 4)
            lib.same(box.run("check").rc, 11)
            lib.same(box.run("serve", "--listen", "127.0.0.1:0").rc, 11)
        lib.same(box.result("check", "--deep")["findings"], 0)


@lib.test
def a_key_is_taken_from_a_file():
    with lib.scratch() as home:
        box = filled(home)
        key = box.result("key", "add", "me")["key"]
        path = os.path.join(home, "key")
        with open(path, "w", encoding="utf-8") as f:
            f.write(key + "\n")
        with lib.Server(data_dir=box.store) as s:
            lib.same(box.run("ls").rc, 12)
            lib.same(len(box.result("ls", "--key-file", path)["documents"]), 2)
            env = lib.clean_env(home, CARREL_KEY_FILE=path)
            r = lib.carrel("ls", "--json", "--server", s.url, env=env)
            lib.same(len(r.last()["documents"]), 2)
            lib.same(box.run("ask", "When is rent due?", "--key-file", path).rc, 0)
            more = box.result("key", "add", "guest", "--scope", "query", "--key-file", path)
            lib.check(more["key"] != key)
            lib.same(len(box.result("key", "ls", "--key-file", path)["keys"]), 2)
            box.result("key", "rm", str(more["id"]), "--key-file", path)


@lib.test
def a_server_that_is_not_there_is_named():
    r = lib.carrel("ls", "--server", "http://127.0.0.1:9")
    lib.same(r.rc, 1)
    lib.check("127.0.0.1:9" in r.err and "carrel serve" in r.err, r.err)
    lib.same(lib.carrel("ls", "--server", "gopher://x").rc, 2)


@lib.test
def serve_refuses_other_machines_without_a_key():
    with lib.scratch() as home:
        r = lib.carrel("serve", "--listen", "0.0.0.0:0", data_dir=os.path.join(home, "s"))
        lib.same(r.rc, 2)
        lib.check("key" in r.err, r.err)


@lib.test
def the_service_manager_is_told_when_it_is_ready_and_when_it_stops():
    with lib.scratch() as home, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = os.path.join(home, "notify")
        manager.bind(path)
        manager.settimeout(10)
        server = lib.Server(env={"NOTIFY_SOCKET": path})
        lib.same(manager.recv(100), b"READY=1")
        server.__exit__(None)
        lib.same(manager.recv(100), b"STOPPING=1")


@lib.test
def a_request_in_flight_is_answered_before_the_server_ends():
    with lib.Server() as s:
        with socket.create_connection((s.host, s.port), timeout=20) as c:
            body = NOTE.encode()
            head = f"POST /v1/documents?name=a.md&wait=true HTTP/1.1\r\nHost: {s.host}:{s.port}\r\n" \
                   f"Content-Length: {len(body)}\r\n\r\n"
            c.sendall(head.encode() + body[:20])
            time.sleep(0.2)
            c.sendall(body[20:])
            s.proc.send_signal(signal.SIGTERM)
            got = b""
            while part := c.recv(65536):
                got += part
            lib.check(got.startswith(b"HTTP/1.1 20"), lib.short(got))
        lib.same(s.stop(), 0)


@lib.test
def a_stopped_add_goes_on_where_it_stopped():
    with lib.scratch() as home:
        box = Box(home)
        many = os.path.join(home, "many")
        os.makedirs(many)
        for i in range(400):
            with open(os.path.join(many, f"{i:03}.txt"), "w", encoding="utf-8") as f:
                f.write(f"Paper number {i}. " + " ".join(f"word{i * j}" for j in range(400)))
        p = subprocess.Popen([lib.BIN, "add", "--data", box.store, "--json", many], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, env=lib.clean_env(home))
        end = time.monotonic() + 30
        while not os.path.exists(os.path.join(box.store, "carrel.db")) and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.3)
        p.send_signal(signal.SIGINT)
        out = json.loads(p.communicate(timeout=30)[0].splitlines()[-1])
        lib.same(out["added"] + out["unchanged"] + out["unfinished"], 400)
        lib.same(p.returncode, -signal.SIGINT if out["unfinished"] else 0)
        lib.same(box.result("check", "--deep")["findings"], 0)
        again = box.result("add", many)
        lib.same(again["added"] + again["unchanged"], 400)
        lib.same(len(box.result("ls")["documents"]), 400)


lib.main()
