# How a host goes down, whatever it is made of.

# Tries the ways to go down, one after the other, until the host ends us.
order() {
	case $1 in
	reboot) flag=-r ;;
	halt) flag='-h -H' ;;
	*) flag='-h -P' ;;
	esac
	# TERM means that one of them works; to ignore it would hold the shutdown up.
	trap 'exit 0' TERM
	# shellcheck disable=SC2086 # $flag holds words
	for way in systemctl target shutdown "$1" busybox; do
		case $way in
		systemctl) on_systemd && limited 10 systemctl --no-block --no-wall --ignore-inhibitors "$1" ;;
		target) on_systemd && limited 10 systemctl --no-block --job-mode=replace-irreversibly start "$1.target" ;;
		shutdown) has shutdown && limited 20 shutdown $flag now ;;
		busybox) has busybox && limited 10 busybox "$1" ;;
		*) has "$way" && limited 10 "$way" ;;
		esac </dev/null >/dev/null 2>&1 || continue
		tries=20
		while [ "$tries" -gt 0 ]; do
			nap 1
			tries=$((tries - 1))
		done
	done
	trap '' TERM
	return 1
}
