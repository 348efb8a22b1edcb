# Puts many small files in place: standard input is an archive (tar) for each folder, one after the other. It is unpacked in a
# folder of its own below that one; what lies there gets its names when the sum of all is right. Whatever goes wrong, the archive
# leaves nothing behind: each file is sent on its own then, and whoever sends it learns why.
#
# For each archive: how many arguments follow for it; its size, the SHA-256 of all that its files hold, their owner, the folder
# (nothing, or with a final slash), and the names.

# Removes what dead processes of this host have left here.
sweep() {
	for left in "$1"*; do
		if [ -d "$left" ] && [ ! -L "$left" ] && ! kill -0 "${left##*-}" 2>/dev/null; then
			rm -rf "$left"
		fi
	done
}

give_up() {
	cd ..
	rm -rf "$stage"
	fail "$1"
}

# $1: size. $2: sum. $3: owner. $4: folder. Then the names.
unpack() {
	case $4 in
	/*) folder=$R$4 ;;
	*) folder=./$4 ;;
	esac
	stages=.pipedown-bundle-$node-
	stage=$stages$$
	cd "$folder" || fail folder
	sweep "$stages"
	# Made anew, and nobody else gets into it.
	mkdir "$stage" && cd "$stage" || fail make
	size=$1 wanted=$2 owner=$3
	shift 4
	# No byte of the next archive is read.
	dd bs="$size" count=1 iflag=fullblock 2>/dev/null | tar -xpmof - || give_up unpack
	sum=$(cat -- "$@" | if has sha256sum; then sha256sum; else openssl dgst -sha256; fi)
	sum=${sum##*= }
	[ "${sum%% *}" = "$wanted" ] || give_up sum
	[ "$owner" = - ] || chown -- "$owner" "$@" || give_up owner
	for name; do
		path=../$name
		label "./$name"
	done
	# A name must not lead to a file that a power cut empties.
	sync -- "$@" 2>/dev/null
	mv -f -- "$@" .. || give_up rename
	cd ..
	rmdir "$stage"
	relabel "$@"
	stat -c '%s %a' -- "$@"
}

# Runs `unpack` with the first of what follows $1, their number.
first() {
	rest=$(($# - $1 - 1))
	names=$1
	shift
	while [ "$names" -gt 0 ]; do
		set -- "$@" "$1"
		shift
		names=$((names - 1))
	done
	shift "$rest"
	unpack "$@"
}

umask 077
unset TAR_OPTIONS
node=$(uname -n | tr -cd 'A-Za-z0-9._-')
while [ $# -gt 0 ]; do
	# Its own process: each begins in the login's folder.
	(first "$@") || exit
	shift $(($1 + 1))
done
echo put
