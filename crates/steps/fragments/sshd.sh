# What the fragments about sshd's configuration share: where its state is, its processes, what it says.
#
# /var/lib/pipedown/sshd/INSTANCE/
#   trial/        a change that is tried: owner, service, plan, before/N, after/N, keeper, pid, and
#                 armed            until somebody claims its end by renaming it to
#                 claimed.confirm  or
#                 claimed.rollback
#   confirmed/    the same folder after a confirm, with proven (what runs) and whole/ (all files as they were proven); `timed` holds the second of its revert
#   last          what was put back last: RUN EPOCH BY WHY, and in a second line since when it had been there
# Beside each file in /etc: .pipedown.NAME.before (what stood: a second name of it), .pipedown.NAME.after (what comes).

# One that starts what lives in another mount namespace than ours is no help.
on_systemd() {
	[ -d "$R/run/systemd/system" ] && has systemctl &&
		[ "$(readlink /proc/1/ns/mnt)" = "$(readlink "/proc/$$/ns/mnt")" ]
}

find_home() {
	home=$R/var/lib/pipedown/sshd/$1 instance=$1
	trial=$home/trial confirmed=$home/confirmed unit=pipedown-sshd-$1.service
	initscript=$R/etc/init.d/pipedown-sshd-$1
}

# Sets `uptime` to the seconds since boot: no wrong clock touches them.
find_uptime() {
	read -r uptime _ </proc/uptime && uptime=${uptime%%.*}
}

# Sets `title` to the command line of process $1.
find_title() {
	title=
	[ -r "/proc/$1/cmdline" ] && title=$(tr '\000' ' ' 2>/dev/null <"/proc/$1/cmdline")
}

# Sets `image` to where the stack of process $1 begins, which differs after each execve; empty if it is gone.
find_image() {
	image=
	find_started "$1" || return 1
	# shellcheck disable=SC2086 # fields
	set -- $stat_line
	image=${24-}-${26-}
}

# Sets `inodes` to those of the listening sockets of process $1.
find_inodes() {
	inodes=' '
	[ -d "/proc/$1/fd" ] || return 1
	# shellcheck disable=SC2012 # numbers and sockets
	for inode in $(ls -l "/proc/$1/fd" 2>/dev/null | sed -n 's/.*socket:\[\([0-9]*\)\]$/\1/p' | sort -un); do
		case $listening in *" $inode "*) inodes="$inodes$inode " ;; esac
	done
	[ "$inodes" != ' ' ]
}

# Sets `listening` to the inodes of all TCP sockets that listen.
find_listening() {
	listening=" $(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { printf "%s ", $10 }')"
}

# Whether process $1 is an sshd that has come so far as to listen.
listens() {
	find_title "$1"
	case $title in
	*'[listener]'*) ;;
	# Older ones do not say so.
	'sshd: '*) return 1 ;;
	*) [ -n "$untitled" ] || return 1 ;;
	esac
	find_listening
	find_inodes "$1"
}

# Reads what is known of the service from file $1: kind, unit, socket, binary, main, extra words, listener, command.
read_service() {
	kind=process served='' socket='' raw='' binary=sshd main='' words='' command='' listener='' listener_started=''
	listener_image='' untitled=''
	while IFS= read -r line; do
		value=${line#* }
		case $line in
		'kind '*) kind=$value ;;
		'unit '*) served=$value ;;
		'socket '*) socket=$value ;;
		'raw '*) raw=$value ;;
		'binary '*) binary=$value ;;
		'main '*) main=$value ;;
		'word '*) words=$words$value$nl ;;
		'command '*) command=$command$value$nl ;;
		'untitled '*) untitled=$value ;;
		'listener '*)
			# shellcheck disable=SC2086 # fields
			set -- $value
			listener=${1-} listener_started=${2-} listener_image=${3-}
			;;
		esac
	done <"$1"
	[ -n "$main" ]
}

# Runs sshd with the words it was started with and those given; for at most 20 s.
ask_sshd() {
	asked=$#
	IFS=$nl
	set -f
	# shellcheck disable=SC2086 # a word a line
	set -- "$@" $words
	set +f
	unset IFS
	while [ "$asked" -gt 0 ]; do
		first=$1
		shift
		set -- "$@" "$first"
		asked=$((asked - 1))
	done
	limited 20 "$binary" "$@" 2>&1
}

# Whether sshd takes what stands; sets `said`.
test_sshd() {
	said=$(ask_sshd -t -f "$R$main")
}

# Reads who owns the change in folder $1.
read_change() {
	owner_run='' owner_operator='' owner_controller='' owner_reason='' owner_since=0 owner_keep=''
	[ -r "$1/owner" ] || return 1
	while read -r key value; do
		case $key in
		run) owner_run=$value ;;
		operator) owner_operator=$value ;;
		reason) owner_reason=$value ;;
		since) owner_since=$value ;;
		keep) owner_keep=$value ;;
		esac
	done <"$1/owner"
	[ -n "$owner_run" ]
}

# Sets `pid` to the keeper of the change in folder $1, if it lives.
find_keeper() {
	pid=''
	[ -r "$1/pid" ] && read -r pid pid_started <"$1/pid" && lives "$pid" "$pid_started"
}

# Sets `left` to the seconds until the trial is put back.
find_left() {
	left=0
	[ -r "$trial/armed" ] && read -r armed_boot deadline _ <"$trial/armed" && find_boot && [ "$armed_boot" = "$boot" ] &&
		find_uptime || return 0
	left=$((deadline - uptime))
	[ "$left" -gt 0 ] || left=0
}

# Whether the trial of a folder has moved files: before that there is nothing to put back.
has_moved() {
	[ -e "$1/moved" ]
}
