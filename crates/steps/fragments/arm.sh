# Arms a window: RUN MODE NOLOGINS, with its files on standard input. MODE is `fresh`, `run:OLD` (takes the window of run OLD
# over) or `any` (takes over whatever stands: a window, a shutdown somebody scheduled, an admin's nologin). NOLOGINS is
# `run`, or `run+etc` where sshd does not ask PAM and therefore looks at /etc/nologin only.
#
# Standard input is a line `file NAME LINES` and that many lines, for each file, then `end`.
# Prints `result unchanged|armed`, then what was read back; `refused WHY …` with status 3; `failed WHY` with status 1,
# after what was done was taken back.

wanted=$1 mode=$2 nologins=$3
run=$wanted
stage=''

leave() {
	[ -z "$stage" ] || rm -rf "$stage"
	unlock
}
trap leave EXIT
trap 'exit 1' TERM INT

refuse() {
	printf 'refused %s\n' "$*"
	exit 3
}

# Unpacks standard input into $stage.
unpack() {
	while read -r word name lines; do
		case $word in
		end) return 0 ;;
		file) ;;
		*) return 1 ;;
		esac
		case $name in '' | .* | *[!a-z0-9.-]*) return 1 ;; esac
		while [ "$lines" -gt 0 ]; do
			IFS= read -r line || return 1
			printf '%s\n' "$line" || return 1
			lines=$((lines - 1))
		done >"$stage/$name" || return 1
	done
	return 1
}

# Whether the files of folder $1 are those that its list of hashes names.
is_whole() (
	cd "$1" || exit 1
	names=
	while read -r _ name; do
		names="$names $name"
	done <sums
	# shellcheck disable=SC2086 # names without blanks
	[ -n "$names" ] && [ "$(sha256sum $names 2>/dev/null)" = "$(cat sums)" ]
)

# Looks at the entries: sets `last`, the latest moment at which anything may happen, and `blocks`.
survey() {
	last=0 blocks='' fires=''
	while read -r at until action args; do
		[ "$until" -le "$last" ] || last=$until
		case $action in
		nologin) [ "$args" = - ] || blocks=yes ;;
		shutdown) fires=$at ;;
		esac
	done <"$stage/agenda"
}

# The gates, as the host itself sees them now.
check() {
	clock
	[ ! -e "$state/ended/$run" ] || { read -r line <"$state/ended/$run" && refuse "tombstone $line"; }
	survey
	[ "$last" -ge "$clock" ] || refuse "past $last $clock"
	[ -z "$fires" ] || [ "$fires" -gt "$clock" ] || refuse "past $fires $clock"
	if [ -d "$window" ]; then
		[ ! -e "$window/firing" ] || ! find_agenda "$window" || refuse 'firing'
		read_owner "$window" || owner_run=-
		case $mode in
		any) ;;
		"run:$owner_run") ;;
		*) [ "$owner_run" = "$run" ] || [ "$owner_run" = - ] || refuse "window $owner_run $owner_operator" ;;
		esac
	fi
	find_schedule
	slot=none
	[ ! -r "$window/slot" ] || read -r slot <"$window/slot"
	case $schedule in
	'' | *" $slot") schedule='' ;;
	*) [ "$mode" = any ] || refuse "schedule $schedule" ;;
	esac
	[ -z "$blocks" ] || check_nologin nologin
}

# Whether the nologin that stands is ours or systemd's.
check_nologin() {
	find_path "$1"
	[ -e "$path" ] && [ "$mode" != any ] && ! is_systemds || return 0
	ours=
	[ ! -r "$window/ours/$1" ] || read -r ours <"$window/ours/$1"
	find_hash "$path"
	[ "$hash" = "$ours" ] || refuse "nologin $path"
}

is_unchanged() {
	[ -e "$window/armed" ] && read_owner "$window" && [ "$owner_run" = "$run" ] && find_agenda "$window" &&
		[ "$(cat "$stage/sums")" = "$(cat "$window/sums")" ] && is_whole "$window"
}

# What stands now, in lines that the controller compares with what it sent.
read_back() {
	is_whole "$window" || return 1
	find_hash "$window/sums"
	printf 'sums %s\n' "$hash"
	find_hash "$window/agenda"
	printf 'agenda %s\n' "$hash"
	find_agenda "$window" || return 1
	read -r armed_at persistence <"$window/armed" || return 1
	printf 'process %s\npersistence %s\narmed %s\ncancel sh %s/cancel\n' "$pid" "$persistence" "$armed_at" "$window"
	[ -z "$unlogged" ] || printf 'unlogged\n'
}

