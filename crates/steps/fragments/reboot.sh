# Tells the host to reboot, in a second: RUN OPERATOR REASON BOOT. BOOT is the boot that is to end: a later one is left
# alone, so that however often this is asked for, a boot ends once.
#
# Prints `result changed`, or `result unchanged` in another boot; `refused WHY` with status 3; `failed WHY` with status 1.

run=$1 operator=$2 reason=$3 old=$4

[ "$(id -u)" = 0 ] || [ -n "$R" ] || {
	printf 'refused not-root\n'
	exit 3
}
find_boot
[ "$boot" != - ] || fail 'read the boot id'
[ "$boot" = "$old" ] || {
	printf 'result unchanged\n'
	exit 0
}
record notice 'reboot now'
[ -z "$unlogged" ] || printf 'unlogged\n'
# The reply is to arrive before the host is gone.
(
	trap '' HUP
	nap 1
	order reboot || record crit 'failed to reboot: no command to go down works'
) </dev/null >/dev/null 2>&1 &
printf 'result changed\n'
