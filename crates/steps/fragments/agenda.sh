# The agenda: does what is due, at its time, until the window ends. Runs as a unit, or detached, as
# `sh /var/lib/pipedown/window/agenda.sh`, after the library.
#
# A line of the agenda is `EPOCH NOT_AFTER ACTION ARGS`:
#   broadcast TEXT · nologin TEXT|- · motd TEXT|- · drain yes|no shutdown|abort · end
#   run STEP TIMEOUT abort|continue SCRIPT UNLESS|- CREATES|- ARG… · shutdown HOW logind|- TEXT
# where TEXT stands for the file text.TEXT, whose hash it is. It lives as long as the file `armed`: whoever renames
# that owns the window's end, be it the shutdown, a cancel, or an arm that replaces it.

[ -e "$window/armed" ] && read_owner "$window" || exit 0
cd /
trap '' HUP
run=$owner_run operator=$owner_operator controller=$owner_controller reason=$owner_reason
keep=$window
done_entries=' '
came_back=0 filled=0 quiet='' up_since='' drained=0 ready=''

# Notes that entry $1 needs no more attention: $2 is what became of it.
mark() {
	done_entries="$done_entries$1 "
	printf '%s %s %s\n' "$1" "$clock" "$2" >>"$window/done"
}

is_marked() {
	case $done_entries in *" $1 "*) return 0 ;; esac
	return 1
}

# Says a thing to the system log, once in a row.
complain() {
	[ "$quiet" = "$1" ] || record err "$1"
	quiet=$1
}

# After an unplanned reboot /run is new, and a shutdown whose time has passed meanwhile must not happen any more.
look_back() {
	[ ! -r "$window/done" ] || while read -r entry _; do
		done_entries="$done_entries$entry "
	done <"$window/done"
	find_boot
	old_boot=
	[ ! -r "$window/boot" ] || read -r old_boot <"$window/boot"
	[ "$old_boot" != "$boot" ] || return 0
	came_back=$clock
	printf '%s\n' "$boot" | write "$window/boot"
	if [ -e "$window/ours/nologin" ]; then
		rm -f "$window/before/nologin"
		: >"$window/before/nologin.absent"
	fi
	record notice 'the agenda came back after a reboot'
}

# Goes through the entries and sets what they ask for now: `nologin` and `motd` (a text, `-` for taken away, nothing),
# `message`, `drain`, `ending`, and the time of the `next` entry.
read_agenda() {
	entry=0 next='' nologin='' motd='' message='' drain='' ending='' slot=''
	while read -r at until action args; do
		entry=$((entry + 1))
		if [ "$at" -gt "$clock" ]; then
			[ -n "$next" ] && [ "$next" -le "$at" ] || next=$at
			[ "$action" != shutdown ] || slot="$at $args"
			continue
		fi
		late=
		[ "$clock" -le "$until" ] || late=yes
		case $action in
		drain) drain=$args ;;
		end) ending=end ;;
		shutdown)
			ending=${args%% *}
			[ -z "$late" ] && [ "$at" -ge "$came_back" ] || ending=missed
			;;
		*) read_entry ;;
		esac
	done <"$window/agenda"
}

# An entry that is done once.
read_entry() {
	if is_marked "$entry"; then
		:
	elif [ -n "$late" ]; then
		mark "$entry" skipped
		record warning "left out a $action that was due at $(date -d "@$at" +%H:%M:%S 2>/dev/null || echo "$at"): too late"
		return
	else
		case $action in
		run) run_script ;;
		broadcast)
			message=$args
			mark "$entry" sent
			;;
		*) mark "$entry" applied ;;
		esac
	fi
	case $action in
	nologin) nologin=$args ;;
	motd) motd=$args ;;
	esac
}

