"""Every command of README.md, in the order in which it stands there.

Blocks marked sh run in one scratch home, under bash -e, with the program on
the PATH and a server on the address that the page names. A line that begins
with make is only planned (make -n) in the source folder. Where a block marked
text follows, it is the output, but for ids, times and sizes.
"""
import functools
import os
import re
import subprocess

import lib

PAGE = os.path.join(lib.ROOT, "README.md")
ADDRESS = "http://127.0.0.1:7171"


def blocks():
    """[(kind, text, line number)] of the fenced blocks."""
    found, kind, lines, begun = [], None, [], 0
    with open(PAGE, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if line.startswith("```"):
                if kind is None:
                    kind, lines, begun = line[3:].strip() or "plain", [], number
                else:
                    found.append((kind, "".join(lines), begun))
                    kind = None
            elif kind is not None:
                lines.append(line)
    lib.check(kind is None, f"README.md:{begun}: a block without an end")
    return found


def plan_make(line):
    words = line.replace("sudo ", "").split("#")[0].split()
    p = subprocess.run(words[:1] + ["-n"] + words[1:], cwd=lib.ROOT, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=60, check=False,
                       env=dict(os.environ, MAKEFLAGS="", MAKELEVEL=""))
    lib.same(p.returncode, 0, f"exit status of `{line.strip()}` ({lib.short(p.stdout)})")


def run_block(text, line, home, url, env):
    lines = text.splitlines(keepends=True)
    for make in [n for n in lines if n.startswith(("make", "sudo make"))]:
        plan_make(make)
    script = "".join(n for n in lines if not n.startswith(("make", "sudo make")))
    p = subprocess.run(["bash", "-euo", "pipefail", "-c", script.replace(ADDRESS, url)], cwd=home,
                       env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
    out = p.stdout.decode("utf-8", "replace")
    lib.same(p.returncode, 0, f"README.md:{line}: exit status ({lib.short(p.stderr.decode())})")
    lib.check(not re.search(r'"error": ?\{', out), f"README.md:{line}: {lib.short(out)}")
    return out


def shape(text):
    """Output without what differs from run to run."""
    text = re.sub(r"\b[0-9a-f]{12}\b", "ID", text)
    text = re.sub(r"\d+\.\d+ s\b", "N s", text)
    return re.sub(r"[ \t]+$", "", text, flags=re.M).strip()


def environment(home):
    tools = os.path.join(home, "bin")
    os.makedirs(tools)
    os.symlink(lib.BIN, os.path.join(tools, "carrel"))
    env = lib.clean_env(home)
    env["PATH"] = tools + ":" + env["PATH"]
    return env


@functools.lru_cache(1)
def outputs():
    found, before = [], None
    with lib.scratch() as home:
        env = environment(home)
        store = os.path.join(home, ".local/share/carrel")
        with lib.Server(data_dir=store) as server:
            for kind, text, line in blocks():
                if kind == "sh":
                    before = run_block(text, line, home, server.url, env)
                elif kind == "text":
                    found.append((line, before, text))
    return found


@lib.test
def every_command_of_the_readme_works():
    outputs()


@lib.test
def the_output_that_the_readme_shows_is_true():
    lib.check(outputs(), "the page shows no output")
    for line, got, want in outputs():
        lib.same(shape(got), shape(want), f"README.md:{line}: output")


lib.main()
