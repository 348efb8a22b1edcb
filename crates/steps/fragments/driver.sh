# The driver: runs one request after the other until its standard input ends.
#
# Lines that begin with # (and blanks before) are not sent. What is read is described in src/wire.rs. Nothing but the
# builtin `read` takes from standard input, and nothing that outlives a request holds standard output or error.

set -u -f
umask 022
LC_ALL=C
# An embedded host's PATH is closed on purpose: one that falls through would reach the real machine's tools.
[ -n "${PIPEDOWN_ROOT-}" ] || PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin
export LC_ALL PATH
pd_ledger=${PIPEDOWN_ROOT-}/var/lib/pipedown/ledger
cd "${PIPEDOWN_ROOT:-/}" || exit 1
# A link that goes away must not end a request half-way; the end of standard input ends the driver.
trap '' HUP
# Shells report killed children on standard error: that must not reach the channel.
exec 8>&2 2>/dev/null
pd_tab=$(printf '\t')

# Sets pd_text to the bytes of an escaped field; the X keeps final newlines from being stripped. Most fields have no
# escapes, and need no process.
pd_decode() {
	pd_text=${1#.}
	case $pd_text in
	*\\*)
		pd_text=$(printf %bX "$pd_text")
		pd_text=${pd_text%X}
		;;
	esac
}

# Appends a line to the run's ledger. A line that was cut off by a full disk ends here: its last word is missing.
pd_record() {
	{ [ -d "$pd_ledger" ] || mkdir -p "$pd_ledger"; } &&
		printf '\n%s\n' "$1" >>"$pd_ledger/$pd_run"
}

# Records that something begins, and waits for the disk. Ends are not waited for: the next beginning takes them along,
# and one that a power cut loses is an end that is not known.
pd_begin() {
	pd_now=$(date +%s) && pd_record "started $1 $pd_now" && { sync "$pd_ledger/$pd_run" || sync; }
}

# Writes the first $1 of the remaining words as bytes.
pd_feed() {
	pd_left=$1
	while [ "$pd_left" -gt 0 ]; do
		shift
		printf %b "$1" || return
		pd_left=$((pd_left - 1))
	done
}

# Becomes the fragment: pd_source, with what follows the first $1 words as arguments.
pd_become() {
	# What changes the host goes on when nobody reads its output any more, as a systemd service would.
	[ "$pd_name" = - ] || trap '' PIPE
	shift "$(($1 + 1))"
	exec setsid sh -c "$pd_library
$pd_source" pipedown "$@" 2>&8 8>&-
}

# Ends the watchdog. It may not have become a group of its own yet. (`kill -KILL -PID` is the one form that dash,
# busybox, bash and the Korn shells all take for a group.)
pd_unwatch() {
	kill "-$1" "-$pd_watchdog" || {
		kill "-$1" "$pd_watchdog"
		kill "-$1" "-$pd_watchdog"
	}
	wait "$pd_watchdog"
}

# Runs the fragment in a session of its own and sets pd_status; pd_how becomes `late` if the deadline ended it.
# $1: how many of the following words are input; the rest are arguments.
pd_run_fragment() {
	if [ "$1" -gt 0 ]; then
		pd_feed "$@" </dev/null 8>&- | pd_become "$@" &
	else
		pd_become "$@" </dev/null &
	fi
	pd_child=$!
	# After its sleep the watchdog cannot be ended by TERM: whoever finds it gone with status 0 knows that it acted.
	# shellcheck disable=SC2016
	setsid sh -c 'sleep "$1"; trap "" TERM; kill -KILL "-$2"' pipedown "$pd_deadline" "$pd_child" \
		</dev/null >/dev/null 8>&- &
	pd_watchdog=$!
	wait "$pd_child"
	pd_status=$?
	if [ "$pd_status" -le 128 ]; then
		pd_unwatch KILL
	elif pd_unwatch TERM; then
		pd_how=late
	fi
}

# One request: nonce, deadline, ledger entry, number of arguments, source, arguments, input.
pd_request() {
	pd_nonce=$1 pd_deadline=$2 pd_name=$3 pd_left=$4 pd_how=ran pd_status=127
	pd_decode "$5"
	pd_source=$pd_text
	shift 5
	pd_words=$(($# - pd_left))
	# Arguments are decoded and move behind the input, one by one.
	while [ "$pd_left" -gt 0 ]; do
		pd_decode "$1"
		shift
		set -- "$@" "$pd_text"
		pd_left=$((pd_left - 1))
	done
	if ! command -v setsid >/dev/null; then
		pd_how=setsid
	elif [ "$pd_name" != - ] && ! pd_begin "$pd_name"; then
		pd_how=ledger
	else
		pd_run_fragment "$pd_words" "$@"
		[ "$pd_name" = - ] || pd_record "done $pd_name $pd_status ."
	fi
	printf '\n%s %s %s\n' "$pd_nonce" "$pd_status" "$pd_how" >&8
	printf '\n%s %s %s\n' "$pd_nonce" "$pd_status" "$pd_how" || exit 1
}

# The first line names the run and brings what every fragment begins with.
IFS=$pd_tab read -r pd_run pd_library || exit 0
pd_decode "$pd_library"
pd_library=$pd_text
while IFS= read -r pd_line; do
	IFS=$pd_tab
	# Split at tabs; the line holds no other separator, and names are not expanded (set -f).
	# shellcheck disable=SC2086
	set -- $pd_line
	pd_request "$@"
done