# Sets the window that stands aside: from here on it cannot fire.
set_aside() {
	[ -d "$window" ] || return 0
	if ! mv "$window/armed" "$window/replacing" 2>/dev/null; then
		# One without `armed` was left half-way, unless it fires, or has just done so.
		[ ! -e "$window/firing" ] || ! find_agenda "$window" || refuse 'firing'
		[ -d "$window" ] && [ ! -e "$window/armed" ] || refuse 'firing'
	fi
	if ! stop_agenda "$window"; then
		mv "$window/replacing" "$window/armed"
		fail "end the agenda of run $owner_run (process $pid)"
	fi
	# What was there before the first of them is what the last of them puts back.
	for name in before ours slot etc-nologin made-wants; do
		[ ! -e "$window/$name" ] || cp -R -P -p "$window/$name" "$stage/$name" || {
			put_back
			fail 'copy what the window before has kept'
		}
	done
	mv "$window" "$state/replaced"
}

# Back to the window that stood, or to none.
put_back() {
	if [ -d "$state/replaced" ]; then
		[ ! -d "$window" ] || rm -rf "$window"
		mv "$state/replaced" "$window"
	fi
	[ -e "$window/replacing" ] || return 0
	mv "$window/replacing" "$window/armed" && read_owner "$window" && start_agenda >/dev/null 2>&1
}

# Takes back what this arm has done so far; a window that has claimed its own end meanwhile, called off or
# going down, is left to it.
give_up() {
	if [ -z "$stage" ] && ! mv "$window/armed" "$window/cancelling" 2>/dev/null && [ ! -e "$window/armed" ]; then
		! find_agenda "$window" && [ -d "$window" ] || fail 'keep the window: it ended at once'
	fi
	stop_agenda "$window" || fail "$1, and the agenda (process $pid) does not end"
	if [ -d "$state/replaced" ]; then
		restore_schedule "$window"
		put_back || fail "$1, and the window before cannot be put back"
	else
		take_back reload || fail "$1, and not everything could be put back"
		rm -rf "$window"
	fi
	record err "arming failed: $1"
	fail "$1"
}

# Cancels a schedule that is not ours, and keeps it for `cancel`.
take_schedule() {
	[ -n "$schedule" ] || return 0
	mkdir -p "$stage/before" && printf '%s\n' "$schedule" | write "$stage/before/schedule" || return 1
	case $schedule in
	process*)
		waiting=${schedule#process }
		shutdown_words "${waiting%% *}" >"$stage/before/shutdown" || return 1
		;;
	esac
	record notice "cancelled what was scheduled: $schedule"
	drop_schedule
}

arm() {
	old=''
	[ ! -d "$window" ] || old=$owner_run
	set_aside
	take_schedule || { put_back; fail 'cancel the shutdown that somebody scheduled'; }
	persistence=detached
	if on_systemd; then
		persistence=persistent
		[ -w "$R/etc/systemd/system" ] || persistence=transient
	fi
	clock
	printf '%s\n' "$boot" >"$stage/boot" && printf '%s %s\n' "$clock" "$persistence" >"$stage/armed" || {
		restore_schedule "$stage"
		put_back
		fail 'write the window'
	}
	mv "$stage" "$window" || give_up 'put the window in its place'
	stage=''
	sync "$window"/* "$window" "$state" 2>/dev/null || sync
	read_owner "$window" && start_agenda || give_up 'start the agenda'
	record notice "window armed, agenda is process $pid, $persistence"
	back=$(read_back) || [ -r "$state/ended/$run" ] || give_up 'read the window back'
	[ -z "$old" ] || [ "$old" = "$run" ] || [ "$old" = - ] || tombstone "$old" superseded
	rm -rf "$state/replaced"
	# A script of its own may have called it off in the meantime.
	[ ! -r "$state/ended/$run" ] || { read -r line <"$state/ended/$run" && fail "keep the window: it ended at once ($line)"; }
	printf 'result armed\n%s\n' "$back"
}

forget_old() {
	[ ! -d "$state/ended" ] || find "$state/ended" -type f -mtime +30 -exec rm -f {} +
}

[ "$(id -u)" = 0 ] || [ -n "$R" ] || refuse 'not-root'
lock arm 20
case $? in
1) fail "take the lock: $held has it" ;;
2) fail "make a lock in $state" ;;
esac
repair
find_started $$
stage=$state/arming.$$.$started
mkdir "$stage" && unpack && is_whole "$stage" && read_owner "$stage" ||
	fail "write the window's files to $stage (file system full or read-only?)"
operator=$owner_operator controller=$owner_controller reason=$owner_reason
[ "$nologins" = run ] || [ -L "$R/etc/nologin" ] || : >"$stage/etc-nologin"
if is_unchanged; then
	back=$(read_back) && printf 'result unchanged\n%s\n' "$back"
	exit
fi
check
arm
forget_old
