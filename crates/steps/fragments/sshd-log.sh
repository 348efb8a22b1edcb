# Prints sshd's own lines of the system log: FROM TO [UNIT], in seconds since 1970; `line TEXT` each, the last 6000.
# `source NAME` is a log that has been read.

from=$1 to=$2 served=${3-}

# The log files that there are, the older ones first.
logs() {
	for log in auth.log.1 auth.log secure.1 secure messages.1 messages syslog.1 syslog; do
		[ ! -r "$R/var/log/$log" ] || printf '%s\n' "/var/log/$log"
	done
}

journal() {
	on_systemd && has journalctl
}

lines() {
	if journal; then
		set -- SYSLOG_IDENTIFIER=sshd + SYSLOG_IDENTIFIER=sshd-session + SYSLOG_IDENTIFIER=sshd-auth
		[ -z "$served" ] || set -- "$@" + "_SYSTEMD_UNIT=$served"
		limited 30 journalctl -q --no-pager -o short-iso --since "@$from" --until "@$((to + 1))" "$@" 2>/dev/null
		return
	fi
	logs | while IFS= read -r log; do
		grep -h ' sshd[-a-z]*\[[0-9]*\]: ' "$R$log"
	done | awk -v from="$(date -d "@$from" +%m%d%H%M%S)" -v to="$(date -d "@$to" +%m%d%H%M%S)" '
		BEGIN { split("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", names, " "); for (i in names) month[names[i]] = i }
		{
			if ($1 ~ /^[0-9][0-9][0-9][0-9]-/) at = substr($1, 6, 2) substr($1, 9, 2) substr($1, 12, 2) substr($1, 15, 2) substr($1, 18, 2)
			else { time = $3; gsub(/:/, "", time); at = sprintf("%02d%02d%s", month[$1], $2, time) }
			inside = from <= to ? at >= from && at <= to : at >= from || at <= to
			if (inside && !($0 in seen)) { seen[$0] = 1; print }
		}'
}

if journal; then printf 'source the journal\n'; else logs | sed 's/^/source /'; fi
lines | tail -n 6000 | sed 's/^/line /'
printf 'result log\n'
