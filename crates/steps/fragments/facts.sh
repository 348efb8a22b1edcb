# Tells what a host is: one `KEY VALUE` a line. Changes nothing; what cannot be told has no line.

# One value of a key, if there is one.
say() {
	[ -z "$2" ] || printf '%s %s\n' "$1" "$2"
}

# The first line of file $2, as value of key $1.
say_file() {
	[ -r "$2" ] && IFS= read -r line 2>/dev/null <"$2" || return 0
	say "$1" "$line"
}

see_people() {
	if crowd=$(people); then
		[ -z "$crowd" ] || printf '%s\n' "$crowd" | sed 's/^/person /'
	else
		say people unreadable
	fi
}

see_init() {
	if on_systemd; then
		version=$(limited 4 systemctl --version 2>/dev/null | head -n 1)
		version=${version#systemd }
		say init "systemd ${version%% *}"
	elif [ -n "$R" ]; then
		say init other
	else
		IFS= read -r first 2>/dev/null </proc/1/comm || first=
		[ "$first" != init ] || ! has openrc || first=openrc
		say init "$first"
	fi
}

say now "$(date +%s.%N)"
if [ -r "$R/proc/sys/kernel/hostname" ]; then
	say_file hostname "$R/proc/sys/kernel/hostname"
else
	say hostname "$(hostname 2>/dev/null || uname -n)"
fi
os=
[ ! -r "$R/etc/os-release" ] || while IFS='=' read -r key value; do
	[ "$key" != PRETTY_NAME ] || os=$value
done <"$R/etc/os-release"
os=${os#\"}
say os "${os%\"}"
say kernel "$(uname -sr)"
say arch "$(uname -m)"
say_file machine "$R/etc/machine-id"
find_boot
[ "$boot" = - ] || say boot "$boot"
say_file uptime "$R/proc/uptime"
say login "${SUDO_USER:-${DOAS_USER:-$(id -un)}}"
see_init
see_people
say done-at "$(date +%s.%N)"
say end look
