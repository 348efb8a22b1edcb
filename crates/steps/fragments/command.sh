# What starts a command as it was typed. Lines that begin with # are not sent; the others are joined by blanks to one
# line between single quotes in whatever the login shell is (sh, csh, fish): no quote and no backslash may occur, and
# `!` only before a blank.
# $1: seconds until the process group is killed, or -. $2: a word printed on standard error once sudo is done, or -.
# $3: b if the words behind it are escaped for printf's %b, or -. Then the words.
l=$1; k=$2; e=$3; shift 3;
[ "$k" = - ] || echo "pipedown ready $k" >&2;
if [ "$e" = b ]; then n=$#; while [ "$n" -gt 0 ]; do
v=$(printf %bX "$1"); shift; set -- "$@" "${v%X}"; n=$((n - 1)); done; fi;
[ "$l" = - ] && exec "$@";
# The timeout of busybox, a link, would kill the one process only.
t=$(command -v timeout); case $t in /*) [ -L "$t" ] || exec timeout -s KILL "$l" "$@" ;; esac;
w() { kill $! ; exit; };
{ trap w TERM; sleep "$l" & wait $! && kill -KILL 0; } </dev/null >/dev/null 2>&1 &
w=$! ; "$@"; s=$?; kill "$w"; exit "$s"
