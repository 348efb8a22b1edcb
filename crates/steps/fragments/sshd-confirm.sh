# Confirms the trial of a run: INSTANCE RUN. Prints `result won` or `result lost`, and what is known.

find_home "$1"
run=$2 state=$home booting=''

lost() {
	[ ! -r "$home/last" ] || { IFS= read -r line <"$home/last" && printf 'last %s\n' "$line"; }
	printf 'result lost\n'
	exit 0
}

won() {
	read_change "$confirmed" && [ "$owner_run" = "$run" ] || lost
	while read -r key value _; do
		[ "$key" != at ] || printf 'at %s\n' "$value"
	done <"$confirmed/proven"
	[ ! -r "$confirmed/timed" ] || { read -r line <"$confirmed/timed" && printf 'reverts %s\n' "$line"; }
	[ -z "$unlogged" ] || printf 'note the system log takes no lines\n'
	printf 'result won\n'
	exit 0
}

read_change "$trial" && [ "$owner_run" = "$run" ] || won
operator=$owner_operator reason=$owner_reason
if [ -e "$trial/armed" ]; then
	[ -e "$trial/proven" ] || lost
	clock
	find_left
	[ "$left" -gt 0 ] || lost
	printf 'at %s\n' "$clock" >>"$trial/proven"
	[ -z "$owner_keep" ] || printf '%s\n' $((clock + owner_keep)) >"$trial/timed.new" || lost
	mv "$trial/armed" "$trial/claimed.confirm" 2>/dev/null || lost
fi
[ -e "$trial/claimed.confirm" ] || won
trap unlock EXIT
trap 'exit 1' TERM INT
lock confirm 50 || true
[ ! -e "$trial/claimed.confirm" ] || settle || fail "settle the confirmed change in $home: the dead-man goes on with it"
record notice "sshd's configuration is confirmed"
won
