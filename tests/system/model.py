"""Model files through the program: `carrel model` against golden and oracle numbers, hostile files,
memory that does not suffice, and which file of the models folder answers."""
import json
import os
import resource
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import (BIN, SLOW, Failure, Server, carrel, check, clean_env, data, main, same, scratch, short,
                 skip, test)

STORIES = "models/stories260K/stories260K-%s.gguf"
TINY = "models/TinyStories-656K/TinyStories-656K-%s.gguf"


def run(path, ids, greedy=0, logits=(), *more):
    """`carrel model run` of ids -> its JSON."""
    args = ["model", "run", path, "--ids", ",".join(map(str, ids)), "--greedy", greedy, "--json"]
    if logits:
        args += ["--logits", ",".join(map(str, logits))]
    r = carrel(*args, *more)
    same(r.rc, 0, f"exit status of run {os.path.basename(path)} ({short(r.out + r.err, 200)})")
    return r.last()


# ---- numbers ----

def near_tie(row, a, b):
    """Either of two tokens is right when their logits lie closer than 1e-3."""
    return abs(row[a] - row[b]) < 1e-3


def check_greedy(path, ids, got, want):
    """Equal; where they part, the two best logits lie together."""
    for i, (a, b) in enumerate(zip(got, want)):
        if a == b:
            continue
        row = run(path, ids + want[:i], 0, [len(ids) + i - 1])["logits"][str(len(ids) + i - 1)]
        check(near_tie(row, a, b), f"{os.path.basename(path)}: greedy token {i} is {a}, want {b}")
        return
    same(len(got), len(want), "count of greedy tokens")


@test
def run_computes_the_oracle_s_numbers_for_every_architecture_and_type():
    oracle = json.load(open(data("oracle/decoder.json")))
    ids, seen = oracle["prompt_ids"], 0
    for name, want in oracle["models"].items():
        path = data(f"oracle/{name}.gguf")
        positions = sorted(map(int, want["rows"]))
        got = run(path, ids, 32, positions)
        worst = max(abs(a - b) for p in positions
                    for a, b in zip(got["logits"][str(p)], want["rows"][str(p)]))
        peer = want["peer_abs_dev_on_quantized"]
        limit = 2e-3 if peer is None else max(2e-3, 1.5 * peer)
        check(worst <= limit, f"{name}: a logit is off by {worst:.5f}, at most {limit:.5f}")
        check(abs(got["nll"] - want["nll"]) <= 0.02, f"{name}: nll {got['nll']}, want {want['nll']}")
        if peer is None:
            check(abs(got["nll"] - want["nll"]) <= 2e-3, f"{name}: nll {got['nll']}")
            check_greedy(path, ids, got["greedy_ids"], want["greedy_ids"])
        seen += 1
    check(seen >= 20, f"only {seen} models")


@test
def run_writes_the_golden_texts_of_real_weights():
    for family in ("stories260K", "TinyStories-656K"):
        golden = json.load(open(data(f"models/{family}/golden.json")))
        for name, want in golden.items():
            path, ids, greedy = data(f"models/{family}/{name}"), want["prompt_ids"], want["greedy_ids"]
            if len(greedy) <= len(ids):    # the story that begins at BOS
                ids = ids[:1]
            got = run(path, ids, len(greedy) - len(ids), [len(ids) - 1])
            exact = "q8_0" not in name
            for token, logit in want["top8_after_prompt"] if len(ids) == len(want["prompt_ids"]) else []:
                off = abs(got["logits"][str(len(ids) - 1)][token] - logit)
                check(off <= (2e-3 if exact else 0.2), f"{name}: logit of {token} is off by {off}")
            if exact:
                check_greedy(path, ids, got["greedy_ids"], greedy[len(ids):])
                check(want["greedy_text"].endswith(got["text"]), f"{name}: {short(got['text'])}")
            for key, value in want.items():
                if key.startswith("nll_"):
                    nll = run(path, want["ids_" + key[4:]])["nll"]
                    check(abs(nll - value) <= (1e-3 if exact else 0.02), f"{name}: {key} is {nll}")


@test
def run_gives_the_same_bits_at_any_number_of_threads():
    for kind in ("f32", "f16", "q8_0"):
        path = data(STORIES % kind)
        one, two = (run(path, [1], 100, [0], "--threads", n) for n in (1, 2))
        for key in ("greedy_ids", "logits", "nll", "text"):
            same(one[key], two[key], f"{key} of {kind} at two threads")


