# Unpacks standard input into folder $1: a line `file NAME LINES whole|cut` and that many lines, for each file, then
# `end`. Of one that is `cut` the last line has no line end.
unpack() {
	while read -r word name lines end; do
		case $word in
		end) return 0 ;;
		file) ;;
		*) return 1 ;;
		esac
		case $name in '' | .* | *[!a-z0-9./-]*) return 1 ;; esac
		while [ "$lines" -gt 0 ]; do
			IFS= read -r line || return 1
			lines=$((lines - 1))
			if [ "$lines" = 0 ] && [ "$end" = cut ]; then printf '%s' "$line"; else printf '%s\n' "$line"; fi || return 1
		done >"$1/$name" || return 1
	done
	return 1
}

refuse() {
	printf 'refused %s\n' "$*"
	exit 3
}

# A state folder that nobody else looks into.
make_home() {
	mkdir -p "$home" && chmod 700 "$home"
}

# Takes the lock of this sshd.
lock_home() {
	state=$home
	make_home 2>/dev/null || refuse "impossible $home cannot be made: file system full or read-only?"
	lock "$1" "$2"
	case $? in
	1) refuse "busy - - - lock of process ${held#*:}" ;;
	2) refuse "impossible no lock can be made in $home: file system full or read-only?" ;;
	esac
}

# Leaves nothing empty behind.
leave_home() {
	unlock
	rmdir "$home" "${home%/*}" "${home%/*/*}" 2>/dev/null
}
