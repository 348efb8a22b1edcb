# What all fragments share: where things are, who is there, and how a window begins and ends on a host.
#
# Every file path begins with $R: an embedded host lives below a folder. /proc/PID is always the kernel's own.
# Functions set variables instead of printing where a subshell would cost a process.

set -u
R=${PIPEDOWN_ROOT-}
[ -n "$R" ] || PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
# Clock times in messages are the host's, not those of whoever logged in.
unset TZ
umask 022
# A reader that went away must not end a change half-way.
trap '' PIPE

state=$R/var/lib/pipedown
window=$state/window
unit=pipedown-window.service
nl='
'
run='' operator='' controller='' reason='' unlogged='' LOCK=''

fail() {
	printf 'failed %s\n' "$*"
	exit 1
}

# ---- clock, boot, processes, files

clock() {
	clock=$(date +%s)
}

# A short nap of $1 seconds; a second where sleep knows no fractions.
nap() {
	sleep "$1" 2>/dev/null || sleep 1
}

find_boot() {
	boot=-
	[ ! -r "$R/proc/sys/kernel/random/boot_id" ] || read -r boot <"$R/proc/sys/kernel/random/boot_id" || boot=-
}

# Sets `started` to the start time of process $1, which tells it from a later one of the same number.
find_started() {
	started=
	[ -r "/proc/$1/stat" ] || return 1
	IFS= read -r stat_line 2>/dev/null <"/proc/$1/stat" || return 1
	stat_line=${stat_line##*) }
	# shellcheck disable=SC2086 # fields
	set -- $stat_line
	case ${1-Z} in Z | X) return 1 ;; esac
	started=${20-}
}

# Whether process $1 that started at $2 still lives.
lives() {
	[ -n "${1-}" ] && find_started "$1" && [ "$started" = "${2-}" ]
}

find_hash() {
	hash=-
	[ -f "$1" ] && hash=$(sha256sum 2>/dev/null <"$1") && hash=${hash%% *}
}

# Waits for the child processes $2… and ends with KILL what is left of them after $1 seconds: timeout(1) is not
# everywhere.
wait_for() {
	patience=$1
	shift
	{
		trap 'kill "$sleeper"; exit' TERM
		sleep "$patience" &
		sleeper=$!
		wait "$sleeper"
		kill -KILL "$@"
	} </dev/null >/dev/null 2>&1 &
	watchdog=$!
	wait "$@" 2>/dev/null
	waited=$?
	{
		kill "$watchdog"
		wait "$watchdog"
	} 2>/dev/null
	return "$waited"
}

# Runs a command for at most $1 seconds.
limited() {
	seconds=$1
	shift
	"$@" &
	wait_for "$seconds" $!
}

has() {
	command -v "$1" >/dev/null 2>&1
}

on_systemd() {
	[ -d "$R/run/systemd/system" ] && has systemctl
}

# One line for the system log: what, which run, who and why.
record() {
	has logger && logger -t pipedown -p "daemon.$1" -- "$2 (run ${run:--}, by ${operator:--}: ${reason:--})" \
		2>/dev/null || unlogged=1
}

# Puts standard input into file $1: all of it or nothing.
write() {
	cat >"$1.new" && mv -f "$1.new" "$1" || {
		rm -f "$1.new"
		return 1
	}
}

# ---- one change at a time

# The lock is the symbolic link lock.N with the highest N; its target names the holder, so that taking it and saying
# who has it are one act. A holder that died is outbid with N+1; of two bidders exactly one can make the link.
lock() {
	mkdir -p "$state" || return 2
	find_boot
	find_started $$
	holder=$1:$$:$started:$boot
	tries=$(($2 * 10)) refusals=0
	while :; do
		find_lock
		if [ -z "$held" ]; then
			if ln -s "$holder" "$state/lock.$((top + 1))" 2>/dev/null; then
				LOCK=$state/lock.$((top + 1))
				find_lock
				if [ -z "$held" ]; then
					for lock in "$state"/lock.*; do
						[ "$lock" = "$LOCK" ] || rm -f "$lock"
					done
					return 0
				fi
				unlock
			elif [ ! -d "$state" ]; then
				# Whoever had the lock has just tidied up.
				mkdir -p "$state" || return 2
			elif [ ! -L "$state/lock.$((top + 1))" ]; then
				# Released in between, or nothing can be made here.
				refusals=$((refusals + 1))
				[ "$refusals" -lt 3 ] || return 2
			fi
		fi
		[ "$tries" -gt 0 ] || return 1
		tries=$((tries - 1))
		nap 0.1
	done
}