@test
def run_reads_a_prompt_without_any_template():
    path = data(TINY % "f32")
    r = carrel("model", "run", path, "--prompt", "Once upon a time, </s>", "--greedy", 5, "--json")
    got = r.last()
    same(got["ids"][0], 1, "BOS")
    check(2 not in got["ids"], f"the end token comes out of text: {got['ids']}")
    same(len(got["greedy_ids"]), 5, "greedy tokens")
    check(got["text"] and got["tokens_per_s"]["prefill"] > 0, "text and speed")
    r = carrel("model", "run", path, "--prompt", "Once", "--greedy", 3)
    check(r.rc == 0 and "tokens in" in r.err and r.out.strip(), f"for people: {r.out} {r.err}")


@test
def run_takes_the_cache_in_other_types():
    path = data(STORIES % "f32")
    want = run(path, [1], 30)["greedy_ids"]
    same(run(path, [1], 30, (), "--kv", "f16")["greedy_ids"], want, "with F16")
    same(len(run(path, [1], 30, (), "--kv", "q8")["greedy_ids"]), 30, "with Q8: tokens")


@test
def run_refuses_what_it_cannot_read():
    path = data(STORIES % "f32")
    for args, says in [
            (["--ids", "1,x"], "--ids: `x`, need a whole number from 0 to 511"),
            (["--ids", "512"], "--ids: `512`, need a whole number from 0 to 511"),
            (["--ids", ""], "--ids: ``"),
            (["--ids", "1", "--logits", "1"], "--logits: `1`, need a whole number from 0 to 0"),
            (["--ids", "1", "--prompt", "x"], "one of them"),
            ([], "one of them"),
            (["--ids", "1", "--kv", "q4"], "--kv q4: want f32, f16 or q8")]:
        r = carrel("model", "run", path, *args)
        same(r.rc, 2, f"exit status of {args}")
        check(says in r.err, f"{args}: {r.err}")
    r = carrel("model", "run", path, "--ids", "1", "--greedy", 600)
    check(r.rc == 1 and "601 tokens, and the context holds 512" in r.err, r.err)


# ---- info and check ----

@test
def info_tells_memory_and_template():
    got = carrel("model", "info", data(STORIES % "q8_0"), "--json").last()
    same(got["architecture"], "llama", "architecture")
    same(got["template"], "plain", "template")
    same(got["context_length"], 512, "context")
    same(got["session_context"], 512, "positions of a session")
    kv = got["session_bytes"]
    # keys and values of 5 layers, 4 heads of 8, 512 positions; pages may pad
    for kind, size in (("f32", 4), ("f16", 2), ("q8", 1)):
        least = 2 * 5 * 4 * 8 * 512 * size
        check(least <= kv[kind] <= 2 * least, f"{kind}: {kv[kind]} bytes, at least {least}")
    check(got["weight_bytes"] > 250000, f"weights: {got['weight_bytes']}")
    phi = carrel("model", "info", data("models/vocab/ggml-vocab-phi-3.gguf"), "--json").last()
    check("token_embd.weight" in phi["decoder_error"], f"{phi.get('decoder_error')}")


@test
def check_finds_nothing_wrong_with_good_files():
    paths = [data(TINY % kind) for kind in ("f32", "f16", "q8_0")]
    folder = data("oracle")
    paths += [os.path.join(folder, f) for f in sorted(os.listdir(folder)) if f.endswith(".gguf")]
    for path in paths:
        r = carrel("model", "check", path, "--json")
        same(r.rc, 0, f"exit status of check {os.path.basename(path)} ({short(r.out + r.err, 300)})")
        got = r.last()
        same(got["findings"], 0, "findings")
        if got["architecture"] != "bert":
            check(got["tokens_per_s"]["decode"] > 0, f"{path}: {got}")


@test
def check_finds_weights_that_are_no_numbers():
    with scratch() as d:
        path = os.path.join(d, "m.gguf")
        shutil.copy(data(TINY % "f32"), path)
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            f.write(b"\xff\xff\xff\x7f" * 1024)
        r = carrel("model", "check", path)
        same(r.rc, 5, f"exit status ({r.out}{r.err})")
        check("weights are damaged" in r.out, r.out)


# ---- files that lie ----

