"""Texts that grammars allow, judged by python3-jsonschema: 200 schemas from a
small grammar of schemas and those below, in the manner of the JSON Schema Test
Suite, 20 random texts of each with a real vocabulary. All must parse and satisfy."""
import importlib
import json
import os
import subprocess
import sys

import lib

sys.path.insert(0, os.path.join(lib.ROOT, "tests/tools"))
import schemas  # noqa: E402

TEXTS, TOKENS = 20, 300
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


def validator_module():
    try:
        return importlib.import_module("jsonschema")
    except ImportError:
        lib.skip("python3-jsonschema is not installed")


def judge(some, vocabulary, seed):
    jsonschema = validator_module()
    lines = "".join(json.dumps(s, ensure_ascii=False) + "\n" for s in some)
    p = subprocess.run([WALK, vocabulary, str(TEXTS), str(TOKENS), str(seed)],
                       input=lines.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    lib.check(p.returncode == 0, p.stderr.decode("utf-8", "replace"))
    checked = 0
    for line in p.stdout.decode().split("\n")[:-1]:
        got = json.loads(line)
        schema = some[got["schema"]]
        lib.check("refused" not in got, f"{schema} is refused: {got.get('refused')}")
        lib.check(got["whole"], f"{schema}: {TOKENS} tokens end in {got['text']!r}")
        checker = getattr(jsonschema, "draft202012_format_checker", None)
        v = jsonschema.Draft202012Validator(schema, format_checker=checker)
        wrong = next(iter(v.iter_errors(json.loads(got["text"]))), None)
        lib.check(wrong is None, f"{schema} allows {got['text']!r}: {wrong and wrong.message}")
        checked += 1
    lib.same(checked, TEXTS * len(some), "texts checked")


@lib.test
def every_text_of_two_hundred_generated_schemas_satisfies_its_schema():
    judge(schemas.schemas(), lib.data("models/stories260K/stories260K-f32.gguf"), 1)


@lib.test
def every_text_of_schemas_like_the_test_suites_satisfies_its_schema():
    judge(OWN, lib.data("models/stories260K/stories260K-f32.gguf"), 2)


@lib.test
def another_vocabulary_satisfies_them_too():
    judge(OWN + schemas.schemas(200 if lib.SLOW else 10, 5), lib.data("models/vocab/ggml-vocab-gpt-2.gguf"), 3)


lib.main()