# Makes nologin and motd what the agenda asks for. nologin is looked at each time: logind and boots overwrite it.
set_states() {
	names=nologin
	[ ! -e "$window/etc-nologin" ] || names='nologin etc-nologin'
	for name in $names; do
		set_state "$name" "$nologin" again
	done
	set_state motd "$motd" once
	if [ -n "${nologin#-}" ]; then
		find_path nologin
		find_hash "$path"
		if [ "$hash" != "$nologin" ]; then
			up_since=
		elif [ -z "$up_since" ]; then
			up_since=$clock
		fi
	else
		up_since=
	fi
}

# State $1 should be text $2; `once` leaves alone what somebody else made of it later.
set_state() {
	if [ -n "${2#-}" ]; then
		ours=
		[ ! -r "$window/ours/$1" ] || read -r ours <"$window/ours/$1"
		if [ "$ours" = "$2" ]; then
			[ "$3" = again ] || return 0
			find_path "$1"
			find_hash "$path"
			[ "$hash" != "$2" ] || [ -L "$path" ] || return 0
		fi
		if put "$1" "$window/text.$2"; then
			record notice "wrote $path"
		else
			complain "failed to write $path"
		fi
	elif [ -e "$window/ours/$1" ]; then
		restore "$1" | while read -r line; do
			record info "$line"
		done
	fi
}

# Sends the text of file $1 and writes down who got it. At the end itself nobody waits for a stuck terminal.
send() {
	text=$(cat "$1")
	if [ -n "$ending" ]; then
		broadcast 2 &
		return
	fi
	broadcast 2
	clock
	printf '%s %s\n%s' "$clock" "$reached" "$missed" | write "$window/delivered"
	delivery
	record info "$delivery"
}

# Starts a script of the agenda beside the loop, in a process group of its own that its timeout ends.
run_script() {
	mark "$entry" started
	# shellcheck disable=SC2086 # words
	set -- $args
	script=$1
	# shellcheck disable=SC2016 # the inner shell's
	setsid sh -c '. "$1/lib"; run_entry "$@"' pipedown "$window" "$@" </dev/null >/dev/null 2>&1 &
	find_started $! && printf '%s %s\n' $! "$started" | write "$window/script.$script.pid"
}

# Looks after scripts that have ended; one that must not fail calls the window off.
see_scripts() {
	running=
	for file in "$window"/script.*.pid; do
		[ -e "$file" ] || continue
		script=${file%.pid}
		script=${script##*/script.}
		if [ -r "$window/script.$script.status" ]; then
			read -r status policy <"$window/script.$script.status"
			rm -f "$file"
			record notice "script $script ended with status $status"
			[ "$status" = 0 ] || [ "$policy" = continue ] || call_off aborted "script $script failed"
		elif read -r pid pid_started <"$file" && lives "$pid" "$pid_started"; then
			running=yes
		else
			printf '137 abort\n' | write "$window/script.$script.status" || rm -f "$file"
			running=yes
		fi
	done
}

# With an early drain: goes down as soon as nobody is left and nologin has kept others out for some seconds.
see_drain() {
	case $drain in yes*) ;; *) return 0 ;; esac
	[ "$clock" -ge "$((drained + 20))" ] && [ -n "$up_since" ] && [ "$clock" -ge "$((up_since + 5))" ] || return 0
	drained=$clock
	crowd=$(people) && [ -z "$crowd" ] || return 0
	ending=$(last_ending)
	[ -n "$ending" ] || return 0
	record notice 'everybody has left: going down early'
}

last_ending() {
	while read -r _ _ action how _; do
		[ "$action" != shutdown ] || printf '%s\n' "$how"
	done <"$window/agenda"
}

# Fills logind's slot a little after our own time, so that `shutdown --show` tells; never one that is taken.
keep_slot() {
	# shellcheck disable=SC2086 # words
	set -- $slot
	[ "${3-}" = logind ] && [ "$((clock + 5))" -lt "$1" ] || return 0
	find_schedule
	[ -z "$schedule" ] || return 0
	usec=$((($1 + 3) * 1000000))
	printf '%s\n' "$usec" | write "$window/slot" && logind call SetWallMessage sb '' false >/dev/null
	filled=$clock
	logind call ScheduleShutdown st "$2" "$usec" >/dev/null || complain 'failed to fill the slot in logind'
}

