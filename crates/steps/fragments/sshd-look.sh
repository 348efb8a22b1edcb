# Looks at the sshd that serves us: [USER]… are the logins whose effective values are asked for. Changes nothing.
# Prints `KEY VALUE` lines; a line `file MODE OWNER BYTES HASH PATH` is followed by that many bytes and a line end.

refuse() {
	printf 'refused %s\n' "$*"
	exit 3
}

# One value of a key, if there is one.
say() {
	[ -z "$2" ] || printf '%s %s\n' "$1" "$2"
}

# From ourselves upwards: the nearest sshd that listens, or else the last one of its kind, and our own connection.
find_server() {
	pid=$$ listener='' server='' connection='' below='' above=$$
	while [ "${pid:-0}" -gt 0 ] && IFS= read -r line 2>/dev/null <"/proc/$pid/stat"; do
		name=${line#*\(}
		name=${name%)*}
		line=${line##*) }
		# shellcheck disable=SC2086 # fields
		set -- $line
		parent=$2
		[ -n "$connection" ] ||
			connection=$(tr '\000' '\n' 2>/dev/null <"/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=//p')
		case $name in
		sshd*)
			find_title "$pid"
			server=$pid
			case $title in *'[listener]'*) listener=$pid below=$above && return ;; esac
			;;
		esac
		above=$pid pid=$parent
	done
	# Before 8.2 a listener had no title: what is left is the command itself.
	[ -n "$server" ] || return 1
	find_title "$server"
	case $title in
	'sshd: '* | sshd-*) ;;
	*) listener=$server untitled=yes ;;
	esac
}

# The unit that process $1 belongs to.
find_unit() {
	served=$(sed -n 's/^\(0::\|[0-9]*:name=systemd:\).*\/\([^\/]*\.service\)$/\2/p' "/proc/$1/cgroup" 2>/dev/null | head -n 1)
}

property() {
	limited 5 systemctl show -p "$1" "$2" 2>/dev/null | sed -n "s/^$1=//p"
}

find_kind() {
	kind=process served='' socket=''
	on_systemd || return 0
	if [ -n "$listener" ]; then
		find_unit "$listener"
		[ -n "$served" ] && [ "$(property MainPID "$served")" = "$listener" ] || { served='' && return 0; }
		kind=service
		for name in $(property TriggeredBy "$served"); do
			[ "$(property ActiveState "$name")" != active ] || socket=$name
		done
		return 0
	fi
	for name in ssh.socket sshd.socket; do
		[ "$(property ActiveState "$name")" = active ] && [ "$(property Accept "$name")" = yes ] || continue
		kind=connection served=$name
		return 0
	done
}

# Sets `main` and `words` from the command line in $1, and `command`, all of its words. A title does not keep words
# apart: a value goes on up to the next word with a dash.
find_words() {
	main=/etc/ssh/sshd_config words='' command=''
	set -f
	# shellcheck disable=SC2086 # words
	set -- $1
	set +f
	binary_word=${1-sshd}
	[ $# -eq 0 ] || shift
	command=$binary_word$nl option='' value=''
	while [ $# -gt 0 ]; do
		case $1 in
		-*)
			end_option
			flags=${1#-} option='' value=''
			while [ -n "$flags" ]; do
				rest=${flags#?}
				letter=${flags%"$rest"}
				flags=$rest
				case $letter in
				[CEbcfghkopu]) option=$letter value=$flags flags='' ;;
				[46q]) words=$words-$letter$nl command=$command-$letter$nl ;;
				i | t | T | R) ;;
				*) command=$command-$letter$nl ;;
				esac
			done
			;;
		*) value=${value:+$value }$1 ;;
		esac
		shift
	done
	end_option
}

# Takes the option that has been read into account.
end_option() {
	[ -n "$option" ] || return 0
	command=$command-$option$nl$value$nl
	case $option in
	f) main=$value ;;
	E | C) ;;
	*) words=$words-$option$nl$value$nl ;;
	esac
	option=
}

