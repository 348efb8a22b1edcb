# The dead-man of a change to sshd's configuration: `sh /var/lib/pipedown/sshd/INSTANCE/keeper boot|wait|start`, after the
# library. `boot` runs before sshd starts, and again whenever `wait` had to be started anew; `start` is sysvinit's.

booting='' LOCK='' unclaimed=''
instance=${0%/*}
find_home "${instance##*/}"
state=$home
trap unlock EXIT
trap 'exit 1' TERM INT
operator=- reason=-

# Two must not put files back at the same time; but none that hangs may keep the other from it.
with_lock() {
	lock keeper 30 || true
	"$@" >/dev/null
	ended=$?
	unlock
	return "$ended"
}

# Whoever renames the file decides. On a file system that takes no writes nobody can, and what stood is put back.
end_trial() {
	if ! mv "$trial/armed" "$trial/claimed.rollback" 2>/dev/null; then
		[ -e "$trial/armed" ] && [ -z "$unclaimed" ] || { pause=5 && return; }
		unclaimed=yes
	fi
	with_lock roll_back "$trial" "$1" "$2"
}

end_timed() {
	if ! mv "$confirmed/timed" "$confirmed/claimed.rollback" 2>/dev/null; then
		[ -e "$confirmed/timed" ] && [ -z "$unclaimed" ] || { pause=5 && return; }
		unclaimed=yes
	fi
	with_lock roll_back "$confirmed" timer 'its time was up'
}

# What is to be done now; fails if nothing will be any more.
turn() {
	pause=1
	find_boot
	if [ -r "$trial/armed" ] && read -r armed_boot deadline within <"$trial/armed"; then
		if [ "$armed_boot" != "$boot" ]; then
			end_trial boot 'the host was booted before anybody had confirmed'
		elif find_left && [ "$left" -le 0 ]; then
			end_trial deadman "nobody confirmed within $within s"
		fi
		[ "${left:-9}" -gt 2 ] || pause=0.2
	elif [ -e "$trial/claimed.rollback" ] || [ -e "$confirmed/claimed.rollback" ] || [ -e "$trial/claimed.confirm" ]; then
		# Whoever has claimed it has the lock as long as it lives.
		if lock keeper 50; then
			finish_claimed deadman >/dev/null
			unlock
		fi
	elif [ -r "$confirmed/timed" ] && read -r due <"$confirmed/timed"; then
		clock
		[ "$clock" -lt "$due" ] || end_timed
		[ "$((due - clock))" -le 30 ] || pause=10
	else
		[ -d "$trial" ]
	fi
}

watch() {
	find_boot
	printf '%s\n' "$boot" | write "$home/boot"
	find_started $$
	printf '%s %s\n' $$ "$started" | write "$home/pid"
	while turn; do
		nap "$pause"
	done
	tidy
}

# Nothing waits any more: what has started us goes, unless a change is about to begin.
tidy() {
	lock keeper 10 || return 0
	if [ ! -d "$trial" ] && [ ! -e "$confirmed/timed" ]; then
		remove_keeper
		rm -f "$home/keeper" "$home/pid" "$home/boot"
	fi
	unlock
}

before_sshd() {
	old_boot=
	find_boot
	[ ! -r "$home/boot" ] || read -r old_boot <"$home/boot"
	[ "$old_boot" = "$boot" ] || booting=yes
	turn
	booting=
}

case $1 in
boot) before_sshd ;;
start)
	before_sshd
	if turn; then detach_keeper; else tidy; fi
	;;
wait) watch ;;
esac
exit 0
