# Tries a change: INSTANCE SECONDS, with its files on standard input: owner, service, plan, seen, files, keeper, after/N.
# Prints `result running` and what else should be known; `refused WHY` with status 3: nothing was moved; `rolled-back
# WHY` and `result rolled-back`: what stood was put back.

find_home "$1"
within=$2
booting='' moved=''

leave() {
	[ ! -d "$home/trial.new" ] || { clear_beside "$home/trial.new" && rm -rf "$home/trial.new"; }
	[ -d "$trial" ] || [ -e "$confirmed/timed" ] || rm -f "$home/keeper.new"
	[ -d "$trial" ] || [ -d "$confirmed" ] || rm -f "$home/keeper"
	leave_home
}

refuse_busy() {
	read_change "$1" || true
	refuse "busy ${owner_run:--} ${owner_since:-0} ${owner_operator:--} $2"
}

refuse_impossible() {
	refuse "impossible $*"
}

# Nobody else's change may be under way; what was interrupted is ended first.
check_others() {
	finish_claimed interrupted >/dev/null || refuse_busy "$trial" 'trial that cannot be ended'
	if [ -e "$trial/armed" ]; then
		find_left
		[ "$left" = 0 ] || refuse_busy "$trial" trial
		mv "$trial/armed" "$trial/claimed.rollback" 2>/dev/null
		finish_claimed deadman 'nobody confirmed, and its dead-man was gone' >/dev/null
	fi
	[ ! -d "$trial" ] || [ -e "$trial/claimed.rollback" ] || rm -rf "$trial"
	[ ! -d "$trial" ] || refuse_busy "$trial" 'trial that cannot be ended'
	[ ! -e "$confirmed/timed" ] || refuse_busy "$confirmed" 'timed change'
}

# All files must still be those that were looked at.
check_seen() {
	while read -r wanted path; do
		find_hash "$R$path"
		[ "$hash" = "$wanted" ] || refuse "changed $path"
	done <"$stage/seen"
	while read -r _ _ wanted path; do
		find_hash "$R$path"
		[ "$hash" = "$wanted" ] || refuse "changed $path"
	done <"$stage/plan"
}

# Lays copies, and what comes, beside the files: from here on only names are changed.
prepare() {
	while read -r index new old path; do
		file=$R$path
		if [ ! -d "${file%/*}" ]; then
			mkdir "${file%/*}" && printf '%s\n' "${path%/*}" >"$stage/made-folder" || return 1
		fi
		find_beside "$file"
		rm -f "$kept" "$coming" || return 1
		like=$R$main
		if [ "$old" != - ]; then
			like=$file
			copy "$file" "$stage/before/$index" && { ln "$file" "$kept" 2>/dev/null || copy "$file" "$kept"; } || return 1
			find_hash "$stage/before/$index"
			[ "$hash" = "$old" ] || return 1
		fi
		[ "$new" != - ] || continue
		copy "$like" "$coming" && cat "$stage/after/$index" >"$coming" || return 1
		[ "$old" != - ] || ! has restorecon || restorecon "$coming" 2>/dev/null
		find_hash "$coming"
		[ "$hash" = "$new" ] || return 1
		settle_disk "$coming"
	done <"$stage/plan" 2>/dev/null
}

arm() {
	find_boot
	find_uptime
	printf '%s %s %s\n' "$boot" $((uptime + within)) "$within" >"$stage/armed" && : >"$stage/unmoved" || return 1
	settle_disk "$stage"/* "$stage"
	mv "$stage" "$trial" && settle_disk "$home"
}

# Takes the whole trial back.
give_up() {
	mv "$trial/armed" "$trial/claimed.rollback" 2>/dev/null
	back=$(roll_back "$trial" trial "$1") || back="$back${nl}failed to put everything back: the dead-man goes on"
	[ -n "$moved" ] || refuse_impossible "$1"
	printf '%s\n' "$back" | sed 's/^/done /'
	printf 'rolled-back %s\nresult rolled-back\n' "$(printf '%s' "$1" | tr '\n' ' ')"
	exit 0
}

move() {
	while read -r _ new _ path; do
		find_beside "$R$path"
		if [ "$new" = - ]; then rm -f "$R$path"; else mv -f "$coming" "$R$path"; fi || return 1
		find_hash "$R$path"
		[ "$hash" = "$new" ] || return 1
		settle_disk "$R${path%/*}"
	done <"$trial/plan" 2>/dev/null
}

[ "$(id -u)" = 0 ] || [ -n "$R" ] || refuse not-root
lock_home trial 20
stage=$home/trial.new
trap leave EXIT
trap 'exit 1' TERM INT
check_others
rm -rf "$stage"
{ mkdir "$stage" "$stage/before" "$stage/after" && unpack "$stage"; } 2>/dev/null && read_change "$stage" &&
	read_service "$stage/service" || refuse_impossible "$home takes no files: file system full or read-only?"
run=$owner_run operator=$owner_operator reason=$owner_reason
mv -f "$stage/keeper" "$home/keeper" 2>/dev/null || refuse_impossible "$home takes no files"
check_seen
prepare || refuse_impossible "no room, or no writes, beside $file or in $home"
arm 2>/dev/null || refuse_impossible "$home takes no files: file system full or read-only?"
install_keeper 2>/dev/null || give_up 'the unit of the dead-man cannot be installed'
start_keeper || give_up 'the dead-man does not start'
mv "$trial/unmoved" "$trial/moved" 2>/dev/null && [ -e "$trial/armed" ] || give_up 'the dead-man was too fast'
moved=yes
record notice "sshd's configuration is tried for $within s; the dead-man is process $pid"
move || give_up "$path cannot be replaced: immutable, or a mount point?"
test_sshd || give_up "sshd refuses what stands: $said"
reload >/dev/null || give_up "$why"
write_proven "$trial" || give_up "$trial takes no files"
keep_whole "$trial" 2>/dev/null || rm -rf "$trial/whole"
settle_disk "$trial"
[ -e "$trial/armed" ] || give_up 'its time was up before the listener had taken over'
find_left
if [ "$kind" != connection ]; then
	find_current && find_image "$pid"
	find_listening
	find_inodes "$pid"
	printf 'listener %s %s %s %s\n' "$pid" "$started" "$image" "$inodes"
fi
printf 'left %s\nsurvives %s\n' "$left" "${survives:-no}"
[ -n "$survives" ] || printf 'note a reboot would not be noticed: what is tried would stay\n'
[ -z "$unlogged" ] || printf 'note the system log takes no lines\n'
printf 'result running\n'
