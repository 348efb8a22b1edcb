# ---- a window: who owns it, its agenda's process, its end

# Reads who owns the window in folder $1.
read_owner() {
	owner_run='' owner_operator='' owner_controller='' owner_reason=''
	[ -r "$1/owner" ] || return 1
	while read -r key value; do
		case $key in
		run) owner_run=$value ;;
		operator) owner_operator=$value ;;
		controller) owner_controller=$value ;;
		reason) owner_reason=$value ;;
		esac
	done <"$1/owner"
	[ -n "$owner_run" ]
}

# Sets `pid` to the process that executes the agenda in folder $1, if it lives.
find_agenda() {
	pid=''
	[ -r "$1/pid" ] && read -r pid pid_started <"$1/pid" && lives "$pid" "$pid_started"
}

# Ends that process, and the scripts it has started, and sees them dead.
stop_agenda() {
	if on_systemd && unit_exists; then
		limited 15 systemctl stop "$unit" >/dev/null 2>&1
	fi
	for file in "$1/pid" "$1"/script.*.pid; do
		[ -r "$file" ] && read -r pid pid_started <"$file" || continue
		tries=30
		while lives "$pid" "$pid_started"; do
			[ "$tries" -gt 0 ] || return 1
			signal=TERM
			[ "$tries" -gt 10 ] || signal=KILL
			kill -s "$signal" -- "-$pid" 2>/dev/null || kill -s "$signal" "$pid" 2>/dev/null
			tries=$((tries - 1))
			nap 0.1
		done
	done
}

# Starts the agenda and waits until it has looked at its entries once.
start_agenda() {
	rm -f "$window/pid"
	if on_systemd; then
		install_unit && limited 30 systemctl daemon-reload || return 1
		limited 10 systemctl --no-block restart "$unit" || return 1
	else
		persistence=detached
		(
			cd /
			trap '' HUP
			exec setsid sh "$window/agenda.sh" </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
		) &
	fi
	tries=100
	# One that has ended already has left a tombstone.
	until find_agenda "$window" || [ -e "$state/ended/$owner_run" ]; do
		[ "$tries" -gt 0 ] || return 1
		tries=$((tries - 1))
		nap 0.1
	done
}

unit_exists() {
	[ -e "$R/etc/systemd/system/$unit" ] || [ -e "$R/run/systemd/system/$unit" ]
}

# Installs the unit that starts the agenda, now and after an unplanned reboot. With a read-only /etc it is one of
# this boot only.
install_unit() {
	units=$R/etc/systemd/system persistence=persistent
	[ -w "$units" ] || units=$R/run/systemd/system persistence=transient
	wants=$units/multi-user.target.wants
	[ -d "$wants" ] || { mkdir -p "$wants" && : >"$window/made-wants"; } || return 1
	# systemd-user-sessions.service deletes nologin: the agenda must come after it.
	printf '%s\n' '[Unit]' \
		"Description=pipedown maintenance window of run $owner_run; root calls it off with: sh $window/cancel" \
		'After=systemd-user-sessions.service' \
		"ConditionPathExists=$window/armed" \
		'StartLimitIntervalSec=0' \
		'[Service]' \
		"ExecStart=/bin/sh $window/agenda.sh" \
		'WorkingDirectory=/' \
		'Restart=on-failure' \
		'RestartSec=1' \
		'TimeoutStopSec=5' \
		'OOMScoreAdjust=-900' | write "$units/$unit" || return 1
	[ -L "$wants/$unit" ] || ln -s "../$unit" "$wants/$unit"
}

# Takes the unit away; with `reload`, systemd forgets it too.
remove_unit() {
	found=
	for units in "$R/etc/systemd/system" "$R/run/systemd/system"; do
		[ -e "$units/$unit" ] || [ -L "$units/multi-user.target.wants/$unit" ] || continue
		found=yes
		rm -f "$units/$unit" "$units/$unit.new" "$units/multi-user.target.wants/$unit" || return 1
		[ ! -e "$window/made-wants" ] || rmdir "$units/multi-user.target.wants" 2>/dev/null
	done
	[ -z "$found" ] || [ "$1" != reload ] || ! on_systemd || limited 30 systemctl daemon-reload
}

