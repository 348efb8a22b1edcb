# Who keeps address $1 out: a line `ban WORDS` each. Changes nothing.

address=$1

# Whether standard input has the address as a word.
names_it() {
	grep -qwF -e "$address"
}

see_fail2ban() {
	has fail2ban-client || return 0
	jails=$(limited 10 fail2ban-client status 2>/dev/null | sed -n 's/.*Jail list:[[:space:]]*//p' | tr -d ,)
	for jail in $jails; do
		! limited 10 fail2ban-client status "$jail" 2>/dev/null | sed -n 's/.*Banned IP list://p' | names_it ||
			printf 'ban fail2ban: jail %s has banned %s\n' "$jail" "$address"
	done
}

# Sets and rules of the packet filter; sshguard and others keep theirs there.
see_filters() {
	! has nft || limited 10 nft list ruleset 2>/dev/null | awk -v address="$address" '
		$1 == "table" { table = $2 " " $3 }
		$1 == "set" || $1 == "chain" { name = $1 " " $2 }
		{
			text = " " $0 " "; gsub(/[{},]/, " ", text)
			at = index(text, " " address " ")
			if (at && ($0 ~ /drop|reject/ || name ~ /^set/)) {
				key = name " of table " table
				if (!(key in seen)) print "ban " (key ~ /sshguard/ ? "sshguard: " : "") "nftables: " key " has " address
				seen[key] = 1
			}
		}'
	if has ipset; then
		limited 10 ipset list 2>/dev/null | awk -v address="$address" '
			$1 == "Name:" { name = $2 } $1 == address { print "ban ipset: set " name " has " address }'
	fi
	for tool in iptables ip6tables; do
		! has "$tool" || limited 10 "$tool" -S 2>/dev/null | awk -v tool="$tool" -v address="$address" '
			/-j (DROP|REJECT)/ {
				for (i = 1; i < NF; i++) if ($i == "-s") {
					from = $(i + 1); sub(/\/(32|128)$/, "", from)
					if (from == address) print "ban " ($2 ~ /sshguard/ ? "sshguard: " : "") tool ": chain " $2 " has " address
				}
			}'
	done
	[ ! -r "$R/etc/hosts.deny" ] || ! grep -v '^#' "$R/etc/hosts.deny" | names_it ||
		printf 'ban tcp wrappers: /etc/hosts.deny has %s\n' "$address"
}

# The last hour of the log, as far as it concerns bans.
see_log() {
	if on_systemd && has journalctl; then
		limited 15 journalctl -q --no-pager -o cat --since '1 hour ago' SYSLOG_IDENTIFIER=sshd \
			+ SYSLOG_IDENTIFIER=sshd-session + SYSLOG_IDENTIFIER=sshguard 2>/dev/null
	else
		for log in "$R/var/log/auth.log" "$R/var/log/secure" "$R/var/log/messages" "$R/var/log/syslog"; do
			[ ! -r "$log" ] || tail -n 2000 "$log"
		done | sed 's/^.*\(sshd[-a-z]*\|sshguard\)\[[0-9]*\]: //'
	fi | awk -v address="$address" '
		index($0, "from [" address "]") && /penalty|PerSource|drop connection/ { penalty = $0 }
		index($0, "Blocking \"" address "/") { guard = $0 }
		index($0, address "/") && /unblocking/ { guard = "" }
		END {
			if (penalty != "") print "ban sshd: " penalty
			if (guard != "") print "ban sshguard: " guard
		}'
}

see_fail2ban
see_filters
see_log
printf 'result bans\n'
