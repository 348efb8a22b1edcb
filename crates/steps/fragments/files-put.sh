# Puts one file in place: standard input goes to a part beside it, whose sum must be right before it gets the name.
#
# $1: path. $2: name of the part when nobody writes to it. $3: how much of it is there already. $4: size. $5: SHA-256.
# $6: mode. $7: owner.
#
# Nobody else ever writes to what this process writes to: it gives its part a name of its own first. What another process has,
# cut off perhaps without knowing it, is copied; what a dead one has left is taken over.

# Removes what nobody writes to any more.
sweep() {
	rm -f "$folder$1"
	for left in "$owns"*; do
		has_writer "$left" || ! is_ours "$left" || rm -f "$left"
	done
}

# Whether the file has the content that was to be sent.
is_there() {
	[ -f "$path" ] && [ "$(stat -c %s "$path")" = "$1" ] && find_sum "$path" "$1" && [ "$sum" = "$2" ]
}

find_path "$1"
[ ! -d "$path" ] || fail folder
find_own "$2"
# An earlier process of the same number has left it.
[ ! -e "$own" ] || mv -f "$own" "$folder$2"
umask 077
if [ "$3" = 0 ]; then
	sweep "$2"
	free=$(stat -f -c '%a %S' "$folder" 2>/dev/null) || free=
	if [ -n "$free" ] && [ $((${free% *} * ${free#* })) -lt "$4" ]; then
		fail space $((${free% *} * ${free#* }))
	fi
	# Made anew: nobody's file, and nobody's link, is written to.
	(set -C && true >"$own") || fail make
else
	find_begun "$2"
	[ -n "$part" ] || fail moved
	# What has grown since it was looked at is copied as well: of the rest nothing is known.
	if has_writer "$part" || [ "$(stat -c %s "$part")" -gt "$3" ]; then
		(set -C && head -c "$3" <"$part" >"$own") || {
			rm -f "$own"
			fail write
		}
	else
		mv -f "$part" "$own" 2>/dev/null || fail moved
	fi
	if ! is_ours "$own" || [ "$(stat -c %s "$own")" != "$3" ]; then
		rm -f "$own"
		fail moved
	fi
fi
cat >>"$own" || {
	# A part that fills the disk helps nobody.
	rm -f "$own"
	fail write
}
have=$(stat -c %s "$own")
if [ "$have" -lt "$4" ]; then
	# The next attempt goes on with it, unless another one has done it already.
	if is_there "$4" "$5"; then rm -f "$own"; else mv -f "$own" "$folder$2"; fi
	fail short "$have"
fi
find_sum "$own" "$4"
if [ "$have" != "$4" ] || [ "$sum" != "$5" ]; then
	rm -f "$own"
	fail sum "$sum"
fi
dress "$own" "$7" "$6"
case $? in
0) ;;
2)
	rm -f "$own"
	fail owner
	;;
*)
	rm -f "$own"
	fail mode
	;;
esac
label "$own"
# The name must not lead to a file that a power cut empties. Without `sync FILE` that is up to the file system.
sync "$own" 2>/dev/null
if [ -d "$path" ]; then
	rm -f "$own"
	fail folder
fi
mv -f "$own" "$path" || {
	rm -f "$own"
	fail rename
}
relabel "$path"
sweep "$2"
printf 'put %s\n' "$(stat -c '%s %a' "$path")"