# Sets `top` to the highest lock and `held` to a living holder other than ourselves.
find_lock() {
	top=0 held=
	for lock in "$state"/lock.*; do
		[ -L "$lock" ] || continue
		number=${lock##*.}
		[ "$number" -le "$top" ] || top=$number
		[ "$lock" != "$LOCK" ] || continue
		other=$(readlink "$lock") || continue
		pid=${other#*:} other_boot=${other##*:}
		other_started=${pid#*:} pid=${pid%%:*}
		[ "$other_boot" = "$boot" ] && lives "$pid" "${other_started%%:*}" && held=$other
	done
}

unlock() {
	[ -z "$LOCK" ] || rm -f "$LOCK"
	LOCK=
}

# ---- nologin and motd: what stood is kept, ours is known by its hash

# Sets `path` of a state, and `fresh`, the file beside it that becomes it by rename.
find_path() {
	case $1 in
	nologin) path=$R/run/nologin ;;
	etc-nologin) path=$R/etc/nologin ;;
	motd) path=$R/etc/motd ;;
	esac
	fresh=${path%/*}/.pipedown.${path##*/}
}

# Whether the file at $path is nobody's: the init system's own note while booting or going down, which it takes away
# itself.
is_systemds() {
	[ -f "$path" ] && [ ! -L "$path" ] && grep -q -e 'ystem is going down' -e 'System is booting up' "$path"
}

# Keeps what stands at the place of state $1 in $keep/before, once.
keep_before() {
	[ ! -e "$keep/before/$1" ] && [ ! -L "$keep/before/$1" ] && [ ! -e "$keep/before/$1.absent" ] || return 0
	mkdir -p "$keep/before" "$keep/ours" || return 1
	[ ! -d "$path" ] || return 1
	if { [ -e "$path" ] || [ -L "$path" ]; } && ! is_systemds; then
		cp -P -p "$path" "$keep/before/$1.new" && mv -f "$keep/before/$1.new" "$keep/before/$1"
	else
		: >"$keep/before/$1.absent"
	fi
}

# Makes state $1 read as file $2.
put() {
	find_path "$1"
	find_hash "$2"
	[ "$hash" != - ] && keep_before "$1" && printf '%s\n' "$hash" | write "$keep/ours/$1" || return 1
	want=$hash
	if cat "$2" >"$fresh" && chmod 644 "$fresh" && mv -f "$fresh" "$path"; then
		find_hash "$path"
		[ "$hash" = "$want" ]
	else
		rm -f "$fresh"
		return 1
	fi
}

# Puts back what state $1 was before us and says so, unless somebody else has changed it since.
restore() {
	find_path "$1"
	rm -f "$fresh"
	[ -e "$keep/ours/$1" ] || return 0
	read -r ours <"$keep/ours/$1" || ours=-
	find_hash "$path"
	before=$keep/before/$1
	if [ -e "$path" ] && { [ "$hash" != "$ours" ] || [ -L "$path" ]; } && ! is_systemds; then
		stands=$hash
		find_hash "$before"
		[ "$hash" = "$stands" ] || printf 'left %s: somebody else changed it\n' "$path"
	elif [ -e "$before" ] || [ -L "$before" ]; then
		if cp -P -p "$before" "$fresh" && mv -f "$fresh" "$path" || mv -f "$before" "$path"; then
			printf 'restored %s\n' "$path"
		else
			rm -f "$fresh"
			printf 'failed to restore %s\n' "$path"
			return 1
		fi
	elif [ -e "$path" ] && ! is_systemds; then
		if rm -f "$path"; then
			printf 'removed %s\n' "$path"
		else
			printf 'failed to remove %s\n' "$path"
			return 1
		fi
	fi
	rm -f "$keep/ours/$1" "$before" "$before.absent"
}

# ---- people

