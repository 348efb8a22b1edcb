#!/bin/sh
# who(1) of an embedded host: name, line, time, (address).
[ -r "${PIPEDOWN_ROOT:?}/run/embed.users" ] || exit 0
while read -r user line since from; do
    when=$(date -d "@$since" '+%Y-%m-%d %H:%M' 2>/dev/null || date -r "$since" '+%Y-%m-%d %H:%M')
    printf '%-8s %-12s %s (%s)\n' "$user" "$line" "$when" "$from"
done <"$PIPEDOWN_ROOT/run/embed.users"
