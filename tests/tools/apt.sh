#!/bin/sh
# apt.sh PACKAGE[/COMMAND]... - install the Debian packages that are missing, naming
# them. One with a COMMAND is not missed when that is on the PATH already. Does
# nothing, and needs neither root nor a network, when all are there.
missing=
for p in "$@"; do
    case $p in */*)
        command -v "${p#*/}" >/dev/null && continue
        p=${p%/*} ;;
    esac
    dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null; then
    echo "this is not a Debian system; please install what corresponds to:$missing" >&2
    exit 1
fi
root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        printf 'missing packages; as root, run:\n    apt-get install --no-install-recommends%s\n' "$missing" >&2
        exit 1
    fi
    root=sudo
fi
echo "installing by apt:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
$root apt-get update -q >"$log" 2>&1 &&
    $root apt-get install -y -q --no-install-recommends $missing >>"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    echo "apt could not install:$missing" >&2
    exit 1
}
