"""Texts that grammars allow, judged by python3-jsonschema: 200 schemas from a
small grammar of schemas and those below, in the manner of the JSON Schema Test
Suite. 20 texts of each: drawn evenly from the masks of real vocabularies, and
written over HTTP by real models at temperature 1. All must parse and satisfy.
CI and CARREL_SLOW judge all of them, else of the models' a part."""
import concurrent.futures
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

import lib

sys.path.insert(0, os.path.join(lib.ROOT, "tests/tools"))
import gguf_bytes  # noqa: E402
import schemas  # noqa: E402

TEXTS, TOKENS = 20, 300
THREADS = 8
STORIES = "models/stories260K/stories260K-f32.gguf"
TINY = "models/TinyStories-656K/TinyStories-656K-q8_0.gguf"
WALK = os.path.join(os.environ.get("CARREL_BUILD") or os.path.join(lib.ROOT, "build/release"),
                    "tools/schema_walk")
OWN = [
    True, {}, {"type": "object"}, {"type": "array"}, {"type": ["object", "null"]},
    {"const": None}, {"const": {"a": [1, 2.5, "x"]}}, {"enum": [6, "foo", [], True, {"foo": 12}]},
    {"enum": ["foo\nbar", "foo\rbar", "\u0001", "\"", "\\"]}, {"const": -2.0}, {"const": 1e30},
    {"type": "number", "minimum": 1.1}, {"type": "number", "maximum": 3.0},
    {"type": "number", "exclusiveMinimum": -2, "exclusiveMaximum": -1.999},
    {"type": "number", "minimum": 1e-9, "maximum": 2e-9}, {"type": "integer", "minimum": 10**17},
    {"type": "number", "minimum": 0.1, "maximum": 0.1}, {"type": "integer", "maximum": -10**15},
    {"type": "integer", "multipleOf": 12}, {"type": "number", "multipleOf": 5, "minimum": 1},
    {"allOf": [{"multipleOf": 2}, {"multipleOf": 3}, {"type": "integer", "maximum": 100}]},
    {"type": "string", "minLength": 2, "maxLength": 2}, {"type": "string", "maxLength": 0},
    {"type": "string", "pattern": "^a*$"}, {"type": "string", "pattern": "a+"},
    {"type": "string", "pattern": "^\\S(|(.|\\n)*\\S)$"}, {"type": "string", "pattern": "^🐲*$"},
    {"type": "string", "pattern": "^\\D{3}\\W$", "maxLength": 4},
    {"type": "string", "pattern": "^[^0-9]+$", "minLength": 3},
    {"allOf": [{"pattern": "^a"}, {"pattern": "b$"}, {"type": "string", "minLength": 4}]},
    {"properties": {"foo": {"type": "integer"}, "bar": {"type": "string"}}, "required": ["baz"]},
    {"properties": {"foo\nbar": {"type": "null"}, "foo\"bar": {"type": "null"}, "foo\\bar": {}},
     "required": ["foo\nbar", "foo\"bar", "foo\\bar"], "type": "object"},
    {"type": "object", "additionalProperties": {"type": "boolean"}},
    {"type": "object", "properties": {"__proto__": {"type": "number"}, "toString": {"type": "null"}},
     "required": ["__proto__", "toString"], "additionalProperties": False},
    {"type": "object", "maxProperties": 2}, {"type": "object", "maxProperties": 0},
    {"type": "object", "minProperties": 1, "properties": {"a": {}, "b": {"type": "null"}}},
    {"type": "object", "properties": {"a": False, "b": True}},
    {"type": "array", "items": {"type": "integer"}}, {"type": "array", "items": False},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
    {"type": "array", "prefixItems": [{}, {}, {}], "items": False, "maxItems": 2},
    {"type": "array", "uniqueItems": True, "items": {"type": "boolean"}, "minItems": 2},
    {"type": "array", "uniqueItems": True, "items": {"type": "string", "minLength": 1, "maxLength": 1},
     "minItems": 5},
    {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 2}]},
    {"type": "string", "anyOf": [{"maxLength": 2}, {"minLength": 4}]},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"oneOf": [{"type": "number", "exclusiveMaximum": 2}, {"type": "number", "minimum": 2}]},
    {"allOf": [{"properties": {"bar": {"type": "integer"}}, "required": ["bar"]},
               {"properties": {"foo": {"type": "string"}}, "required": ["foo"]}], "type": "object"},
    {"allOf": [{"anyOf": [{"const": 1}, {"const": 2}]}, {"anyOf": [{"const": 2}, {"const": 3}]}]},
    {"properties": {"foo": {"$ref": "#"}}, "additionalProperties": False, "type": "object"},
    {"$defs": {"a~b/c": {"type": "integer"}}, "items": {"$ref": "#/$defs/a~0b~1c"}, "type": "array"},
    {"$defs": {"c": {"$ref": "#/$defs/b"}, "b": {"type": "null"}}, "$ref": "#/$defs/c"},
    {"$defs": {"tree": {"type": "object", "properties": {"v": {"type": "number"}, "kids": {
        "type": "array", "items": {"$ref": "#/$defs/tree"}}}, "required": ["v", "kids"]}},
     "$ref": "#/$defs/tree"},
    {"$defs": {"e": {"anyOf": [{"type": "number"}, {"type": "array", "prefixItems": [
        {"enum": ["+", "*"]}, {"$ref": "#/$defs/e"}, {"$ref": "#/$defs/e"}], "items": False,
        "minItems": 3}]}}, "$ref": "#/$defs/e"},
] + [{"type": "string", "format": f} for f in schemas.FORMATS + ["ipv6"]]


