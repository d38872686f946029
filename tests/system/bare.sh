#!/bin/bash
# bare.sh [FOLDER] - `make run` and `make test` on a Debian 12 with nothing in it.
#
# Makes a minimal system with debootstrap in FOLDER (a scratch one by default),
# copies this checkout into it (with CARREL_DATA, when set, beside it), runs both
# inside and prints how long each took and how much disk it needed. Wants root, a
# network (MIRROR names another mirror than debootstrap's own), debootstrap and some 3 GB; nothing outside FOLDER is touched.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
box=${1:-$(mktemp -d /var/tmp/carrel-bare-XXXXXX)}

say() { printf '%s\n' "== $*"; }
used() { du -sm --one-file-system "$box" | cut -f1; }
inside() {
    chroot "$box" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        ${CARREL_DATA:+CARREL_DATA=/data} bash -c "$1"
}
finish() {
    umount -l "$box/proc" "$box/dev" 2>/dev/null || true
    [ -n "${KEEP:-}" ] || rm -rf --one-file-system "$box"
}
trap finish EXIT

say "debootstrap into $box"
debootstrap --variant=minbase --include=make,ca-certificates bookworm "$box" ${MIRROR:-} >"$box.log" 2>&1 ||
    { tail -n 20 "$box.log"; exit 1; }
[ -d /etc/apt/apt.conf.d ] && cp -a /etc/apt/apt.conf.d/. "$box/etc/apt/apt.conf.d/" 2>/dev/null || true
cp /etc/resolv.conf "$box/etc/resolv.conf"
mount -t proc proc "$box/proc"
mount --rbind /dev "$box/dev"
mkdir -p "$box/root/carrel"
(cd "$here" && tar -cf - --exclude=./build --exclude=./.git --exclude=node_modules .) | tar -xf - -C "$box/root/carrel"
if [ -n "${CARREL_DATA:-}" ]; then
    mkdir -p "$box/data"
    cp -a "$CARREL_DATA/." "$box/data/"
fi
bare=$(used)

say "make run"
began=$SECONDS
inside 'cd /root/carrel && (make run >/root/run.log 2>&1 & echo $! >/root/run.pid)'
until grep -q 'listening on' "$box/root/run.log" 2>/dev/null; do
    kill -0 "$(cat "$box/root/run.pid")" 2>/dev/null || { tail -n 30 "$box/root/run.log"; exit 1; }
    sleep 1
done
run_s=$((SECONDS - began))
url=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$box/root/run.log")
python3 - "$url" <<'END'
import sys, urllib.request
page = urllib.request.urlopen(sys.argv[1], timeout=10).read()
assert b"<html" in page.lower(), page[:200]
END
pkill -TERM -P "$(cat "$box/root/run.pid")" || true
run_mb=$(($(used) - bare))

say "make test"
began=$SECONDS
inside 'cd /root/carrel && make test' 2>&1 | tail -n 15
test_s=$((SECONDS - began))
test_mb=$(($(used) - bare))

say "make run: $run_s s, $run_mb MB more than the bare system's $bare MB"
say "make test: $test_s s, $test_mb MB in all"