# Prints a line `USER TTY CLASS FROM` for each terminal somebody is logged in at and for each other login or left-over
# work of a user. Left out are pipedown's own sessions, services, and what the init system does by itself.
# Fails when that cannot be read.
people() {
	if [ -n "$R" ]; then
		has who || return 1
		who | awk '{
			from = $NF; if (from !~ /^\(/) from = "-"
			gsub(/[()]/, "", from); print $1, $2, "terminal", from
		}'
		return
	fi
	first_uid=1000
	[ ! -r /etc/login.defs ] || while read -r key value _; do
		[ "$key" != UID_MIN ] || first_uid=$value
	done </etc/login.defs
	{
		sed 's/^/passwd::/' /etc/passwd
		! has who || who 2>/dev/null | sed 's/^/who::/'
		grep -Hs -e '^REMOTE_HOST=' -e '^CLASS=' /run/systemd/sessions/*[0-9]
		grep -ls 'pipedown ready' /proc/[0-9]*/cmdline | sed 's/$/:/'
		grep -Hs '' /proc/[0-9]*/stat
		grep -Hs '^Uid:' /proc/[0-9]*/status
		grep -Hs '' /proc/[0-9]*/cgroup
	} | awk -v me=$$ -v first_uid="$first_uid" "$people_awk" | {
		whole=
		while read -r who tty class from; do
			case $who in
			-) whole=yes && continue ;;
			[0-9]*) ! has getent || { named=$(getent passwd "$who") && who=${named%%:*}; } ;;
			esac
			printf '%s %s %s %s\n' "$who" "$tty" "$class" "$from"
		done
		[ -n "$whole" ]
	}
}

# A user's work is what runs in a login session, below sshd, cron or atd, or as an ordinary user outside of services
# and containers. Processes belong together by session scope; where there is none, by the child of init's child that
# they descend from.
# shellcheck disable=SC2016 # awk's $
people_awk='
function group(p,   guard) {
	if (match(cgroup[p], /session-[^\/]*\.scope/)) return substr(cgroup[p], RSTART, RLENGTH)
	for (guard = 0; guard < 99 && (ppid[p] in ppid) && ppid[p] > 1 && ppid[ppid[p]] > 1; guard++) p = ppid[p]
	return p
}
function terminal(n,   major, minor) {
	if (n < 0) n += 4294967296
	major = int(n / 256) % 4096; minor = n % 256 + 256 * int(n / 1048576)
	if (major >= 136 && major <= 143) return "pts/" ((major - 136) * 256 + minor)
	if (major == 4) return minor < 64 ? "tty" minor : "ttyS" (minor - 64)
	return ""
}
function service(p) {
	if (cgroup[p] ~ /machine\.slice|docker|kubepods|libpod|\/lxc/) return 1
	if (cgroup[p] ~ /user@[0-9]+\.service/) return comm[p] ~ /^(systemd|\(sd-pam\)|dbus-daemon|dbus-broker.*|gpg-agent|ssh-agent)$/
	return cgroup[p] ~ /system\.slice/ && cgroup[p] !~ /cron|atd|ssh|slurm/
}
function name(u) { return (u in user) ? user[u] : u }
function clean(s) { gsub(/[^!-~]/, "?", s); return s == "" ? "-" : s }
{ at = index($0, ":"); path = substr($0, 1, at - 1); text = substr($0, at + 1); split(path, part, "/"); pid = part[3] }
path == "passwd" { split(text, f, ":"); if (!(f[4] in user)) user[f[4]] = f[2]; next }
path == "who" { split(substr(text, 2), f, " "); if (match(text, /\([^()]*\)$/)) host[f[2]] = substr(text, RSTART + 1, RLENGTH - 2); next }
part[3] == "systemd" {
	scope = "session-" part[5] ".scope"
	at = index(text, "="); key = substr(text, 1, at - 1); text = substr(text, at + 1)
	if (key == "CLASS") kind[scope] = text
	if (key == "REMOTE_HOST") origin[scope] = text
	next
}
part[4] == "cmdline" { mark[pid] = 1; next }
part[4] == "stat" && !(pid in ppid) {
	if (!match(text, /^[0-9]+ \(.*\) /)) next
	head = substr(text, 1, RLENGTH - 2); split(substr(text, RLENGTH + 1), f, " ")
	if (f[1] == "Z" || f[1] == "X") next
	comm[pid] = substr(head, index(head, "(") + 1); ppid[pid] = f[2]; tty[pid] = terminal(f[5]); next
}
part[4] == "status" { split(text, f, "\t"); uid[pid] = f[2]; next }
part[4] == "cgroup" && text ~ /^(0::|[0-9]+:name=systemd:)/ { cgroup[pid] = cgroup[pid] " " text }
END {
	for (p in ppid) { member[p] = group(p); if (p == me || ((p in mark) && uid[p] == 0)) own[member[p]] = 1 }
	for (p in ppid) {
		g = member[p]
		if ((g in own) || kind[g] ~ /^(manager|greeter|lock-screen)/ || !(p in uid)) continue
		t = tty[p]
		if (t != "" && p + 0 > 1 && comm[p] !~ /^([am]?[im]?n?getty|login)$/ && !service(p)) {
			# The pty that sudo makes stands for the one it was called from.
			q = ppid[p]
			if (comm[q] == "sudo" && tty[q] != "" && tty[q] != t) { shadow[t] = 1; continue }
			seated[g] = 1
			if (!(t in owner) || (uid[p] > 0 && (uid[owner[t]] == 0 || p + 0 < owner[t] + 0))) owner[t] = p
		}
	}
	for (t in owner) if (!(t in shadow)) {
		p = owner[t]; g = member[p]
		print name(uid[p]), t, "terminal", clean((g in origin) ? origin[g] : host[t])
	}
	for (p in ppid) {
		g = member[p]
		if ((g in own) || (g in seated) || kind[g] ~ /^(manager|greeter|lock-screen)/ || !(p in uid)) continue
		if (uid[p] < first_uid || uid[p] == 65534 || service(p) || tty[p] != "") continue
		key = g " " uid[p]
		if (!(key in idle) || comm[idle[key]] ~ /^sshd/ || (p + 0 < idle[key] + 0 && comm[p] !~ /^sshd/)) idle[key] = p
	}
	for (key in idle) {
		p = idle[key]; g = member[p]
		print name(uid[p]), "-", "background", clean((g in origin) ? origin[g] : comm[p])
	}
	# Without ourselves in it the list is not whole.
	if (me in ppid) print "-"
}'