find_command() {
	raw=
	if [ -n "$listener" ]; then
		find_title "$listener"
		line=${title#sshd: }
		raw=${line%% \[listener\]*}
		raw=${raw% }
		find_words "$raw"
		binary=$(readlink "/proc/$listener/exe")
		binary=${binary% (deleted)}
	else
		line=
		[ "$kind" != connection ] || line=$(property ExecStart "${served%.socket}@.service" | sed -n 's/.*argv\[\]=\([^;]*\) ;.*/\1/p')
		find_words "$(printf '%s\n' "$line" | sed 's/\$[A-Z_]*//g')"
		binary=$binary_word
	fi
	case $binary in
	*/sshd | *[!/a-z]*) ;;
	*) binary=sshd ;;
	esac
	case $binary in
	/*) ;;
	*) binary=$(command -v sshd) || refuse 'no-sshd' ;;
	esac
	case $main in
	/*) ;;
	*) main=/$main ;;
	esac
	asked_main=$main
	main=$(readlink -f "$R$main") && [ -f "$main" ] || refuse "no-file $asked_main"
	main=${main#"$R"}
}

# A name of the instance for files and units: of unusual paths it has a hash in it.
find_instance() {
	instance=$(printf '%s' "${main#/}" | tr / -)
	case $main in
	*[!A-Za-z0-9_./]*)
		hash=$(printf '%s' "$main" | sha256sum)
		instance=$(printf '%s' "$instance" | tr -c 'A-Za-z0-9_.-' _)-$(printf '%s' "$hash" | cut -c 1-8)
		;;
	esac
}

# Prints `LINE PATTERN` for each pattern of the Include lines of file $1.
# shellcheck disable=SC2016 # awk's $
include_patterns() {
	awk '
		{
			sub(/\r$/, ""); text = $0; sub(/^[ \t]+/, "", text)
			if (tolower(text) !~ /^include[ \t="]/) next
			text = substr(text, 8); sub(/^[ \t]*=?[ \t]*/, "", text)
			while (text != "" && text !~ /^#/) {
				if (text ~ /^"/) {
					text = substr(text, 2); at = index(text, "\"")
					if (!at) at = length(text) + 1
					word = substr(text, 1, at - 1); text = substr(text, at + 1)
				} else {
					match(text, /^[^ \t]+/)
					word = substr(text, 1, RLENGTH); text = substr(text, RLENGTH + 1)
				}
				sub(/^[ \t]+/, "", text)
				print NR " " word
			}
		}' "$1"
}

# The files a pattern matches, one a line, in the order of glob(3).
expand() (
	IFS=
	# shellcheck disable=SC2231 # a pattern
	for match in $R$1; do
		[ ! -f "$match" ] || printf '%s\n' "${match#"$R"}"
	done
)

