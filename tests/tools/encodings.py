#!/usr/bin/python3
"""Share of files whose charset carrel-extract finds.

Each file below $CARREL_DATA/formats/encodings/tests/CHARSET/ is read as plain text
and compared with Python's decoding by the folder's name, after NFC and without
white space, controls and invisible characters. Prints a line per folder with --each.
"""
import collections
import os
import re
import sys
import unicodedata

from extracted import extract

CODECS = {"EUC-TW": None, "MacCyrillic": "mac_cyrillic", "TIS-620": "tis_620", "CP932": "cp932",
          "GB2312": "gb18030", "EUC-KR": "cp949", "SHIFT_JIS": "cp932", "Big5": "big5hkscs",
          "iso-8859-1": "cp1252", "iso-8859-9": "cp1254"}


def codec(folder):
    base = re.sub(r"-(croatian|hungarian|slovak|bulgarian|russian|arabic|greek|turkish|czech|polish|"
                  r"slovene|hebrew)$", "", folder)
    return CODECS.get(base, base)


def plain(text):
    text = re.sub(r"([=\-~])\1{2,}", "", unicodedata.normalize("NFC", text))   # underlines of titles
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) not in
                   ("Cc", "Cf") and c != "\ufffd")


def main():
    root = os.path.join(os.environ["CARREL_DATA"], "formats", "encodings", "tests")
    right, total = collections.Counter(), collections.Counter()
    for folder in sorted(os.listdir(root)):
        name = codec(folder)
        for file in sorted(os.listdir(os.path.join(root, folder))):
            if not name:
                continue   # Python has no EUC-TW
            path = os.path.join(root, folder, file)
            want = plain(open(path, "rb").read().decode(name, "replace"))
            result = extract(path, "x.txt", "text/plain")
            total[folder] += 1
            if plain(result.get("TEXT", "")) == want:
                right[folder] += 1
            elif "--each" in sys.argv:
                print("wrong: %s/%s: %s" % (folder, file, result.get("FAIL") or result["WARN"]))
    for folder in sorted(total):
        if "--each" in sys.argv or right[folder] < total[folder]:
            print("%-24s %3d of %3d" % (folder, right[folder], total[folder]))
    n, ok = sum(total.values()), sum(right.values())
    print("encodings\t%d files\tdecoded as their folder says\t%d\t%.4f" % (n, ok, ok / n))


if __name__ == "__main__":
    main()
