"""Run every test of the build and say at the end what failed.

    python3 tests/run.py --build build/release [--only unit,system] [--pattern hnsw]
                         [--asan build/asan]

A suite is one program; it prints "N passed, N failed, N skipped" last. Groups:
layers (arrows between rooms), unit, replay (fuzzers over their kept inputs),
system (tests/system/*.py on the real program), asan (unit and replay again, of
a sanitizer's build). Output of each suite is kept in BUILD/test-logs. With CI
set, a test skipped for want of data is a failure: there the data must lie.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CI = os.environ.get("CI", "") not in ("", "0", "false")
COUNTS = re.compile(rb"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")
LIMIT_S = 2400 if CI else 600


class Suite:
    def __init__(self, group, name, command, env):
        self.group, self.name, self.command, self.env = group, name, command, env
        self.passed = self.failed = self.skipped = 0
        self.output, self.seconds, self.trouble = b"", 0.0, ""

    def run(self):
        started = time.monotonic()
        try:
            p = subprocess.run(self.command, cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_S)
            self.output, status = p.stdout, p.returncode
        except subprocess.TimeoutExpired as e:
            self.output, status = e.stdout or b"", None
        except OSError as e:
            self.output, status = f"it could not be started: {e}\n".encode(), 1
        self.seconds = time.monotonic() - started
        self.judge(status)
        return self

    def judge(self, status):
        found = COUNTS.findall(self.output)
        if self.group == "layers" and status is not None:   # one yes or no, its lines say why
            found = [(status == 0, status != 0, 0)]
        if found:
            self.passed, self.failed, self.skipped = (int(n or 0) for n in found[-1])
        if status is None:
            self.trouble = f"still running after {LIMIT_S} s"
        elif status < 0:
            self.trouble = f"killed by signal {-status}"
        elif status and not self.failed:
            self.trouble = f"exit status {status}"
        elif not found:
            self.trouble = "it printed no count of tests"
        if self.trouble:
            self.failed += 1
        if CI:
            lost = self.output.count(b"no data")
            if lost:
                self.failed += lost
                self.skipped = max(0, self.skipped - lost)
                self.trouble = self.trouble or f"{lost} tests found no data (CARREL_DATA)"

    def line(self):
        text = f"{self.passed} passed"
        text += f", {self.failed} FAILED" if self.failed else ""
        text += f", {self.skipped} skipped" if self.skipped else ""
        return f"{'FAIL' if self.failed else 'ok':4}  {self.group:7} {self.name:22} {text}  {self.seconds:.1f} s"

    def reasons(self):
        """The lines that say what failed, with what is indented below; else the last ones."""
        kept, inside = [], False
        for n in self.output.decode("utf-8", "replace").splitlines():
            starts = n.startswith(("FAIL", "SUMMARY:")) or "ERROR: " in n or "runtime error" in n \
                or (CI and n.startswith("skip"))
            inside = starts or (inside and n.startswith("    "))
            if inside:
                kept.append(n)
        kept = kept or self.output.decode("utf-8", "replace").splitlines()[-15:]
        return kept[:60] + ([self.trouble] if self.trouble else [])


def suites(args):
    env = dict(os.environ, CARREL_BIN=os.path.abspath(os.path.join(args.build, "carrel")),
               CARREL_BUILD=os.path.abspath(args.build))
    if CI:
        env["CARREL_SLOW"] = "1"
    made = [Suite("layers", "rooms", ["tests/layers.sh"], env)]
    for path in sorted(glob.glob(os.path.join(ROOT, "tests/system/*.py"))):
        name = os.path.basename(path)[:-3]
        if name != "lib" and not name.startswith("bench_"):
            made.append(Suite("system", name, [sys.executable, path], env))
    if CI:   # `make test` has fetched what they need
        for name in ("browser", "openai"):
            made.append(Suite("system", name, ["node", "tests/clients/%s.mjs" % name], env))
    made += programs("unit", "replay", args.build, env)   # short ones last fill the gaps
    if args.asan:
        quick = {k: v for k, v in env.items() if k != "CARREL_SLOW"}
        made += programs("asan", "asan", args.asan, quick)
    wanted = args.only.split(",") if args.only else None
    return [s for s in made if (not wanted or s.group in wanted) and
            (not args.pattern or args.pattern in s.name)]


def programs(unit, replay, build, env):
    """Suites of the unit tests and fuzzers that this checkout has sources of."""
    made = []
    for source in sorted(glob.glob(os.path.join(ROOT, "tests/unit/test_*.c"))):
        name = os.path.basename(source)[:-2]
        made.append(Suite(unit, name[5:], [os.path.join(build, "tests", name)], env))
    for source in sorted(glob.glob(os.path.join(ROOT, "tests/fuzz/fuzz_*.c"))):
        name = os.path.basename(source)[:-2]
        inputs = os.path.join(ROOT, "tests/fuzz/corpus", name[5:])
        if os.path.isdir(inputs):
            made.append(Suite(replay, name, [os.path.join(build, "fuzz", name), inputs], env))
    return made


def keep(suite, build):
    folder = os.path.join(build, "test-logs")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f"{suite.group}-{suite.name}.txt"), "wb") as f:
        f.write(suite.output)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--only")
    parser.add_argument("--pattern")
    parser.add_argument("--asan")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    args.asan = args.asan and os.path.abspath(args.asan)
    started, done = time.monotonic(), []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        waiting = [pool.submit(s.run) for s in suites(args)]
        for future in concurrent.futures.as_completed(waiting):
            s = future.result()
            keep(s, args.build)
            done.append(s)
            print(s.line(), flush=True)
    for s in [s for s in done if s.failed]:
        print(f"\n{s.group} {s.name}: {' '.join(map(str, s.command[:4]))}")
        print("\n".join("    " + n[:400] for n in s.reasons()))
    print(f"\nin {time.monotonic() - started:.0f} s")
    passed, failed, skipped = (sum(getattr(s, k) for s in done) for k in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    sys.exit(1 if failed or not done else 0)


main()