# Prints all files of the configuration and what includes what.
see_files() {
	queue=$main$nl known=$nl total=0
	while [ -n "$queue" ]; do
		file=${queue%%"$nl"*}
		queue=${queue#*"$nl"}
		case $known in *"$nl$file$nl"*) continue ;; esac
		known=$known$file$nl
		bytes=$(wc -c <"$R$file") || refuse "no-file $file"
		bytes=$((bytes)) total=$((total + bytes))
		[ "$total" -le 262144 ] || refuse 'too-large'
		find_hash "$R$file"
		printf 'file %s %s %s %s\n' "$(stat -L -c '%a %u:%g' "$R$file")" "$bytes" "$hash" "$file"
		head -c "$bytes" "$R$file"
		printf '\n'
		patterns=$(include_patterns "$R$file")
		while [ -n "$patterns" ]; do
			line=${patterns%%"$nl"*}
			case $patterns in
			*"$nl"*) patterns=${patterns#*"$nl"} ;;
			*) patterns='' ;;
			esac
			pattern=${line#* }
			case $pattern in
			/*) ;;
			*) pattern=/etc/ssh/$pattern ;;
			esac
			printf 'include %s %s\nfrom %s\n' "${line%% *}" "$pattern" "$file"
			matches=$(expand "$pattern")
			[ -n "$matches" ] || continue
			printf '%s\n' "$matches" | sed 's/^/match /'
			# What it includes is read before what follows.
			queue=$matches$nl$queue
		done
	done
}

see_effective() {
	index=0
	for user in "$@"; do
		if line=$(effective "$user"); then key=eff; else key=eff-failed; fi
		printf '%s\n' "$line" | sed "s/^/$key $index /"
		index=$((index + 1))
	done
}

# Effective values of user $1 as it comes over our connection. Older ones do not know all that can be said of it.
effective() {
	spec=user=$1,host=${client:-localhost},addr=${client:-127.0.0.1}
	ask_sshd -T -f "$R$main" -C "$spec,laddr=${server_address:-127.0.0.1},lport=${server_port:-22}" ||
		ask_sshd -T -f "$R$main" -C "$spec"
}

# Lines `login EPOCH METHOD USER ADDRESS`, the latest of each kind.
see_logins() {
	oldest=$(($1 - 2592000))
	{
		if on_systemd && has journalctl; then
			limited 15 journalctl -q --no-pager -o short-unix --since '30 days ago' SYSLOG_IDENTIFIER=sshd \
				+ SYSLOG_IDENTIFIER=sshd-session 2>/dev/null | grep -F ': Accepted ' | sed 's/^\([0-9]*\)[.0-9]* /@\1 /'
		fi
		for log in "$R"/var/log/auth.log* "$R"/var/log/secure* "$R"/var/log/messages; do
			[ -f "$log" ] && [ -n "$(find "$log" -mtime -31 2>/dev/null)" ] || continue
			case $log in
			*.gz) gzip -dc "$log" 2>/dev/null ;;
			*) cat "$log" ;;
			esac | grep 'sshd.*: Accepted '
		done
	} | awk -v oldest="$oldest" '{
		time = 0; if ($1 ~ /^@/) time = substr($1, 2) + 0
		if (time && time < oldest || !match($0, /: Accepted [^ ]+ for [^ ]+ from [^ ]+/)) next
		split(substr($0, RSTART + 11, RLENGTH - 11), f, " ")
		# A login over a pipe is a canary of ours.
		if (f[5] == "UNKNOWN") next
		key = f[1] " " f[3] " " f[5]; if (!(key in last) || time > last[key]) last[key] = time
	} END { for (key in last) print "login", last[key], key }' | sort -k 2,2nr | head -n 1000
	! has last || limited 10 last -w -i -n 2000 2>/dev/null | awk '
		$3 ~ /^[0-9a-fA-F.:]+$/ && $3 ~ /[.:]/ && $3 != "0.0.0.0" && !($1 " " $3 in seen) { seen[$1 " " $3] = 1; print "login 0 -", $1, $3 }'
	! has who || who 2>/dev/null | awk '{
		from = $NF; if (from !~ /^\(/) next
		gsub(/[()]/, "", from); print "on", $1, from }'
}

# Groups and lock of each user that has been named.
see_users() {
	sort -u | while read -r user; do
		case $user in '' | *[!A-Za-z0-9_.@+-]* | -*) continue ;; esac
		groups=$(id -Gn "$user" 2>/dev/null) && printf 'groups %s %s\n' "$user" "$groups"
		[ ! -r "$R/etc/shadow" ] || awk -F: -v user="$user" '$1 == user && $2 ~ /^!/ { print "locked", user }' "$R/etc/shadow"
	done
}

# Other sshds that listen, and the sessions of this one.
see_others() {
	grep -lsF '[listener]' /proc/[0-9]*/cmdline | while read -r path; do
		pid=${path#/proc/}
		pid=${pid%/cmdline}
		[ "$pid" != "$listener" ] || continue
		find_title "$pid"
		case $title in 'sshd: '*) ;; *) continue ;; esac
		line=${title#sshd: }
		line=${line%% \[listener\]*}
		(find_words "$line" && [ "$main" = "$asked_main" ]) && same=same || same=other
		[ "$(readlink "/proc/$pid/ns/mnt")" = "$(readlink "/proc/$$/ns/mnt")" ] || same=other
		printf 'other %s %s %s\n' "$pid" "$same" "$line"
	done
	cat /proc/[0-9]*/stat 2>/dev/null | awk -v listener="${listener:-0}" -v mine="$below" '
		{ pid = $1; comm = $0; sub(/^[^(]*\(/, "", comm); sub(/\) [A-Za-z] .*/, "", comm); sub(/.*\) [A-Za-z] /, "")
		  if ($1 == listener && comm ~ /^sshd/ && pid != mine) count++ }
		END { print "sessions " count + 0 }'
}

