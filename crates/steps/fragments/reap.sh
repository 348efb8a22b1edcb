# Ends what a shell of this controller that does not answer any more has left here: the driver, its sudo, and what the
# driver has started. Its word comes on standard input: so no process of ours has it in its arguments but our ancestors.
# Prints the number of processes that were ended.

mine=' '
pid=$$
while [ "${pid:-0}" -gt 1 ] && IFS= read -r line <"/proc/$pid/stat"; do
	mine="$mine$pid "
	line=${line##*) }
	# shellcheck disable=SC2086 # fields
	set -- $line
	pid=$2
done 2>/dev/null

count=0
# Paths without blanks; the pattern is on standard input.
# shellcheck disable=SC2013,SC2062
for file in $(grep -lsF -f - /proc/[0-9]*/cmdline); do
	pid=${file#/proc/}
	pid=${pid%/cmdline}
	case $mine in *" $pid "*) continue ;; esac
	# Embedded hosts share the machine's processes.
	[ -z "$R" ] || tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qxF "PIPEDOWN_ROOT=$R" || continue
	children=$(cat /proc/[0-9]*/stat 2>/dev/null | awk -v parent="$pid" '
		{ child = $1; sub(/.*\) [A-Za-z] /, ""); if ($1 == parent) print child }')
	kill -KILL "$pid" 2>/dev/null && count=$((count + 1))
	# Each of them leads a session and a process group of its own.
	for child in $children; do
		kill -KILL "-$child" 2>/dev/null && count=$((count + 1))
	done
done
echo "$count"
