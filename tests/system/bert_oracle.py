#!/usr/bin/env python3
"""The BERT encoder against an independent PyTorch forward pass, in true shapes.

Random weights in the shapes of bge-small and bge-base, 200 texts of 1 to 512
tokens: see tests/tools/bert_oracle.py and tests/tools/bert_check.c. Minutes of
work: runs only where CARREL_SLOW is set (as CI does), and needs python3-torch.
"""
import os
import subprocess
import sys
import tempfile

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")
CHECK = os.path.join(os.environ.get("CARREL_BUILD", "build/release"), "tools", "bert_check")
PYTHON = "/usr/bin/python3"      # Debian's, which has Debian's torch
MODELS = (("small", "mean"), ("base", "cls"))
# type, largest |difference| of a component, least cosine
BOUNDS = (("F32", "1e-4", "0.99999"), ("F16", "1", "0.9999"), ("Q8_0", "1", "0.999"))


def why_not():
    if not os.environ.get("CARREL_SLOW"):
        return "slow: set CARREL_SLOW=1"
    if subprocess.run([PYTHON, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode:
        return "python3-torch is not installed"
    return None


def main():
    reason, passed, failed = why_not(), 0, 0
    cases = len(MODELS) * len(BOUNDS)
    if reason:
        print(f"skip bert_oracle\n    {reason}\n0 passed, 0 failed, {cases} skipped")
        return
    for shape, pooling in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([PYTHON, os.path.join(TOOLS, "bert_oracle.py"), shape, pooling, folder], check=True)
            for kind, *bounds in BOUNDS:
                p = subprocess.run([CHECK, folder, kind, *bounds], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
                good = p.returncode == 0
                passed, failed = passed + good, failed + (not good)
                said = p.stdout.strip().splitlines()
                print(f"{'ok' if good else 'FAIL'} {shape} {pooling} {kind}\n    {said[-1] if said else ''}", flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