see_service() {
	printf 'kind %s\n' "$kind"
	say unit "$served"
	say socket "$socket"
	printf 'binary %s\nmain %s\ninstance %s\n' "$binary" "$main" "$instance"
	say raw "$raw"
	say untitled "$untitled"
	printf '%s' "$words" | sed 's/^/word /'
	printf '%s' "$command" | sed 's/^/command /'
	"$binary" -V 2>&1 </dev/null | sed -n 's/^\(OpenSSH_[^,]*\).*/version \1/p' | head -n 1
	say connection "$connection"
	if [ -n "$listener" ]; then
		find_image "$listener"
		find_listening
		find_inodes "$listener"
		listener_as="$listener $started $image"
		printf 'listener %s %s\n' "$listener_as" "$inodes"
	fi
	if [ -d "$R/sys/fs/selinux" ] && [ -e "$R/sys/fs/selinux/enforce" ]; then say selinux yes; fi
	if on_systemd; then
		[ ! -w "$R/etc/systemd/system" ] || say survives yes
	elif has update-rc.d || has insserv; then
		[ ! -w "$R/etc/init.d" ] || say survives yes
	fi
}

see_change() {
	read_change "$2" || return 0
	printf '%s run %s\n%s operator %s\n%s since %s\n%s reason %s\n' "$1" "$owner_run" "$1" "$owner_operator" \
		"$1" "$owner_since" "$1" "$owner_reason"
	if find_keeper "$home"; then say "$1 alive" yes; fi
}

# Compares what a run has proven with what stands.
see_proven() {
	[ -r "$confirmed/proven" ] || return 0
	while read -r key first rest; do
		case $key in
		at) say 'confirmed at' "$first" ;;
		listener)
			[ "$first $rest" != "$listener_as" ] || say 'confirmed listener' same
			;;
		file)
			find_hash "$R$rest"
			[ "$hash" = "$first" ] || say 'confirmed changed' "$rest"
			;;
		esac
	done <"$confirmed/proven"
	printf '%s' "${known#"$nl"}" | while IFS= read -r file; do
		grep -qxF "file $(find_hash "$R$file" && printf %s "$hash") $file" "$confirmed/proven" || say 'confirmed changed' "$file"
	done
}

see_state() {
	see_change trial "$trial"
	if [ -d "$trial" ]; then
		find_left
		say 'trial left' "$left"
		phase=rollback
		[ ! -e "$trial/armed" ] || phase=armed
		[ ! -e "$trial/claimed.confirm" ] || phase=confirm
		say 'trial phase' "$phase"
	fi
	see_change confirmed "$confirmed"
	see_proven
	[ ! -r "$confirmed/timed" ] || { read -r line <"$confirmed/timed" && say 'confirmed reverts' "$line"; }
	[ ! -r "$home/last" ] || {
		IFS= read -r line && say last "$line"
		read -r _ line && say last-since "$line"
	} <"$home/last"
}

[ "$(id -u)" = 0 ] || [ -n "$R" ] || refuse not-root
untitled='' listener_as=''
find_server || refuse 'no-sshd'
find_kind
find_command
find_instance
find_home "$instance"
client=${connection%% *} server_port=${connection##* }
server_address=${connection% *}
server_address=${server_address##* }
clock
say now "$clock"
see_service
see_files
if said=$(ask_sshd -t -f "$R$main"); then say baseline ok; else say baseline bad; fi
[ -z "$said" ] || printf '%s\n' "$said" | sed 's/^/said /'
see_effective "$@"
logins=$(see_logins "$clock")
[ -z "$logins" ] || printf '%s\n' "$logins"
{
	printf '%s\n' "$logins" | awk '$1 == "login" { print $4 } $1 == "on" { print $2 }'
	[ $# -eq 0 ] || printf '%s\n' "$@"
} | see_users
see_others
see_state
say result look
