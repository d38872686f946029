#!/usr/bin/env python3
"""pretoken_cases.py - writes tests/cases/pretoken.txt: what the published
expressions of each family (the pre_tokenizer of its tokenizer.json) make of
seeded random text, by Python's regex module. Only characters assigned in
Unicode 14 are drawn, so that newer tables agree.

    pip install regex; tests/tools/pretoken_cases.py > tests/cases/pretoken.txt"""
import random
import unicodedata

import regex

SEED, PER_FAMILY, BAR = 7, 14, "\u00a6"
TAILS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
ENDS = r"\s*[\r\n]+|\s+(?!\S)|\s+"


def cl100k(digits):
    return (TAILS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + digits +
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|" + ENDS)


def by_case(tails, digits):
    lead, up, low = (r"[^\r\n\p{L}\p{N}]?", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]",
                     r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]")
    return (lead + up + "*" + low + "+" + tails + "|" + lead + up + "+" + low + "*" + tails +
            r"|\p{N}" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + ENDS)


CASED = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293"
    "\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a"
    "\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556"
    "\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b"
    "\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d"
    "\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe"
    "\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4"
    "\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128"
    "\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184"
    "\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b"
    "\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17"
    "\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2"
    "\U000118a0-\U000118df\U0001e900-\U0001e943")
EAST_ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
FAMILIES = {
    "gpt-2": [GPT2],
    "llama-bpe": [cl100k("{1,3}")],
    "qwen2": [cl100k("")],
    "starcoder": [r"\p{N}", GPT2],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "deepseek-llm": ["[\r\n]", r"\s?[" + CASED + "]+",
                     r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
                     r"\s+\Z", EAST_ASIAN, r"\p{N}+"],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", EAST_ASIAN, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
                    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
                    r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|" + ENDS],
    "tekken": [by_case("", "")],
    "gpt-4o": [by_case(TAILS + "?", "{1,3}")],
}
BITS = [
    'abc', ' ', '  ', '   ', '\n', '\r\n', '\n\n', '1', '12', '1234', "'s", "'LL", "'re", "don't",
    '\xe9', '\xc9', '\u4e2d\u6587', '\u3042\u30ab', '\ud55c', '\U0001f999', '\u3002', '\u3000',
    '!?', '...', 'a\u0301', '\u0301', '\u0e33', '\t', '\xa0', '$=', '+', '`', '|', '~^',
    '\u041d\u0435', '\u1780\u17d2', 'X', 'yZ', 'HELLO', 'CamelCase', '\u01c5', '\u02b0', '\xaa',
    '\u0660\u0661', '\xbd', '\u2167', '\u200d', '\ufe0f', '\x85', '\u2028', '\x0b', '\x00',
    '\x7f', '/', '/\n', '\\', '[x]', '<|im_end|>', '\u10d0', '\u1c90', '\uff21', '\uff01',
    '\u2018', '\ue000', '\U000e0001', '\u0378', '_', '-', '(a', '#b', '"',
]


def random_text(rng):
    text = ""
    for _ in range(rng.randrange(1, 14)):
        cp = rng.choice([rng.randrange(0x80), rng.randrange(0x3000), rng.randrange(0x20000)])
        if rng.random() < 0.85:
            text += rng.choice(BITS)
        elif unicodedata.category(chr(cp)) not in ("Cn", "Cs"):
            text += chr(cp)
    return text.replace(BAR, "")


def cut(text, expressions):
    words = [text]
    for e in expressions:
        cut_up = []
        for w in words:
            at = 0
            for m in regex.finditer(e, w):
                cut_up += [w[at:m.start()], m.group()]
                at = m.end()
            cut_up.append(w[at:])
        words = [w for w in cut_up if w]
    return words


def escaped(text):
    return "".join(c if 32 < ord(c) < 127 and c != "\\" or c == " " else "\\\\" if c == "\\" else
                   "\\u{%x}" % ord(c) for c in text)


def main():
    rng = random.Random(SEED)
    print("# family, a bar, text => its words, apart by bars; made by tests/tools/pretoken_cases.py")
    for family, expressions in FAMILIES.items():
        for _ in range(PER_FAMILY):
            text = random_text(rng)
            if text and "=>" not in text:
                words = BAR.join(cut(text, expressions))
                print("%s => %s" % (escaped(family + BAR + text), escaped(words)))


main()