# Removes what the window of run $1 keeps here. It goes from its place in one act: what is left of it half-way must
# not look like a window.
remove_window() {
	mv "$window" "$state/gone.$$" 2>/dev/null
	rm -rf "$state/gone.$$" "$window" && rm -f "$state/ledger/$1" || return 1
	rmdir "$state/ledger" 2>/dev/null
	return 0
}

# Leaves the one line that keeps run $1 from being armed here again: $2 is what became of it.
tombstone() {
	mkdir -p "$state/ended" && clock && printf '%s %s %s\n' "$2" "$clock" "${operator:--}" | write "$state/ended/$1"
}

# ---- what is scheduled: logind's slot, or sysvinit's shutdown, a process that waits

# shellcheck disable=SC2086 # words
logind() {
	verb=$1 member=$2
	shift 2
	login1=org.freedesktop.login1
	limited 4 busctl --timeout=3 "$verb" $login1 /org/freedesktop/login1 $login1.Manager "$member" "$@" 2>/dev/null
}

# Prints what process $1, a shutdown, was told, a word a line; its time begins with @.
shutdown_words() {
	tr '\000' '\n' <"/proc/$1/cmdline" | awk '
		NR == 1 { next }
		told || skip { skip = 0; print; next }
		/^-/ { skip = /t$/; print; next }
		{ told = 1; print "@" $0 }'
}

# Sets `due` to the second at which process $1, a shutdown, acts; to 0 if that cannot be told.
find_due() {
	due=0
	find_started "$1" || return 0
	while read -r key value _; do
		# 100 ticks a second are what Linux tells everybody.
		[ "$key" != btime ] || began=$((value + started / 100))
	done </proc/stat
	told=$(shutdown_words "$1" | sed -n 's/^@//p')
	case $told in
	+*[!0-9]* | +0?*) ;;
	+?*) due=$((began + ${told#+} * 60)) ;;
	*:*)
		due=$(date -d "$told" +%s 2>/dev/null) || due=0
		[ "$due" -eq 0 ] || [ "$due" -ge "$began" ] || due=$((due + 86400))
		;;
	esac
}

# Sets `schedule` to `BY MODE USEC`, or to nothing.
find_schedule() {
	schedule=
	file=$R/run/systemd/shutdown/scheduled
	if has busctl && on_systemd && seen=$(logind get-property ScheduledShutdown); then
		# (st) "poweroff" 1795456800000000
		case $seen in *'""'*) return ;; esac
		planned=${seen#*\"}
		schedule="logind ${planned%%\"*} ${seen##* }"
	elif [ -r "$file" ]; then
		planned='' usec=0
		while IFS='=' read -r key value; do
			case $key in
			MODE) planned=$value ;;
			USEC) usec=$value ;;
			esac
		done <"$file"
		schedule="file ${planned:--} $usec"
	elif [ -z "$R" ] && ! on_systemd; then
		seen=$(grep -Hs '(shutdown) [^ZX]' /proc/[0-9]*/stat)
		seen=${seen#/proc/}
		[ -z "$seen" ] || { find_due "${seen%%/*}" && schedule="process ${seen%%/*} ${due}000000"; }
	fi
}

