#!/bin/sh
# wall(1) of an embedded host: to every terminal in dev/pts, whatever becomes of one of them.
banner=yes
while [ $# -gt 0 ]; do
    case $1 in
    -n | --nobanner) banner= ;;
    -t | --timeout) shift ;;
    --) shift; break ;;
    -*)
        echo "wall: option '$1' is not known to an embedded host" >&2
        exit 1
        ;;
    *) break ;;
    esac
    shift
done
if [ $# -eq 1 ] && [ -f "$1" ]; then
    text=$(cat "$1")
elif [ $# -gt 0 ]; then
    text=$*
else
    text=$(cat)
fi
if [ -n "$banner" ]; then
    read -r host <"${PIPEDOWN_ROOT:?}/etc/hostname"
    text="
Broadcast message from ${USER:-root}@$host ($(date)):

$text
"
fi
# A terminal must not be told to do anything: control characters go, and line ends are made whole.
text=$(printf '%s\n' "$text" | tr -d '\000-\010\013-\037\177' | sed "s/\$/$(printf '\r')/"; echo .)
text=${text%.}
for tty in "$PIPEDOWN_ROOT"/dev/pts/[0-9]*; do
    [ -c "$tty" ] || continue
    # A terminal that was stopped with Ctrl-S would hold the others up.
    # shellcheck disable=SC2016 # the inner shell expands it
    printf '%s' "$text" | timeout 5 sh -c 'cat >"$1"' sh "$tty" 2>/dev/null &
done
wait
exit 0
