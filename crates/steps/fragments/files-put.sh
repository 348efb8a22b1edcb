# Puts one file in place: standard input goes to a part beside it, whose sum must be right before it gets the name.
#
# $1: path. $2: name of the part. $3: how much of it is there already. $4: size. $5: SHA-256. $6: mode. $7: owner.

find_path "$1"
[ ! -d "$path" ] || fail folder
part=$folder$2
if [ "$3" = 0 ]; then
	free=$(stat -f -c '%a %S' "$folder" 2>/dev/null) || free=
	if [ -n "$free" ] && [ $((${free% *} * ${free#* })) -lt "$4" ]; then
		fail space $((${free% *} * ${free#* }))
	fi
	rm -f "$part"
	umask 077
	# Made anew: nobody's file, and nobody's link, is written to.
	(set -C && true >"$part") || fail make
else
	is_ours "$part" && [ "$(stat -c %s "$part")" = "$3" ] || fail moved
fi
cat >>"$part" || {
	# A part that fills the disk helps nobody.
	rm -f "$part"
	fail write
}
have=$(stat -c %s "$part")
[ "$have" -ge "$4" ] || fail short "$have"
find_sum "$part" "$4"
if [ "$have" != "$4" ] || [ "$sum" != "$5" ]; then
	rm -f "$part"
	fail sum "$sum"
fi
dress "$part" "$7" "$6"
case $? in
0) ;;
2)
	rm -f "$part"
	fail owner
	;;
*)
	rm -f "$part"
	fail mode
	;;
esac
if [ -d "$R/sys/fs/selinux/class" ] && [ -e "$path" ] && has chcon; then
	chcon --reference="$path" "$part" 2>/dev/null
fi
# The name must not lead to a file that a power cut empties. Without `sync FILE` that is up to the file system.
sync "$part" 2>/dev/null
[ ! -d "$path" ] || fail folder
mv -f "$part" "$path" || fail rename
if [ -d "$R/sys/fs/selinux/class" ] && has restorecon; then
	restorecon "$path" 2>/dev/null
fi
printf 'put %s\n' "$(stat -c '%s %a' "$path")"