def peak(*args):
    """A command's (exit status, standard error, KiB at most, milliseconds)."""
    tool = os.path.join(os.path.dirname(BIN), "tools", "peak")
    if not os.path.exists(tool):
        skip("no tools/peak beside the program")
    p = subprocess.run([tool, BIN] + [str(a) for a in args], stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, env=clean_env("/tmp"), timeout=60, check=False)
    lines = p.stderr.decode("utf-8", "replace").splitlines()
    words = lines[-1].split()
    return p.returncode, "\n".join(lines[:-1]), int(words[1]), float(words[3])


@test
def hostile_files_are_refused_with_a_sentence_or_loaded_harmlessly():
    folder = data("hostile/gguf")
    verdict = {}
    for line in open(os.path.join(folder, "manifest.tsv"), encoding="utf-8"):
        name, what = line.split("\t")[:2]
        verdict[name] = what
    files = sorted(f for f in os.listdir(folder) if f.endswith(".gguf"))
    check(len(files) > 50, f"only {len(files)} files")
    for name in files:
        path = os.path.join(folder, name)
        for verb in ("info", "check"):
            rc, says, kib, ms = peak("model", verb, path)
            check(rc in (0, 1, 5), f"{verb} {name} ends with {rc}: {says}")
            check(rc != 1 or says.startswith("carrel: ") and len(says) < 400, f"{verb} {name}: {says}")
            if verb == "info" and verdict.get(name) == "reject":
                same(rc, 1, f"exit status of info {name}")
            limit = 16 * 1024 + os.path.getsize(path) // 1024
            if "asan" not in BIN:
                check(verb == "check" or kib <= limit, f"{name}: {kib} KiB, at most {limit}")
                for _ in range(4):       # others may hold the processors
                    ms = ms if ms <= 100 else min(ms, peak("model", verb, path)[3])
                check(ms <= 100, f"{verb} {name} took {ms} ms")


