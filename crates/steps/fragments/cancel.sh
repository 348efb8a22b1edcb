# Calls a window off: RUN|any OPERATOR REASON [TEXT]. Without arguments, as `sh /var/lib/pipedown/window/cancel`, it is
# root on the host who does it, to whatever window there is.
#
# Prints one line for each thing put back, then `result cancelled|nothing|ended …|not-ours …|firing`.
# Status 0: nothing of the run is armed here any more. 1: something could not be put back. 3: too late.

wanted=${1-any} operator=${2-} reason=${3-called off on the host} said=${4-}
[ -n "$operator" ] || operator=$(id -un)@$(uname -n)
run=$wanted
[ "$(id -u)" = 0 ] || [ -n "$R" ] || fail 'cancel: only root can'

finish() {
	[ -z "$unlogged" ] || printf 'unlogged\n'
	printf 'result %s\n' "$1"
	exit "$2"
}

leave() {
	unlock
	# An agenda that fires at this moment is about to leave its tombstone.
	[ -d "$window" ] || rmdir "$state/ended" "$state" 2>/dev/null
}

# There is no window: says what is known of the run, and keeps it from being armed later. From T until the host is down
# there is /run/pipedown instead.
nothing() {
	line=
	[ ! -r "$state/ended/$run" ] || read -r line <"$state/ended/$run"
	case $run,$line in
	any,* | *,fired*) [ ! -d "$R/run/pipedown" ] || finish firing 3 ;;
	esac
	remove_unit reload
	[ "$run" != any ] || finish nothing 0
	[ -z "$line" ] || finish "ended $line" 0
	tombstone "$run" cancelled || printf 'failed to leave a tombstone: a later resume could arm the run again\n'
	finish nothing 0
}

# The claim: whoever renames `armed` decides. On a file system that takes no writes only the process can be ended.
# A window leaves its place in one act: what was read of it holds if it is still there afterwards.
claim() {
	mv "$window/armed" "$window/cancelling" 2>/dev/null && return
	if [ -e "$window/firing" ]; then
		find_agenda "$window" && finish firing 3
		# It went down in the act, and is back.
		find_boot
		[ ! -r "$window/boot" ] || { read -r down_boot <"$window/boot" && [ "$down_boot" = "$boot" ]; } || fired=yes
	fi
	[ -d "$window" ] || nothing
	[ ! -e "$window/armed" ] || printf 'failed to mark the window as called off: after a reboot it would come back\n'
}

tell() {
	[ -n "$text" ] || return 0
	broadcast 2
	printf 'told %s\n' "$reached"
	printf '%s' "$missed" | while read -r line; do
		printf 'missed %s\n' "$line"
	done
}

call_off() {
	run=$owner_run
	fired='' become=cancelled
	claim
	[ -z "$fired" ] || become=fired
	stop_agenda "$window" || fail "end the agenda (process $pid): the host may still go down"
	find_cancelled_text
	[ -z "$said" ] || text=$said
	bad=0
	take_back reload || bad=1
	buried=yes
	tombstone "$run" "$become" || buried=
	remove_window "$run" || bad=1
	[ -n "$buried" ] || tombstone "$run" "$become" ||
		printf 'failed to leave a tombstone: a later resume could arm the run again\n'
	[ ! -e "$window" ] && ! unit_exists || bad=1
	[ -n "$fired" ] || tell
	record notice "window removed: $become"
	[ "$bad" = 0 ] || fail "put everything back: see above, and $window"
	[ -z "$fired" ] || finish "ended fired" 0
	finish cancelled 0
}

lock cancel 20
case $? in
1) fail "take the lock: $held has it" ;;
2) printf 'failed to make a lock in %s: goes on without\n' "$state" ;;
esac
trap leave EXIT
trap 'exit 1' TERM INT
repair
[ -d "$window" ] || nothing
read_owner "$window" || owner_run=$wanted
if [ "$wanted" != any ] && [ "$wanted" != "$owner_run" ]; then
	[ -e "$state/ended/$wanted" ] || tombstone "$wanted" cancelled
	finish "not-ours $owner_run $owner_operator" 0
fi
[ "$wanted" != any ] || printf 'window %s %s\n' "$owner_run" "$owner_operator"
call_off
