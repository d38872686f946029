#!/usr/bin/python3
"""How much of a web page's article carrel-extract finds, and how little else.

Token F1 between the text extracted from each
$CARREL_DATA/formats/readability/test/test-pages/*/source.html and the visible text
of expected.html beside it: both as multisets of lower-case words,
F1 = 2 * shared / (found + expected). Prints a line per page with --each, and the mean.
"""
import collections
import html.parser
import os
import re
import sys
import unicodedata

from extracted import extract

SILENT = {"script", "style", "noscript", "template", "head", "title", "svg", "math"}


class Visible(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts, self.silent = [], 0

    def handle_starttag(self, tag, attrs):
        self.silent += tag in SILENT
        self.parts.append("" if tag in INLINE else " ")

    def handle_endtag(self, tag):
        self.silent -= tag in SILENT and self.silent > 0
        self.parts.append("" if tag in INLINE else " ")

    def handle_data(self, data):
        if not self.silent:
            self.parts.append(data)


INLINE = {"a", "b", "i", "em", "strong", "span", "sup", "sub", "code", "font", "u", "small", "big",
          "abbr", "cite", "q", "s", "strike", "tt", "kbd", "var", "mark", "ins", "del", "time", "wbr"}


def words(text):
    return collections.Counter(re.findall(r"\w+", unicodedata.normalize("NFC", text).lower()))


def main():
    root = os.path.join(os.environ["CARREL_DATA"], "formats", "readability", "test", "test-pages")
    scores = []
    for page in sorted(os.listdir(root)):
        source, expected = (os.path.join(root, page, n) for n in ("source.html", "expected.html"))
        if not (os.path.exists(source) and os.path.exists(expected)):
            continue
        seen = Visible()
        seen.feed(open(expected, encoding="utf-8").read())
        want = words("".join(seen.parts))
        result = extract(source)
        got = words(result.get("TEXT", ""))
        shared = sum((want & got).values())
        f1 = 2 * shared / max(1, sum(want.values()) + sum(got.values()))
        scores.append(f1)
        if "--each" in sys.argv:
            print("%.3f  precision %.3f  recall %.3f  %6d words  %s" % (
                f1, shared / max(1, sum(got.values())), shared / max(1, sum(want.values())),
                sum(want.values()), page))
    print("readability\t%d pages\tmean token F1\t%.4f\tlowest %.4f" % (
        len(scores), sum(scores) / max(1, len(scores)), min(scores, default=0)))


if __name__ == "__main__":
    main()
