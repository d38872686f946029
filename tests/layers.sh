#!/bin/sh
# tests/layers.sh - who may include whom: the arrows between rooms, front doors
# only, one door for each library, no circles. Prints each offending line.
set -eu
cd "$(dirname "$0")/.."
edges=$(mktemp)
trap 'rm -f "$edges"' EXIT
grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' /dev/null \
    $(find base model embed llm index ingest query web config cmd -name '*.[ch]') |
sed -E 's/^([^:]*):([0-9]+):[^<"]*([<"])([^>"]*).*/\1 \2 \3 \4/' |
awk -v edges="$edges" '
BEGIN {
    see["base"] = "base/"
    see["config"] = see["model"] = see["index"] = "base/"
    see["embed"] = see["llm"] = "model/ base/"
    see["ingest"] = "embed/embed.h index/index.h index/document.h index/jobs.h index/blobs.h base/"
    see["query"] = "embed/embed.h index/index.h index/document.h llm/llm.h base/"
    see["web"] = "ingest/ingest.h query/query.h embed/embed.h llm/llm.h " see["ingest"]
    see["cmd"] = "base/ model/ embed/ llm/ index/ ingest/ query/ web/ config/"
    see["ingest/extract"] = "base/ ingest/ index/document.h"
    n = split("sqlite3.h index/|cblas.h model/|microhttpd.h web/|yaml.h config/|xxhash.h base/hash.c" \
        "|jansson.h base/json.h|utf8proc.h base/utf8.c|libstemmer.h base/words.c" \
        "|sodium.h web/|curl/ base/http.c|uchardet ingest/extract/|poppler ingest/extract/|glib ingest/extract/" \
        "|gumbo.h ingest/extract/|md4c ingest/extract/|seccomp.h ingest/extract/", doors, "|")
}
function bad(why) { print $1 ":" $2 ": " why " " $4; wrong = 1 }
function within(path, list,   i, m, ok) {
    m = split(list, ok, " ")
    for (i = 1; i <= m; i++) if (index(path, ok[i]) == 1) return 1
    return 0
}
$3 == "<" {
    for (i = 1; i <= n; i++) {
        split(doors[i], d, " ")
        if (index($4, d[1]) == 1 && !within($1, d[2])) bad("only " d[2] " may include")
    }
    next
}
$4 !~ /\// { bad("not written from the root:"); next }
{
    room = $1 ~ /^ingest\/extract\// ? "ingest/extract" : substr($1, 1, index($1, "/") - 1)
    if (!within($4, see[room] " " room "/")) bad(room " may not see")
    else if ($4 ~ /^ingest\/extract\// && room != "ingest/extract") bad("carrel-extract alone may see")
    if ($1 ~ /\.h$/) print $1, $4 > edges
}
END { exit wrong }' && rc=0 || rc=1
tsort "$edges" > /dev/null || rc=1 # names the headers of a circle
exit $rc
