# Puts back what stood: INSTANCE trial|confirmed|timed RUN OPERATOR REASON [EDITED…], with what serves now, as it was
# looked at, on standard input. Prints lines `done WHAT`, then `result rolled-back TO`, `result already`,
# `result confirmed` or `result nothing`.

find_home "$1"
scope=$2 wanted=$3 by=$4 because=$5 booting=''
serving=$(cat)

finish() {
	[ ! -r "$home/last" ] || { IFS= read -r line <"$home/last" && printf 'last %s\n' "$line"; }
	printf 'result %s\n' "$1"
	exit 0
}

# Does it, and says what was done.
back() {
	back=$(roll_back "$1" "$by" "$because")
	ended=$?
	[ -z "$back" ] || printf '%s\n' "$back" | sed 's/^/done /'
	[ "$ended" = 0 ] || fail "put everything back: $(printf '%s\n' "$back" | tail -n 1)"
	finish "rolled-back before $run_back"
}

take_back_trial() {
	if [ ! -d "$trial" ]; then
		read_change "$confirmed" && [ "$owner_run" = "$wanted" ] && finish confirmed
		[ -r "$home/last" ] && read -r line _ <"$home/last" && [ "$line" = "$wanted" ] && finish already
		finish nothing
	fi
	read_change "$trial" || owner_run=$wanted
	run_back=$owner_run
	[ "$owner_run" = "$wanted" ] || refuse "busy $owner_run $owner_since $owner_operator trial"
	if mv "$trial/armed" "$trial/claimed.rollback" 2>/dev/null || [ ! -e "$trial/claimed.confirm" ]; then
		back "$trial"
	fi
	settle
	finish confirmed
}

# Since the change somebody may have had sshd started in another way, such as by a socket.
renew_service() {
	case $nl$serving in
	*"${nl}listener "* | *"${nl}kind connection$nl"*) printf '%s\n' "$serving" | write "$confirmed/service" || true ;;
	esac
}

# Files that were edited since the last confirmed change become what they were then; if none was, it is undone. $@: files
# that were looked at and are not as they were.
take_back_confirmed() {
	if [ -e "$trial/armed" ]; then
		read_change "$trial"
		refuse "busy ${owner_run:--} $owner_since $owner_operator trial"
	fi
	read_change "$confirmed" || finish nothing
	run_back=$owner_run from=$confirmed drifted=''
	renew_service
	[ ! -r "$confirmed/whole/plan" ] || from=$confirmed/whole
	for path in "$@"; do
		! cut -d ' ' -f 4- "$from/plan" | grep -qxF "$path" || continue
		[ "$from" != "$confirmed" ] || fail "put back $path: no copy of it was kept, the file system was full"
		# It was not there then.
		printf 'new - - %s\n' "$path" >>"$from/plan" || fail "take away $path: $from takes no files"
	done
	while read -r _ new _ path; do
		find_hash "$R$path"
		[ "$hash" = "$new" ] || drifted=yes
	done <"$from/plan"
	[ -z "$drifted" ] || put_back_edited
	mv "$confirmed/timed" "$confirmed/claimed.rollback" 2>/dev/null ||
		mv "$confirmed/moved" "$confirmed/claimed.rollback" 2>/dev/null
	back "$confirmed"
}

put_back_edited() {
	read_service "$confirmed/service" || fail "read $confirmed/service"
	run=$owner_run operator=$by reason=$because
	back=$(put_files "$from" after && serve)
	ended=$?
	[ -z "$back" ] || printf '%s\n' "$back" | sed 's/^/done /'
	[ "$ended" = 0 ] || fail "put everything back: $(printf '%s\n' "$back" | tail -n 1)"
	renew_proven
	record warning "sshd's configuration was put back to what run $owner_run had confirmed"
	clear_beside "$from"
	finish "rolled-back confirmed $owner_run"
}

take_back_timed() {
	if [ ! -e "$confirmed/timed" ]; then
		[ -r "$home/last" ] && read -r line _ <"$home/last" && [ "$line" = "$wanted" ] && finish already
		finish nothing
	fi
	read_change "$confirmed"
	run_back=$owner_run
	renew_service
	mv "$confirmed/timed" "$confirmed/claimed.rollback" 2>/dev/null
	back "$confirmed"
}

[ "$(id -u)" = 0 ] || [ -n "$R" ] || refuse not-root
[ -d "$home" ] || finish nothing
lock_home rollback 20
trap leave_home EXIT
trap 'exit 1' TERM INT
# One that could not be ended the last time is what is asked for: another one would be a step too far.
if [ "$scope" != trial ] && [ ! -d "$trial" ] && [ -e "$confirmed/claimed.rollback" ] && read_change "$confirmed"; then
	run_back=$owner_run
	renew_service
	back "$confirmed"
fi
if [ "$scope" != trial ] || [ ! -e "$trial/claimed.rollback" ]; then
	finish_claimed "$by" >/dev/null
fi
shift 5
"take_back_$scope" "$@"
