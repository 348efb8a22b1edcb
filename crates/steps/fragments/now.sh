# Does one thing at once, without a window: RUN OPERATOR REASON REPLACE ACTION, the text on standard input.
# REPLACE: `keep` or `replace` for what somebody else has put there. ACTION: `broadcast`, `nologin present`,
# `nologin absent`, `motd present`, `motd absent`.
#
# Prints `told N` and `missed …`, or lines about what changed, then `result changed|unchanged`; `refused WHY` with
# status 3; `failed WHY` with status 1.

run=$1 operator=$2 reason=$3 replace=$4 action=$5 presence=${6-}
keep=$state/now

refuse() {
	printf 'refused %s\n' "$*"
	exit 3
}

finish() {
	[ -z "$unlogged" ] || printf 'unlogged\n'
	printf 'result %s\n' "$1"
	exit 0
}

leave() {
	rm -f "$keep/text"
	rmdir "$keep/before" "$keep/ours" "$keep" 2>/dev/null
	unlock
	rmdir "$state" 2>/dev/null
}

tell() {
	text=$(cat)
	broadcast 2
	delivery
	record notice "$delivery"
	printf 'told %s\n' "$reached"
	printf '%s' "$missed" | while read -r line; do
		printf 'missed %s\n' "$line"
	done
	finish changed
}

# Refuses to touch what a window of pipedown, or somebody else, has put there.
check_owner() {
	if [ -e "$window/ours/$action" ]; then
		read_owner "$window"
		refuse "window $owner_run $owner_operator"
	fi
	find_path "$action"
	find_hash "$path"
	ours=
	[ ! -r "$keep/ours/$action" ] || read -r ours <"$keep/ours/$action"
	# Any motd may be replaced: what stood there comes back.
	[ "$action" = nologin ] && [ -e "$path" ] && [ "$hash" != "$ours" ] && ! is_systemds || return 0
	[ "$replace" = replace ] || refuse "nologin $path"
}

appear() {
	mkdir -p "$keep" && cat >"$keep/text" || fail "write to $keep (file system full or read-only?)"
	find_hash "$keep/text"
	want=$hash
	find_hash "$path"
	[ "$hash" != "$want" ] || [ "$ours" != "$want" ] || finish unchanged
	put "$action" "$keep/text" || fail "write $path"
	printf '%s %s\n' "$run" "$operator" | write "$keep/ours/$action.by"
	record notice "wrote $path"
	printf 'wrote %s\n' "$path"
	finish changed
}

vanish() {
	[ -n "$ours" ] || [ -e "$path" ] && { [ "$action" = nologin ] || [ -n "$ours" ]; } || finish unchanged
	done=$(restore "$action") || fail "put $path back"
	rm -f "$keep/ours/$action.by"
	if [ -z "$ours" ] || { [ "$replace" = replace ] && [ "$hash" != "$ours" ]; }; then
		rm -f "$path" || fail "remove $path"
		done="removed $path"
	fi
	record notice "${done:-$path was gone}"
	[ -z "$done" ] || printf '%s\n' "$done"
	finish changed
}

[ "$(id -u)" = 0 ] || [ -n "$R" ] || refuse not-root
[ "$action" != broadcast ] || tell
lock now 20
case $? in
1) fail "take the lock: $held has it" ;;
2) fail "make a lock in $state" ;;
esac
trap leave EXIT
trap 'exit 1' TERM INT
check_owner
case $presence in
present) appear ;;
absent) vanish ;;
esac