# The window ends without a shutdown: $1 goes on the tombstone, $2 says why. Users are told unless it simply ended.
call_off() {
	mv "$window/armed" "$window/cancelling" 2>/dev/null || exit 0
	trap '' TERM
	record notice "the window ends here: $2"
	find_cancelled_text
	take_back keep | while read -r line; do
		record info "$line"
	done
	tombstone "$run" "$1"
	[ "$1" = ended ] || [ -z "$text" ] || broadcast 2
	remove_window "$run" || record crit "failed to remove $window"
	remove_unit reload
	exit 0
}

# With nobody able to log in, and people still there at the deadline, the host stays up.
see_deadline() {
	case $drain in *abort) ;; *) return 0 ;; esac
	if ! crowd=$(people); then
		call_off aborted 'at the deadline sessions could not be read, and count as present'
	elif [ -n "$crowd" ]; then
		call_off aborted "at the deadline there were still: $(printf '%s\n' "$crowd" | awk '{ printf "%s%s on %s", comma, $1, $2; comma = ", " }')"
	fi
}

# Goes down: everything that outlives a boot is put back first, so that nothing can fire twice.
go_down() {
	mv "$window/armed" "$window/firing" 2>/dev/null || exit 0
	trap '' TERM INT
	record notice "$1 now"
	free_slot "$window" >/dev/null
	for name in etc-nologin motd; do
		restore "$name" | while read -r line; do
			record info "$line"
		done
	done
	find_cancelled_text
	tombstone "$run" fired
	remove_unit keep
	# What nologin replaced is needed only if the host does not go down.
	keep=$R/run/pipedown
	mkdir -p "$keep" && cp -R -P -p "$window/before" "$window/ours" "$keep" 2>/dev/null
	remove_window "$run" || record crit "failed to remove $window"
	order "$1" || stay_up "$1"
	exit 0
}

stay_up() {
	record crit "failed to $1: no command to go down works; logins are open again"
	restore nologin >/dev/null
	rm -rf "$keep"
	tombstone "$run" failed
	[ -z "$text" ] || broadcast 2
	on_systemd && limited 30 systemctl daemon-reload
}

# Whether logind is about to write a nologin of its own over ours: when it is told of a shutdown, and five minutes ahead.
expects_logind() {
	case $slot in *' logind '*) ;; *) return 1 ;; esac
	left=$((${slot%% *} - clock))
	{ [ "$left" -le 331 ] && [ "$left" -ge 294 ]; } || [ "$clock" -le "$((filled + 3))" ]
}

# Naps at most 30 s, 1 s when an entry is near, and less in its last two seconds.
rest() {
	clock
	pause=30
	if [ -n "$next" ]; then
		gap=$((next - clock))
		if [ "$gap" -le 2 ]; then
			pause=0.2
		elif [ "$gap" -le 31 ]; then
			pause=1
		elif [ "$gap" -lt 60 ]; then
			pause=$((gap - 30))
		fi
	fi
	case $pause in
	30 | 2?) if [ -n "$running" ]; then
		pause=2
	elif [ -n "$drain" ]; then
		pause=20
	fi ;;
	esac
	[ -z "$next" ] || [ "$next" -gt "$clock" ] || return 0
	[ "$pause" = 0.2 ] || ! expects_logind || pause=1
	nap "$pause"
}

turn() {
	clock
	read_agenda
	set_states
	if [ -z "$ready" ]; then
		find_started $$
		printf '%s %s\n' $$ "$started" | write "$window/pid"
		ready=yes
	fi
	see_scripts
	see_drain
	[ -z "$message" ] || send "$window/text.$message"
	case $ending in
	'') keep_slot ;;
	end) call_off ended 'its last entry is done' ;;
	missed) call_off missed 'its time has passed while nothing ran' ;;
	*)
		see_deadline
		go_down "$ending"
		;;
	esac
}

clock
look_back
while [ -e "$window/armed" ]; do
	turn
	rest
done