# Cancels whatever shutdown is scheduled, and sees it gone. sysvinit's takes any nologin away in going, ours and an
# admin's, too.
drop_schedule() {
	find_path nologin
	saved=
	[ ! -e "$path" ] || is_systemds || { saved=$path.pipedown && cp -P -p "$path" "$saved" || return 1; }
	case $schedule in
	logind*) logind call CancelScheduledShutdown >/dev/null ;;
	*) limited 10 shutdown -c >/dev/null 2>&1 ;;
	esac
	tries=50
	find_schedule
	while [ -n "$schedule" ] && [ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		nap 0.1
		find_schedule
	done
	if [ -n "$saved" ]; then
		if [ -e "$path" ]; then rm -f "$saved"; else mv -f "$saved" "$path"; fi || return 1
	fi
	[ -z "$schedule" ]
}

# Schedules again what the window in folder $1 has taken the place of.
schedule_again() {
	read -r by planned usec <"$1/before/schedule" || return 1
	clock
	left=$((usec / 1000000 - clock))
	[ "$left" -ge 60 ] || return 1
	case $by in
	logind) logind call ScheduleShutdown st "$planned" "$usec" >/dev/null ;;
	process) shut_down_in $(((left + 59) / 60)) "$1/before/shutdown" ;;
	*) return 1 ;;
	esac
}

# Starts sysvinit's shutdown with the words of file $2, and $1 minutes for its time; sees that it waits.
shut_down_in() {
	minutes=$1 words=$2
	set --
	while IFS= read -r word; do
		case $minutes$word in
		[0-9]*@*) word=+$minutes minutes= ;;
		esac
		set -- "$@" "$word"
	done <"$words" || return 1
	(
		cd /
		trap '' HUP
		exec setsid shutdown "$@" </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
	) &
	tries=30
	find_schedule
	until [ -n "$schedule" ]; do
		[ "$tries" -gt 0 ] || return 1
		tries=$((tries - 1))
		nap 0.1
		find_schedule
	done
}

# Takes the slot back that the agenda of the window in folder $1 filled.
free_slot() {
	[ -r "$1/slot" ] && read -r slot <"$1/slot" || return 0
	find_schedule
	case $schedule in
	*" $slot") drop_schedule && printf 'removed the schedule in logind\n' || return 1 ;;
	esac
}

# Frees the slot of the window in folder $1, and puts back what somebody else had scheduled, if that is still a
# minute away.
restore_schedule() {
	free_slot "$1" || return 1
	[ -r "$1/before/schedule" ] || return 0
	if schedule_again "$1"; then
		printf 'restored the shutdown that was scheduled (%s)\n' "$by"
	else
		printf 'left out the shutdown that was scheduled before (%s): it is past, or cannot be told\n' "$by"
	fi
	rm -f "$1/before/schedule" "$1/before/shutdown"
}

# Puts everything back that the window has changed, one line each. Its agenda is dead, or is ourselves.
take_back() {
	keep=$window undone=0
	restore_schedule "$window" || undone=1
	for name in nologin etc-nologin motd; do
		restore "$name" || undone=1
	done
	remove_unit "$1" || undone=1
	return "$undone"
}

# The text with which users are told that the window is off.
find_cancelled_text() {
	text=
	[ -r "$window/agenda" ] || return 0
	while read -r _ _ action _ _ id _; do
		[ "$action" = shutdown ] && [ -r "$window/text.$id" ] && text=$(cat "$window/text.$id")
	done <"$window/agenda"
}

# Puts an interrupted exchange of one window for another in order. Whoever calls has the lock.
repair() {
	if [ -d "$state/replaced" ]; then
		if [ -d "$window" ]; then
			read_owner "$state/replaced" && old=$owner_run && read_owner "$window" && [ "$old" != "$owner_run" ] &&
				tombstone "$old" superseded
			rm -rf "$state/replaced"
		else
			mv "$state/replaced" "$window"
		fi
	fi
	rm -rf "$state"/gone.*
	for stage in "$state"/arming.*; do
		[ ! -d "$stage" ] || lives_stage "$stage" || rm -rf "$stage"
	done
}

# A stage is called arming.PID.START.
lives_stage() {
	pid=${1##*/arming.}
	lives "${pid%%.*}" "${pid#*.}"
}
