#!/usr/bin/env python3
"""JSON schemas from a small grammar of schemas: the same ones for the same seed.

    python3 tests/tools/schemas.py [COUNT [SEED]]        a schema a line

Every one is satisfiable and uses only keywords that carrel supports.
"""
import json
import random
import sys

WORDS = ("name age title city tags items count price état größe id kind parent left right "
         "note a b c x y z first_name due-date is_ok value 名前 the\\ slash say\"so").split(" ")
PATTERNS = ["^[a-z]{1,8}$", "^\\d{3}-\\d{4}$", "cat|dog", "^(foo|bar)+$", "^[^x]*x$", "[A-Z]",
            "^.{2,5}$", "^\\w+@\\w+\\.com$", "^[äöü]+$", "^$", "^a?b*c+$", "^[0-9a-f]{4}$"]
FORMATS = ["date", "time", "date-time", "email", "uuid", "ipv4", "uri", "hostname"]


class Schemas:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def schema(self, depth):
        kinds = [self.string, self.integer, self.number, self.constant, self.enum, self.pattern]
        if depth > 0:
            kinds += [self.object, self.object, self.array, self.array, self.tuple, self.any_of,
                      self.all_of, self.one_of, self.unique]
        return self.r.choice(kinds)(depth)

    def bounds(self, least, most, low, high):
        s, r = {}, self.r
        a, b = sorted((r.randint(low, high), r.randint(low, high)))
        if r.random() < 0.5:
            s[least] = a
        if r.random() < 0.5:
            s[most] = b
        return s

    def string(self, depth):
        return {"type": "string", **self.bounds("minLength", "maxLength", 0, 12)}

    def pattern(self, depth):
        if self.r.random() < 0.4:
            return {"type": "string", "format": self.r.choice(FORMATS)}
        return {"type": "string", "pattern": self.r.choice(PATTERNS)}

    def integer(self, depth):
        r = self.r
        s = {"type": "integer", **self.bounds("minimum", "maximum", -1000, 1000)}
        if r.random() < 0.2:
            s = {"type": "integer", "exclusiveMinimum": r.randint(-99, 0),
                 "exclusiveMaximum": r.randint(2, 99)}
        if r.random() < 0.2:
            s = {"type": "integer", "multipleOf": r.choice([2, 3, 7, 10, 16, 25]),
                 "minimum": r.randint(-300, 0), "maximum": r.randint(100, 5000)}
        return s

    def number(self, depth):
        r = self.r
        low = round(r.uniform(-100, 100), r.randint(0, 6))
        high = low + r.choice([0.001, 0.5, 1, 17.25, 1e6])
        s = {"type": "number"}
        if r.random() < 0.7:
            s[r.choice(["minimum", "exclusiveMinimum"])] = low
        if r.random() < 0.7:
            s[r.choice(["maximum", "exclusiveMaximum"])] = high
        return s

    def constant(self, depth):
        return self.r.choice([{"type": "null"}, {"type": "boolean"}, {"type": ["string", "null"]},
                              {"type": ["integer", "boolean"]}, {"const": self.value(2)}])

    def value(self, depth):
        r = self.r
        kinds = [None, True, r.randint(-9, 9), round(r.uniform(-9, 9), 3), r.choice(WORDS),
                 "\t\"quote\" \\ é 😀"]
        if depth:
            kinds += [[self.value(depth - 1) for _ in range(r.randint(0, 2))],
                      {r.choice(WORDS): self.value(depth - 1)}]
        return r.choice(kinds)

    def enum(self, depth):
        return {"enum": [self.value(1) for _ in range(self.r.randint(1, 6))]}

    def object(self, depth):
        r = self.r
        names = r.sample(WORDS, r.randint(0, 5))
        s = {"type": "object", "properties": {n: self.schema(depth - 1) for n in names}}
        if names and r.random() < 0.8:
            s["required"] = r.sample(names, r.randint(1, len(names)))
        extra = r.choice([False, False, False, None, self.schema(0)])
        if extra is not None:
            s["additionalProperties"] = extra
        if r.random() < 0.1:
            s["maxProperties"] = len(s.get("required", [])) + 1
        return s

    def array(self, depth):
        return {"type": "array", "items": self.schema(depth - 1),
                **self.bounds("minItems", "maxItems", 0, 4)}

    def tuple(self, depth):
        n = self.r.randint(1, 3)
        return {"type": "array", "prefixItems": [self.schema(depth - 1) for _ in range(n)],
                "items": False, "minItems": self.r.randint(0, n)}

    def unique(self, depth):
        items = self.r.choice([{"enum": ["red", "green", "blue", 1, 2, None]},
                               {"type": "string", "maxLength": 9}, {"type": "boolean"}])
        return {"type": "array", "items": items, "uniqueItems": True,
                "minItems": self.r.randint(0, 2)}

    def any_of(self, depth):
        return {"anyOf": [self.schema(depth - 1) for _ in range(self.r.randint(1, 3))]}

    def all_of(self, depth):
        left, right = self.r.sample(WORDS, 2)
        return {"allOf": [{"type": "object", "properties": {left: self.schema(depth - 1)},
                           "required": [left]},
                          {"properties": {right: self.schema(depth - 1)}, "required": [right]}]}

    def one_of(self, depth):
        def branch(tag):
            s = self.object(depth)
            s["properties"] = {"tag": {"const": tag}, **s["properties"]}
            s["required"] = s.get("required", []) + ["tag"]
            s.pop("maxProperties", None)
            return s
        return {"oneOf": [branch(t) for t in self.r.sample(WORDS, self.r.randint(2, 3))]}

    def whole(self):
        s = self.schema(self.r.randint(1, 3))
        if self.r.random() < 0.15:      # a list or a tree of it
            node = {"type": "object", "properties": {"value": s, "next": {"anyOf": [
                {"type": "null"}, {"$ref": "#/$defs/node"}]}}, "required": ["value", "next"],
                "additionalProperties": False}
            s = {"$defs": {"node": node}, "$ref": "#/$defs/node"}
        return s


def schemas(count=200, seed=1):
    r = Schemas(seed)
    return [r.whole() for _ in range(count)]


if __name__ == "__main__":
    for schema in schemas(*(int(a) for a in sys.argv[1:3])):
        print(json.dumps(schema, ensure_ascii=False))
