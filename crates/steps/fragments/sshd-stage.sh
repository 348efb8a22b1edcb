# Puts a candidate on the disk for one connection, below the state folder, or takes it away: INSTANCE put|remove TOKEN.
# Standard input: `main`, and `part`, for which TOKEN stands in the former.

find_home "$1"
staged=$home/staged
[ "$(id -u)" = 0 ] || [ -n "$R" ] || refuse not-root
trap leave_home EXIT
rm -rf "$staged"
if [ "$2" = put ]; then
	make_home 2>/dev/null && mkdir "$staged" 2>/dev/null && unpack "$staged" 2>/dev/null &&
		sed "s|$3|$staged/part|g" "$staged/main" >"$staged/whole" 2>/dev/null && [ -s "$staged/whole" ] || {
		rm -rf "$staged"
		fail "write the candidate to $staged: file system full or read-only?"
	}
	printf 'candidate %s\n' "$staged/whole"
fi
printf 'result staged\n'
