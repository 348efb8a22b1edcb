# Looks: prints everything that is known about the host, one `KEY VALUE` a line, and changes nothing at all.
# What takes long runs side by side; each of its lines is short enough to be written whole.

keep=$window

# One value of a key, if there is one.
say() {
	[ -z "$2" ] || printf '%s %s\n' "$1" "$2"
}

# The first line of file $2, as value of key $1.
say_file() {
	[ -r "$2" ] && IFS= read -r line 2>/dev/null <"$2" || return 0
	say "$1" "$line"
}

# Every line of file $2, each as a value of key $1.
say_lines() {
	[ ! -r "$2" ] || while IFS= read -r line; do
		printf '%s %s\n' "$1" "$line"
	done <"$2"
}

see_host() {
	if [ -r "$R/proc/sys/kernel/hostname" ]; then
		say_file hostname "$R/proc/sys/kernel/hostname"
	else
		say hostname "$(hostname 2>/dev/null || uname -n)"
	fi
	os=
	[ ! -r "$R/etc/os-release" ] || while IFS='=' read -r key value; do
		[ "$key" != PRETTY_NAME ] || os=$value
	done <"$R/etc/os-release"
	say os "${os:-$(uname -sr)}"
	say_file machine "$R/etc/machine-id"
	find_boot
	say boot "$boot"
	say_file timezone "$R/etc/timezone"
	say localtime "$(readlink "$R/etc/localtime")"
	say root "$(id -u)"
	say login "${SUDO_USER:-${DOAS_USER:-$(id -un)}}"
	if on_systemd; then say init systemd; else say init other; fi
}

see_logind() {
	on_systemd || { say logind absent && return; }
	case $(limited 4 systemctl show -p LoadState --value systemd-logind.service 2>/dev/null) in
	masked) say logind masked ;;
	loaded) if has busctl; then
		logind call ListInhibitors | sed 's/^/inhibitors /' &
		if property=$(logind get-property ScheduledShutdown); then say logind running; else say logind silent; fi
		say scheduled "$property"
		wait $!
	else
		say logind running
	fi ;;
	not-found) say logind absent ;;
	*) say logind silent ;;
	esac
}

see_sshd() {
	sshd=$(command -v sshd) && [ "$(id -u)" = 0 ] && [ -z "$R" ] || return 0
	limited 4 "$sshd" -T 2>/dev/null | while read -r key value; do
		case $key in permitrootlogin | usepam) say "sshd" "$key $value" ;; esac
	done
}

see_people() {
	if crowd=$(people); then
		[ -z "$crowd" ] || printf '%s\n' "$crowd" | sed 's/^/person /'
	else
		say people unreadable
	fi
}

see_states() {
	for name in nologin etc-nologin motd; do
		find_path "$name"
		[ -f "$path" ] || continue
		find_hash "$path"
		line=
		IFS= read -r line 2>/dev/null <"$path"
		owner=other
		[ ! -r "$state/now/ours/$name" ] || { read -r ours <"$state/now/ours/$name" && [ "$ours" = "$hash" ] && owner=now; }
		[ ! -r "$window/ours/$name" ] || { read -r ours <"$window/ours/$name" && [ "$ours" = "$hash" ] && owner=ours; }
		[ "$owner" != other ] || ! is_systemds || owner=systemd
		printf 'file %s %s %s %s %s %s\n' "$name" "$path" "$(stat -c %a "$path")" "$hash" "$owner" "$line"
	done
}

see_window() {
	at=$window
	[ -d "$at" ] || at=$state/replaced
	for stage in "$state"/arming.*; do
		[ ! -d "$stage" ] || say leftover "$stage"
	done
	[ -d "$at" ] || return 0
	say_lines owner "$at/owner"
	say_lines agenda "$at/agenda"
	find_hash "$at/agenda"
	say agenda-hash "$hash"
	find_hash "$at/sums"
	say sums-hash "$hash"
	say_lines "done" "$at/done"
	say_lines delivered "$at/delivered"
	say_file armed "$at/armed"
	say_file window-boot "$at/boot"
	say_file slot "$at/slot"
	say cancel "sh $window/cancel"
	for phase in armed firing cancelling replacing; do
		[ ! -e "$at/$phase" ] || say phase "$phase"
	done
	for text in "$at"/text.*; do
		say_file "text ${text##*/text.}" "$text"
	done
	if find_agenda "$at"; then say alive yes; else say alive no; fi
}

see_ended() {
	for grave in "$state"/ended/*; do
		[ ! -f "$grave" ] || say_file "ended ${grave##*/}" "$grave"
	done
}

see_schedule() {
	[ -r "$R/run/systemd/shutdown/scheduled" ] && say_lines scheduled-file "$R/run/systemd/shutdown/scheduled"
	[ -z "$R" ] && ! on_systemd || return 0
	find_schedule
	say schedule "$schedule"
}

see_tools() {
	for tool in date sleep setsid cat mv cp rm rmdir mkdir ln chmod id sha256sum readlink tr sed grep awk sync stat \
		find logger; do
		has "$tool" || say missing "$tool"
	done
	on_systemd || has shutdown || has poweroff || say missing shutdown
	! on_systemd || has busctl || say missing busctl
}

see_space() {
	for folder in "$R/run" "$R/var/lib" "$R/etc" "$R/etc/systemd/system"; do
		[ -d "$folder" ] || continue
		[ -w "$folder" ] || say read-only "$folder"
	done
	stat -f -c 'space %n %a %S %d %c' "$R/run" "$R/var/lib" "$R/etc" 2>/dev/null
}

say now "$(date +%s.%N)"
see_logind &
logind_pid=$!
see_sshd &
sshd_pid=$!
see_people &
people_pid=$!
see_host
see_states
see_window
see_ended
see_schedule
see_tools
see_space
say offset "$(date +%z)"
wait "$logind_pid" "$sshd_pid" "$people_pid"
say done-at "$(date +%s.%N)"
say end look
exit 0