# Writes $text to every terminal somebody is logged in at. A terminal that takes nothing (Ctrl-S) is given up after
# $1 seconds. Sets `reached` to a number and `missed` to lines `USER WHY`.
broadcast() {
	reached=0 missed=
	crowd=$(people) || missed="- sessions cannot be read$nl"
	message=$(printf '%s\n' "$text" | tr -d '\000-\010\013-\037\177' | awk '{ printf "%s%s", end, $0; end = "\r\n" }')
	header="Broadcast from $operator via pipedown ($(date +%H:%M)):"
	got=$nl$(printf '%s\n' "$crowd" | {
		writers=
		while read -r who tty class _; do
			[ "$class" = terminal ] && [ -c "$R/dev/$tty" ] || continue
			{ printf '\r\n\a%s\r\n\r\n%s\r\n\r\n' "$header" "$message" >"$R/dev/$tty" && echo "$tty"; } 2>/dev/null &
			writers="$writers $!"
		done
		# shellcheck disable=SC2086 # numbers
		[ -z "$writers" ] || wait_for "$1" $writers
	})$nl
	set -f
	IFS=$nl
	for line in $crowd; do
		IFS=' '
		# shellcheck disable=SC2086 # fields
		set -- $line
		case $3 in
		terminal) case $got in
			*"$nl$2$nl"*) reached=$((reached + 1)) ;;
			*) missed="$missed$1 terminal $2 blocked$nl" ;;
			esac ;;
		*) case $nl$missed in
			*"$nl$1 no terminal$nl"*) ;;
			*) missed="$missed$1 no terminal$nl" ;;
			esac ;;
		esac
	done
	unset IFS
	set +f
}

# Who was reached, in a line for the log.
delivery() {
	list=$(printf '%s' "$missed" | awk '{ printf "%s%s", comma, $0; comma = ", " }')
	delivery="message to $reached terminal(s)${list:+, not to: $list}"
}
