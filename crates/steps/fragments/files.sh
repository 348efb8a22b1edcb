# What copying and fetching share. Each fragment runs in place of the login's shell and without the library: standard
# input may be a file.
#
# An absolute path lies below $R; any other begins where the login does.

set -u
R=${PIPEDOWN_ROOT-}
[ -n "$R" ] || PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
nl='
'

# Why it ends here: one word for the controller; what the system said is on standard error.
fail() {
	printf 'failed %s\n' "$*"
	exit 1
}

has() {
	command -v "$1" >/dev/null 2>&1
}

# Sets `path` to where $1 is, `folder` to what it lies in, with a final slash. A symbolic link is followed.
find_path() {
	case $1 in
	/*) path=$R$1 ;;
	*) path=./$1 ;;
	esac
	followed=
	if [ -L "$path" ] && [ -e "$path" ]; then
		followed=yes
		# The dot keeps newlines at a name's end.
		path=$(readlink -f "$path" && echo .)
		path=${path%"$nl".}
	fi
	folder=${path%/*}/
}

# Sets `sum` to the SHA-256 of the first $2 bytes of file $1; `none` without a tool for it.
find_sum() {
	sum=
	# It knows the processor's own instructions, which pays for its longer start.
	if has openssl && { [ "$2" -ge 1048576 ] || ! has sha256sum; }; then
		sum=$(head -c "$2" <"$1" | openssl dgst -sha256 2>/dev/null)
		sum=${sum##* }
	fi
	[ ${#sum} -ne 64 ] || return 0
	if has sha256sum; then
		sum=$(head -c "$2" <"$1" | sha256sum) && sum=${sum%% *}
	else
		sum=none
	fi
}

# Whether file $1 is a part of a file that this account has begun to send. Others may have put a link there.
is_ours() {
	[ -f "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %u "$1")" = "$(id -u)" ]
}

# Sets `owns` to what the names begin with that processes of this host give to parts of one content, and `own` to that of this
# process. $1: the name that such a part has when nobody writes to it. Hosts may share a file system.
find_own() {
	[ -n "${node-}" ] || node=$(uname -n | tr -cd 'A-Za-z0-9._-')
	owns=${1##*.pipedown-}
	owns=$folder.pipedown-${owns%.part}-$node-
	own=$owns$$
}

# Whether part $1 may still be written to.
has_writer() {
	case $1 in
	"$owns"*) kill -0 "${1##*-}" 2>/dev/null ;;
	*) return 1 ;;
	esac
}

# Sets `part` to one that was begun: that nobody writes to, or that a process of this host has, or had when it died. Empty if
# there is none. $1 as above.
find_begun() {
	find_own "$1"
	for part in "$folder$1" "$owns"*; do
		! is_ours "$part" || return 0
	done
	part=
}

# Makes $1 belong to $2 (`-` for nobody in particular) and have mode $3.
dress() {
	if [ "$2" != - ] && [ "$(stat -c %U:%G "$1")" != "$2" ] && [ "$(stat -c %u:%g "$1")" != "$2" ]; then
		chown "$2" "$1" || return 2
	fi
	chmod "$3" "$1" || return 3
}

# Gives part $1 the SELinux context of what it replaces.
label() {
	[ -d "$R/sys/fs/selinux/class" ] && [ -e "$path" ] && has chcon || return 0
	chcon --reference="$path" "$1" 2>/dev/null || true
}

# Gives files that have their names now the SELinux context that the host's policy has for them.
relabel() {
	[ -d "$R/sys/fs/selinux/class" ] && has restorecon || return 0
	restorecon -- "$@" 2>/dev/null || true
}