# What python3-jsonschema leaves unchecked without further packages, read from RFC 3986, 1123, 3339.
DAY, CLOCK = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
ZONE, LABEL = r"([zZ]|[+-]([01]\d|2[0-3]):[0-5]\d)", r"[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?"
URI_LETTER = r"([0-9A-Za-z._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
OWN_FORMATS = {
    "date-time": f"{DAY}[tT]{CLOCK}{ZONE}", "time": CLOCK + ZONE, "uri": f"[A-Za-z][A-Za-z0-9+.-]*:{URI_LETTER}*",
    "hostname": rf"(?=.{{1,253}}$){LABEL}(\.{LABEL})*",
    "uuid": "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}


class Judge:
    """Says what is wrong with a text: one validator a schema."""

    def __init__(self, some):
        try:
            jsonschema = importlib.import_module("jsonschema")
        except ImportError:
            lib.skip("python3-jsonschema is not installed")
        checker = getattr(jsonschema.Draft202012Validator, "FORMAT_CHECKER", None) or \
            jsonschema.draft202012_format_checker        # as old versions name it
        for name, pattern in OWN_FORMATS.items():
            if name not in checker.checkers:
                checker.checks(name)(lambda v, p=re.compile(pattern):
                                     not isinstance(v, str) or p.fullmatch(v) is not None)
        for name in schemas.FORMATS + ["ipv6"]:
            lib.check(name in checker.checkers, f"nobody judges the format {name}")
        self.all = [jsonschema.Draft202012Validator(s, format_checker=checker) for s in some]

    def check(self, i, text):
        v = self.all[i]
        try:
            value = json.loads(text)
        except ValueError as e:
            raise lib.Failure(f"{v.schema} allows {text!r}: {e}") from None
        wrong = next(iter(v.iter_errors(value)), None)
        lib.check(wrong is None, f"{v.schema} allows {text!r}: {wrong and wrong.message}")


# ---- texts drawn evenly from the masks ----

def walk(some, vocabulary, seed, texts=TEXTS):
    judge = Judge(some)
    lines = "".join(json.dumps(s, ensure_ascii=False) + "\n" for s in some)
    p = subprocess.run([WALK, vocabulary, str(texts), str(TOKENS), str(seed)],
                       input=lines.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    lib.check(p.returncode == 0, p.stderr.decode("utf-8", "replace"))
    checked = 0
    for line in p.stdout.decode().split("\n")[:-1]:
        got = json.loads(line)
        schema = some[got["schema"]]
        lib.check("refused" not in got, f"{schema} is refused: {got.get('refused')}")
        lib.check(got["whole"], f"{schema}: {TOKENS} tokens end in {got['text']!r}")
        judge.check(got["schema"], got["text"])
        checked += 1
    lib.same(checked, texts * len(some), "texts checked")


@lib.test
def every_text_of_two_hundred_generated_schemas_satisfies_its_schema():
    walk(schemas.schemas(), lib.data(STORIES), 1)


@lib.test
def every_text_of_schemas_like_the_test_suites_satisfies_its_schema():
    walk(OWN, lib.data(STORIES), 2)


@lib.test
def another_vocabulary_satisfies_them_too():
    some = OWN + schemas.schemas(200, 5) if lib.SLOW else OWN[::4] + schemas.schemas(10, 5)
    walk(some, lib.data("models/vocab/ggml-vocab-gpt-2.gguf"), 3, TEXTS if lib.SLOW else 5)


# ---- completions of models ----

def asked(schema, seed, way):
    """Path and body of a request; `way` is one of three."""
    body = {"temperature": 1, "seed": seed, "max_tokens": TOKENS, "stream": way == "stream",
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    if way == "prompt":
        return "/v1/completions", {**body, "prompt": "Once upon a time"}
    return "/v1/chat/completions", {**body, "messages": [{"role": "user", "content": "Once upon a time"}]}


def answer(response, way):
    """Text and finish_reason of a reply; a stream's pieces are joined."""
    if way != "stream":
        choice = response.json()["choices"][0]
        return choice["text"] if way == "prompt" else choice["message"]["content"], choice["finish_reason"]
    text, finish = "", None
    for line in response.text.split("\n"):
        if line.startswith("data: {"):
            choice = json.loads(line[6:])["choices"][0]
            text += choice["delta"].get("content") or ""
            finish = choice["finish_reason"] or finish
    lib.check(response.text.rstrip().endswith("data: [DONE]"), f"a stream ends in {response.text[-200:]!r}")
    return text, finish


WAYS = ("chat", "stream", "chat", "prompt")


class Model:
    """Asks one model for texts of `some` schemas; `prepare(path)` writes its file."""

    def __init__(self, some, prepare):
        self.some, self.prepare, self.judge = some, prepare, Judge(some)

    def one(self, server, name, job):
        """None, or a sentence when the text was cut: then it need not be whole, and is counted apart."""
        i, seed = job
        way = WAYS[seed % 4]
        path, body = asked(self.some[i], seed, way)
        r = server.post(path, {"model": name, **body})
        lib.check(r.status == 200, f"{self.some[i]}: {r!r}")
        text, finish = answer(r, way)
        if finish == "length":
            return f"{self.some[i]} is cut in {text!r}"
        lib.same(finish, "stop", "finish_reason")
        self.judge.check(i, text)
        return None

    def complete(self, texts):
        """`texts` completions of every schema, several at a time."""
        jobs = [(i, 1 + i * texts + k) for k in range(texts) for i in range(len(self.some))]
        with lib.scratch() as data:
            os.mkdir(os.path.join(data, "models"))
            self.prepare(os.path.join(data, "models", "m.gguf"))
            with lib.Server(data) as s:
                name = next(m["id"] for m in s.get("/v1/models").json()["data"] if m["owned_by"] == "local")
                began = time.monotonic()
                with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
                    done = list(pool.map(lambda job: self.one(s, name, job), jobs))
                seconds = time.monotonic() - began
                tokens = s.get("/v1/status").json()["models"]["llm"]["tokens"]["generated"]
        cuts = [why for why in done if why]
        streams = sum(WAYS[seed % 4] == "stream" for _, seed in jobs)
        print(f"      {len(done) - len(cuts)} of {len(done)} completions ({streams} streamed) parse and satisfy, "
              f"{len(cuts)} cut at {TOKENS} tokens; {tokens / seconds:.0f} tokens/s, {THREADS} at a time",
              flush=True)
        lib.check(not cuts, cuts and cuts[0])


def some_of(count):
    """All in the long version, else a part of both kinds."""
    return OWN + schemas.schemas() if lib.SLOW else OWN[::4] + schemas.schemas(count)


@lib.test
def every_completion_of_a_model_that_knows_no_json_satisfies_its_schema():
    given = lib.data(TINY)
    model = Model(some_of(60), lambda path: gguf_bytes.write_with_bytes(given, path))
    model.complete(TEXTS if lib.SLOW else 2)


@lib.test
def every_completion_of_another_model_satisfies_its_schema():
    given = lib.data(STORIES)
    Model(some_of(30), lambda path: shutil.copyfile(given, path)).complete(TEXTS if lib.SLOW else 2)


@lib.test
def a_vocabulary_without_braces_refuses_an_object_and_writes_a_number():
    with lib.scratch() as data:
        os.mkdir(os.path.join(data, "models"))
        shutil.copyfile(lib.data(TINY), os.path.join(data, "models", "m.gguf"))
        with lib.Server(data) as s:
            for way in ("chat", "stream", "prompt"):
                path, body = asked({"type": "object"}, 1, way)
                r = s.post(path, {"model": "TinyStories-656K", **body})
                lib.same(r.status, 400, f"status of {way} ({r!r})")
                lib.check("vocabulary cannot write this schema's JSON, it lacks {}[]" in
                          r.json()["error"]["message"], f"{way}: {r!r}")
                path, body = asked({"type": "integer", "minimum": 10}, 1, way)
                r = s.post(path, {"model": "TinyStories-656K", **body})
                lib.same(r.status, 200, f"status of {way} ({r!r})")
                lib.check(int(answer(r, way)[0]) >= 10, f"{way}: {r!r}")


lib.main()
