# Prints sshd's own lines of the system log: FROM TO [UNIT], in seconds since 1970; `line TEXT` each, the last 6000.

from=$1 to=$2 served=${3-}

lines() {
	if on_systemd && has journalctl; then
		set -- SYSLOG_IDENTIFIER=sshd + SYSLOG_IDENTIFIER=sshd-session + SYSLOG_IDENTIFIER=sshd-auth
		[ -z "$served" ] || set -- "$@" + "_SYSTEMD_UNIT=$served"
		limited 30 journalctl -q --no-pager -o short-iso --since "@$from" --until "@$((to + 1))" "$@" 2>/dev/null
		return
	fi
	for log in "$R/var/log/auth.log.1" "$R/var/log/auth.log" "$R/var/log/secure.1" "$R/var/log/secure" \
		"$R/var/log/messages.1" "$R/var/log/messages" "$R/var/log/syslog.1" "$R/var/log/syslog"; do
		[ ! -r "$log" ] || grep -h ' sshd[-a-z]*\[[0-9]*\]: ' "$log"
	done | awk -v from="$(date -d "@$from" +%m%d%H%M%S)" -v to="$(date -d "@$to" +%m%d%H%M%S)" '
		BEGIN { split("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", names, " "); for (i in names) month[names[i]] = i }
		{
			if ($1 ~ /^[0-9][0-9][0-9][0-9]-/) at = substr($1, 6, 2) substr($1, 9, 2) substr($1, 12, 2) substr($1, 15, 2) substr($1, 18, 2)
			else { time = $3; gsub(/:/, "", time); at = sprintf("%02d%02d%s", month[$1], $2, time) }
			inside = from <= to ? at >= from && at <= to : at >= from || at <= to
			if (inside && !($0 in seen)) { seen[$0] = 1; print }
		}'
}

lines | tail -n 6000 | sed 's/^/line /'
printf 'result log\n'
