# ---- files: put in place, put back

# Sets the names of what lies beside file $1 while a change is tried. No Include matches a name with a dot in front.
find_beside() {
	kept=${1%/*}/.pipedown.${1##*/}.before
	coming=${1%/*}/.pipedown.${1##*/}.after
	edited=${1%/*}/.pipedown.${1##*/}.edited
}

# Copies file $1 to $2 with all that belongs to it.
copy() {
	cp -P -p "$1" "$2" 2>/dev/null && keep_context "$1" "$2"
}

# Gives file $2 the SELinux context of file $1.
keep_context() {
	[ ! -e "$R/sys/fs/selinux/enforce" ] || ! has chcon || chcon --reference="$1" "$2" 2>/dev/null || true
}

settle_disk() {
	sync "$@" 2>/dev/null || sync
}

# Makes the files of the plan in folder $1 what they were `before`, or are `after` the change. What somebody else has
# made of one is kept beside it.
put_files() {
	bad=0
	while read -r index new old path; do
		file=$R$path
		find_beside "$file"
		want=$old
		[ "$2" = before ] || want=$new
		find_hash "$file"
		if [ "$hash" != "$want" ]; then
			if [ "$hash" != "$new" ] && [ "$hash" != "$old" ] && [ "$hash" != - ]; then
				ln -f "$file" "$edited" 2>/dev/null || cp -P -p "$file" "$edited" 2>/dev/null
				printf 'kept what somebody else has made of %s as %s\n' "$path" "$edited"
				record warning "$path was edited by somebody else: kept as $edited"
			fi
			put_file "$1" "$2" || bad=1
		fi
	done <"$1/plan"
	settle_disk
	return "$bad"
}

put_file() {
	if [ "$want" = - ]; then
		rm -f "$file"
	else
		find_hash "$kept"
		if [ "$hash" != "$want" ]; then
			rm -f "$kept"
			if [ "$2" = before ] || [ "${1##*/}" = whole ]; then
				copy "$1/$2/$index" "$kept" || true
			else
				# What came with the change was kept without mode and owner.
				like=$file
				[ -e "$like" ] || like=$R$main
				copy "$like" "$kept" && cat "$1/after/$index" >"$kept" || true
			fi
			# Nothing but the name need be made where the very file is still there.
			find_hash "$kept"
		fi
		[ "$hash" = "$want" ] && mv -f "$kept" "$file"
	fi 2>/dev/null
	find_hash "$file"
	if [ "$hash" = "$want" ]; then
		[ "$want" = - ] && printf 'removed %s\n' "$path" || printf 'put back %s\n' "$path"
	else
		printf 'failed to put back %s\n' "$path"
		return 1
	fi
}

# Takes away what lies beside the files of the plan in folder $1.
clear_beside() {
	[ ! -r "$1/plan" ] || while read -r _ _ _ path; do
		find_beside "$R$path"
		rm -f "$kept" "$coming"
	done <"$1/plan"
	[ ! -r "$1/made-folder" ] || { read -r path <"$1/made-folder" && rmdir "$R$path" 2>/dev/null; }
	return 0
}

# ---- the service