@test
def truncated_files_are_refused_at_every_length():
    with scratch() as d:
        whole = open(data(STORIES % "q8_0"), "rb").read()
        path = os.path.join(d, "m.gguf")
        for n in list(range(0, 400, 37)) + [len(whole) * i // 7 for i in range(1, 7)] + [len(whole) - 1]:
            with open(path, "wb") as f:
                f.write(whole[:n])
            for verb in (["info"], ["check"], ["run", "--ids", "1"]):
                r = carrel("model", verb[0], path, *verb[1:])
                check(r.rc == 1 and r.err.startswith("carrel: "), f"{verb[0]} at {n}: {r.rc} {r.err}")


# ---- memory ----

def limited(address_space, *args, env=None):
    """The program under RLIMIT_AS."""
    return subprocess.run([BIN] + [str(a) for a in args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=env or clean_env("/tmp"), timeout=60, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS,
                                                                (address_space, address_space)))


@test
def memory_that_does_not_suffice_is_told_with_the_sizes():
    if "asan" in BIN:
        skip("a sanitizer takes all address space")
    path, said = data("oracle/mixtral-f32.gguf"), False
    for mib in range(40, 400, 8):
        p = limited(mib << 20, "model", "check", path)
        err = p.stderr.decode("utf-8", "replace")
        check(p.returncode in (0, 1, 127), f"at {mib} MiB: {p.returncode} {err}")
        if p.returncode == 1:
            check(err.startswith("carrel: "), f"at {mib} MiB: {err}")
            said = said or ("MiB for weights" in err and "limit on address space" in err)
        if p.returncode == 0:
            break
    check(said, "no sentence named the sizes")
    same(p.returncode, 0, "exit status with memory enough")


@test
def a_cache_that_memory_cannot_hold_is_refused_at_start():
    with scratch() as d:
        env = clean_env(d, CARREL_LLM_MODEL=data(TINY % "f32"), CARREL_LLM_KV_MEMORY="1000 GiB")
        r = carrel("serve", "--listen", "127.0.0.1:0", data_dir=d, env=env)
        same(r.rc, 1, f"exit status ({r.err})")
        for words in ("MiB for weights", "MiB for the cache of 8 sessions", "are available"):
            check(words in r.err, r.err)


# ---- which file answers ----

def models_folder(home, **files):
    """home/data/models with copies: models_folder(d, a=path, b=b"bytes")."""
    folder = os.path.join(home, "data", "models")
    os.makedirs(folder, exist_ok=True)
    for name, what in files.items():
        to = os.path.join(folder, name + ".gguf")
        if isinstance(what, bytes):
            with open(to, "wb") as f:
                f.write(what)
        else:
            shutil.copy(what, to)
    return os.path.join(home, "data")


@test
def a_file_dropped_into_the_models_folder_answers_at_the_next_start():
    with scratch() as d:
        store = models_folder(d, story=data(TINY % "q8_0"))
        with Server(data_dir=store) as s:
            check("llm.ready model=" in s.log() and "template=plain" in s.log(), s.log()[-600:])
            check("kv_bytes=" in s.log() and "context=512" in s.log(), s.log()[-600:])


@test
def what_was_computed_of_a_prompt_is_reused_for_the_same_key_only():
    with scratch() as d:
        with Server(data_dir=models_folder(d, story=data(STORIES % "f32"))) as s:
            model = s.get("/v1/models").json()["data"][-1]["id"]
            asked = {"model": model, "prompt": "Once upon a time there was a cat. " * 12,
                     "max_tokens": 1}

            def reused():
                usage = s.post("/v1/completions", asked).json()["usage"]
                return usage["prompt_tokens_details"]["cached_tokens"]
            same(reused(), 0)
            check(reused() > 0, "nobody has a key: nothing was reused")
            s.key = s.post("/v1/keys", {"name": "a", "scopes": "admin"}).json()["key"]
            other = s.post("/v1/keys", {"name": "b", "scopes": "query"}).json()["key"]
            same(reused(), 0, "of what was computed before there were keys")
            mine = reused()
            check(mine > 0, "nothing was reused")
            s.key = other
            same(reused(), 0, "of another key's")
            same(reused(), mine)


@test
def of_several_files_the_first_by_name_answers_or_the_one_that_is_named():
    with scratch() as d:
        store = models_folder(d, b=data(TINY % "q8_0"), a=data(STORIES % "q8_0"), z=b"GGUF?")
        shutil.copy(data("oracle/bert-cls-q8_0.gguf"), os.path.join(store, "models", "0.gguf"))
        with Server(data_dir=store) as s:
            check("llm.choice models=2" in s.log() and "models/a.gguf" in s.log(), s.log()[-900:])
            check("llm.skipped" in s.log() and "z.gguf" in s.log(), s.log()[-900:])
        for name in ("b", "b.gguf", os.path.join(store, "models", "b.gguf")):
            with Server(data_dir=store, env={"CARREL_LLM_MODEL": name}) as s:
                check("llm.ready" in s.log() and "models/b.gguf" in s.log(), s.log()[-900:])
        with Server(data_dir=store, env={"CARREL_LLM_MODEL": "none"}) as s:
            check("llm.ready" not in s.log() and "generator=extractive" in s.log(), s.log()[-600:])
        r = carrel("model", "ls", "--json", data_dir=store)
        roles = {m["name"]: m["role"] for m in r.last()["models"]}
        ls = {os.path.basename(m["file"] or ""): m["role"] for m in r.last()["models"]}
        same(ls["a.gguf"], "generator", f"role of a ({roles})")
        same(ls["b.gguf"], "not in use", "role of b")
        same(ls["z.gguf"], "unusable", "role of z")
        same(ls["0.gguf"], "encoder file", "role of an encoder")


@test
def a_named_file_must_do_and_an_unnamed_one_need_not():
    with scratch() as d:
        store = models_folder(d, a=data(TINY % "q8_0"))
        for name, says in (("nothing", "llm.model: no file nothing, neither here nor in "),
                           ("/no/such.gguf", "llm.model: no file /no/such.gguf")):
            r = carrel("serve", "--listen", "127.0.0.1:0", data_dir=store,
                       env=clean_env(d, CARREL_LLM_MODEL=name))
            check(r.rc != 0 and says in r.err, f"{r.rc} {r.err}")
        r = carrel("serve", "--listen", "127.0.0.1:0", data_dir=store,
                   env=clean_env(d, CARREL_LLM_MODEL="a", CARREL_LLM_TEMPLATE="vicuna"))
        check(r.rc != 0 and "need one of llama2, llama3" in r.err, r.err)


@test
def a_file_truncated_or_replaced_while_loaded_harms_nobody():
    with scratch() as d:
        store = models_folder(d, a=data(TINY % "q8_0"))
        path = os.path.join(store, "models", "a.gguf")
        ask = {"model": "TinyStories-656K", "messages": [{"role": "user", "content": "Once upon a time"}], "max_tokens": 16}
        with Server(data_dir=store) as s:
            def answer():
                r = s.post("/v1/chat/completions", ask)
                same(r.status, 200, f"status ({short(r.text, 300)})")
                return r.json()["choices"][0]["message"]["content"]

            if s.post("/v1/chat/completions", ask).status == 404:
                raise Failure("no route /v1/chat/completions")
            first = answer()
            os.truncate(path, 100)
            same(answer(), first, "the answer after the file was cut")
            os.unlink(path)
            same(answer(), first, "the answer after the file was removed")
            check('"changed_on_disk":true' in s.get("/v1/status").text.replace(" ", ""),
                  s.get("/v1/status").text)


@test
def a_full_queue_is_a_status_for_streams_too():
    tool = os.path.join(os.path.dirname(BIN), "tools", "gguf_random")
    if not os.path.exists(tool):
        skip("gguf_random is not built")
    with scratch() as d:
        store = models_folder(d)
        path = os.path.join(store, "models", "a.gguf")
        subprocess.run([tool, "tiny", "F16", path], check=True)
        one = {"CARREL_LLM_SESSIONS": "1", "CARREL_LLM_QUEUE": "1", "CARREL_LLM_CONTEXT": "4096"}
        with Server(data_dir=store, env=one) as s:
            s.upload("pets.txt", "Cats are welcome in the house. Dogs must stay outside.\n")
            name = s.get("/v1/models").json()["data"][-1]["id"]
            ended = []

            def write():   # random weights: only max_tokens ends it
                while not ended:
                    s.post("/v1/completions", {"model": name, "prompt": "Cats", "max_tokens": 3000})
            writers = [threading.Thread(target=write) for _ in range(4)]
            for t in writers:
                t.start()
            try:
                got = [s.post("/v1/ask", {"question": f"Are cats welcome in house {i}?", "max_tokens": 9,
                                          "stream": True}) for i in range(20)]
            finally:
                ended.append(True)
                for t in writers:
                    t.join()
            for r in got:
                if r.status == 200:
                    check("event: sources" in r.text and "event: error" not in r.text, r.text[-300:])
                else:
                    same((r.status, bool(r.headers.get("retry-after"))), (429, True), r.text[-300:])
            check(429 in {r.status for r in got}, f"statuses {sorted(r.status for r in got)}")


# ---- OpenAI's routes ----

@test
def a_request_that_cannot_be_served_names_the_member_that_is_wrong():
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"patternProperties": {}}}}
    wrong = [({"n": 2}, "n", "must be 1"), ({"tools": [{"type": "function"}]}, "tools", "not served"),
             ({"response_format": schema}, "response_format", "patternProperties"),
             ({"logit_bias": {"99999": 1}}, "logit_bias", "99999"),
             ({"messages": [{"role": "user", "content": "word " * 3000}]}, "messages", "context"),
             ({"model": "carrel/nowhere"}, "model", "nowhere")]
    with scratch() as home:
        store = models_folder(home, a=data(STORIES % "q8_0"))
        with Server(data_dir=store) as s:
            name = s.get("/v1/models").json()["data"][-1]["id"]
            good = {"model": name, "messages": [{"role": "user", "content": "Once upon"}], "max_tokens": 3}
            for change, member, words in wrong:
                r = s.post("/v1/chat/completions", {**good, **change})
                e = r.json()["error"]
                same((r.status, e["param"]), (404 if member == "model" else 400, member), e["message"])
                check(words in e["message"], e["message"])
            r = s.post("/v1/chat/completions", {**good, "stream": True, "logprobs": True, "top_logprobs": 1})
            events = [json.loads(x[6:]) for x in r.text.split("\n\n") if x.startswith("data: {")]
            first, told = events[0]["choices"][0], [e["choices"][0] for e in events[1:]]
            same((first["delta"]["content"], first["logprobs"]), ("", None), "the chunk of the role")
            for c in told:
                text = "".join(t["token"] for t in (c["logprobs"] or {"content": []})["content"])
                same(text, c["delta"].get("content", ""), "tokens of a chunk")


@test
def settings_that_no_file_can_do_keep_it_from_starting():
    with scratch() as home:
        store = models_folder(home, a=data(STORIES % "q8_0"))
        for line, words in (("template: nonsense", "need one of llama2"), ("context: 100000", "trained for 512"),
                            ("kv_memory: 2 KiB", "llm.kv_memory is 2048 bytes")):
            config = os.path.join(home, "carrel.yaml")
            with open(config, "w", encoding="utf-8") as f:
                f.write(f"llm:\n  {line}\n")
            r = carrel("serve", "--listen", "127.0.0.1:0", "--config", config, data_dir=store, timeout=30)
            check(r.rc in (1, 2) and words in r.err, f"{line}: {r.rc} {r.err[-300:]}")


if __name__ == "__main__":
    main()