# Sets `pid` to the process that listens now.
find_current() {
	pid=
	if [ "$kind" = service ]; then
		pid=$(limited 5 systemctl show -p MainPID "$served" 2>/dev/null)
		pid=${pid#MainPID=}
		[ "${pid:-0}" != 0 ] || pid=
	elif lives "$listener" "$listener_started"; then
		pid=$listener
	else
		# Paths without blanks.
		# shellcheck disable=SC2013
		for path in $(grep -lsF '[listener]' /proc/[0-9]*/cmdline); do
			pid=${path#/proc/}
			pid=${pid%/cmdline}
			find_title "$pid"
			case $title in
			"sshd: $raw [listener]"*)
				[ "$(readlink "/proc/$pid/ns/mnt")" != "$(readlink "/proc/$$/ns/mnt")" ] || break
				;;
			esac
			pid=
		done
	fi
	[ -n "$pid" ] && find_started "$pid"
}

# Sets `verb` to what makes the service read its configuration. A listener that has its sockets from systemd loses them
# when it executes itself anew, and ends: it is started anew instead, while systemd holds the sockets. That must not end
# sessions.
find_verb() {
	verb=reload
	[ -n "$socket" ] && [ "$(limited 5 systemctl show -p KillMode "$served" 2>/dev/null)" = KillMode=process ] || return 0
	verb=restart
	# Or systemd counts it among starts that come too often.
	limited 10 systemctl reset-failed "$served" >/dev/null 2>&1
}

# Makes the listener read its configuration, and waits until it has taken over: another image of the program that
# listens. Sets `why` if it has not. A listener that is not there is started.
reload() {
	why=
	[ "$kind" != connection ] || return 0
	find_current || { start_listener && return 0 || return 1; }
	test_sshd || { why="sshd refuses the configuration: $said" && return 1; }
	find_image "$pid"
	find_listening
	find_inodes "$pid"
	was=$image had=$inodes
	verb=
	if [ "$kind" = service ]; then
		find_verb
		limited 30 systemctl "$verb" "$served" >/dev/null 2>&1 || why="systemctl $verb $served failed"
	else
		kill -HUP "$pid" 2>/dev/null || why="the listener (process $pid) takes no signal"
	fi
	if [ -n "$why" ]; then
		find_current || why="$why, and the listener has ended"
		return 1
	fi
	tries=100
	while [ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		[ "$verb" != restart ] || find_current || true
		find_image "$pid" || { why='the listener ended when it read the configuration' && return 1; }
		if listens "$pid" && { [ "$image" != "$was" ] || [ "$inodes" != "$had" ]; }; then
			printf 'reloaded sshd\n'
			return 0
		fi
		nap 0.1
	done
	why='the listener has not taken over within 10 s'
	return 1
}

start_listener() {
	if [ "$kind" = service ]; then
		# A socket whose service has failed too often has failed, too.
		for name in $served $socket; do
			limited 10 systemctl reset-failed "$name" >/dev/null 2>&1
		done
		[ -z "$socket" ] || limited 30 systemctl start "$socket" >/dev/null 2>&1
		limited 30 systemctl start "$served" >/dev/null 2>&1
	elif [ -x "$R/etc/init.d/ssh" ] && [ "$main" = /etc/ssh/sshd_config ] && [ "$command" = "$binary$nl" ]; then
		limited 30 "$R/etc/init.d/ssh" start >/dev/null 2>&1 3>&-
	else
		(
			cd /
			trap '' HUP
			IFS=$nl
			set -f
			# shellcheck disable=SC2086 # a word a line
			set -- $command
			shift
			exec setsid "$binary" "$@" </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
		) &
	fi
	tries=100
	while [ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		if find_current && listens "$pid"; then
			find_image "$pid"
			printf 'started sshd\n'
			return 0
		fi
		nap 0.1
	done
	why='sshd does not start'
	return 1
}

# sshd serves what stands, whatever it takes. Early in a boot it is not there yet, and comes after us.
serve() {
	[ "$kind" != connection ] || return 0
	[ -z "$booting" ] || find_current || return 0
	tries_left=3
	until reload; do
		record err "$why"
		tries_left=$((tries_left - 1))
		[ "$tries_left" -gt 0 ] || { printf 'failed to reload sshd: %s\n' "$(printf '%s' "$why" | tr '\n' ' ')" && return 1; }
		nap 1
	done
	return 0
}

# ---- the end of a change

# Writes down which listener and which files are proven: those that stand.
write_proven() {
	{
		[ "$kind" = connection ] || { find_current && find_image "$pid" && printf 'listener %s %s %s\n' "$pid" "$started" "$image"; }
		while IFS= read -r path; do
			find_hash "$R$path"
			printf 'file %s %s\n' "$hash" "$path"
		done <"$1/files"
		[ -z "${2-}" ] || printf 'at %s\n' "$2"
	} | write "$1/proven"
}

# Keeps all files of the configuration as they are proven, not only those of the change: in folder `whole`, with a plan of
# its own.
keep_whole() {
	mkdir -p "$1/whole/after" || return 1
	index=0
	while IFS= read -r path; do
		index=$((index + 1))
		find_hash "$R$path"
		[ "$hash" = - ] || copy "$R$path" "$1/whole/after/$index" || return 1
		printf '%s %s %s %s\n' "$index" "$hash" "$hash" "$path"
	done <"$1/files" >"$1/whole/plan"
}

# After a reload of our own, the files of the last confirmed change are proven as before if none of them has changed.
renew_proven() {
	[ -r "$confirmed/proven" ] && [ -r "$confirmed/files" ] || return 0
	proven_at=
	while read -r key first path; do
		case $key in
		at) proven_at=$first ;;
		file)
			find_hash "$R$path"
			[ "$hash" = "$first" ] || return 0
			;;
		esac
	done <"$confirmed/proven"
	write_proven "$confirmed" "$proven_at"
}

# A change is confirmed: its folder becomes that of what stands, with the one before in it.
settle() {
	read_change "$trial"
	if [ -n "$owner_keep" ] && [ ! -e "$trial/timed" ]; then
		if [ -e "$trial/timed.new" ]; then mv -f "$trial/timed.new" "$trial/timed"; else
			clock
			printf '%s\n' $((clock + owner_keep)) | write "$trial/timed" || return 1
		fi
	fi
	[ -n "$owner_keep" ] || clear_beside "$trial"
	if [ -d "$confirmed" ]; then
		rm -rf "$confirmed/earlier" "$trial/earlier"
		mv "$confirmed" "$trial/earlier" || return 1
	fi
	mv "$trial" "$confirmed" || return 1
	rm -f "$confirmed/claimed.confirm"
	settle_disk "$home"
	[ -n "$owner_keep" ] || remove_keeper
}

# Puts back what stood before the change in folder $1, whose end we have claimed: BY, WHY. Whatever of it has been done
# already stays so; what cannot be done leaves the claim for the next try.
roll_back() {
	folder=$1
	read_change "$folder" || owner_run=-
	run=$owner_run operator=$owner_operator reason=$3
	if [ -r "$folder/service" ] && read_service "$folder/service"; then
		if [ "$folder" = "$confirmed" ] || has_moved "$folder"; then
			put_files "$folder" before || return 1
			serve || return 1
		fi
		clear_beside "$folder"
	fi
	# What it leaves is more important than what it had brought: on a full disk this makes room.
	rm -rf "$folder/after" "$folder/whole" "$home/staged"
	clock
	printf '%s %s %s %s\nsince %s\n' "$run" "$clock" "$2" "$3" "$owner_since" | write "$home/last"
	rm -rf "$home/gone"
	if [ -d "$folder/earlier" ]; then
		mv "$folder" "$home/gone" && mv "$home/gone/earlier" "$confirmed"
	else
		mv "$folder" "$home/gone"
	fi || return 1
	rm -rf "$home/gone"
	renew_proven
	record warning "sshd's configuration was put back: $2"
	settle_disk "$home"
	remove_keeper
}

# Ends what somebody has begun to end.
finish_claimed() {
	if [ -e "$trial/claimed.confirm" ]; then
		settle
	elif [ -e "$trial/claimed.rollback" ]; then
		roll_back "$trial" "$1" "${2-it was interrupted}"
	elif [ -e "$confirmed/claimed.rollback" ]; then
		roll_back "$confirmed" "$1" "${2-it was interrupted}"
	elif [ -d "$home/gone/earlier" ] && [ ! -d "$confirmed" ]; then
		mv "$home/gone/earlier" "$confirmed"
	fi
}

# ---- the keeper's unit

# Installs what starts the keeper, now and in a boot before sshd. Sets `survives`.
install_keeper() {
	survives=
	if on_systemd; then
		units=$R/etc/systemd/system survives=yes
		[ -w "$units" ] || units=$R/run/systemd/system survives=''
		wants=$units/multi-user.target.wants
		mkdir -p "$wants" && printf '%s\n' '[Unit]' \
			"Description=pipedown: puts back what sshd was configured as ($instance)" \
			'DefaultDependencies=no' \
			"RequiresMountsFor=$home /etc" \
			'After=local-fs.target' \
			"Before=ssh.service sshd.service ssh.socket sshd.socket shutdown.target${served:+ $served}" \
			'Conflicts=shutdown.target' \
			'StartLimitIntervalSec=0' \
			'[Service]' \
			"ExecStartPre=/bin/sh -c '[ ! -e $home/keeper ] || exec sh $home/keeper boot'" \
			"ExecStart=/bin/sh -c '[ ! -e $home/keeper ] || exec sh $home/keeper wait'" \
			'WorkingDirectory=/' \
			'Restart=on-failure' \
			'RestartSec=1' \
			'TimeoutStartSec=180' \
			'KillMode=process' \
			'OOMScoreAdjust=-900' | write "$units/$unit" || return 1
		[ -L "$wants/$unit" ] || ln -s "../$unit" "$wants/$unit" || return 1
		limited 30 systemctl daemon-reload
	elif { has update-rc.d || has insserv; } && [ -w "$R/etc/init.d" ]; then
		printf '%s\n' '#!/bin/sh' \
			'### BEGIN INIT INFO' \
			"# Provides:          pipedown-sshd-$instance" \
			"# Required-Start:    \$remote_fs" \
			'# Required-Stop:' \
			'# X-Start-Before:    ssh' \
			'# Default-Start:     2 3 4 5' \
			'# Default-Stop:' \
			"# Short-Description: pipedown: puts back what sshd was configured as" \
			'### END INIT INFO' \
			"[ \"\$1\" != start ] || sh $home/keeper start" | write "$initscript" && chmod 755 "$initscript" || return 1
		if has update-rc.d; then
			limited 30 update-rc.d "${initscript##*/}" defaults
		else
			limited 30 insserv "${initscript##*/}"
		fi >/dev/null 2>&1 && survives=yes
		return 0
	fi
}

# Takes it away, unless something waits for it. In a boot systemd is about to start what follows.
remove_keeper() {
	[ -z "$booting" ] && [ ! -e "$trial/armed" ] && [ ! -e "$confirmed/timed" ] || return 0
	for units in "$R/etc/systemd/system" "$R/run/systemd/system"; do
		[ -e "$units/$unit" ] || [ -L "$units/multi-user.target.wants/$unit" ] || continue
		rm -f "$units/$unit" "$units/$unit.new" "$units/multi-user.target.wants/$unit"
		! on_systemd || limited 30 systemctl daemon-reload
	done
	if [ -e "$initscript" ]; then
		rm -f "$initscript"
		if has update-rc.d; then
			limited 30 update-rc.d "${initscript##*/}" remove
		else
			limited 30 insserv -r "${initscript##*/}"
		fi >/dev/null 2>&1
	fi
	return 0
}

# Starts the keeper outside of our session.
start_keeper() {
	rm -f "$home/pid"
	if on_systemd; then
		limited 15 systemctl --no-block restart "$unit" || return 1
	else
		detach_keeper
	fi
	tries=100
	until find_keeper "$home"; do
		[ "$tries" -gt 0 ] || return 1
		tries=$((tries - 1))
		nap 0.1
	done
}

detach_keeper() {
	(
		cd /
		trap '' HUP
		exec setsid sh "$home/keeper" wait </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
	) &
}
