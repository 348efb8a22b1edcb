# Lists what is to be fetched; changes nothing. $1: `r` for folders with all that is in them; then the paths. Each answer is
# `KIND SIZE MODE SUM`, a path, and for a link where it leads, each ended by a NUL: names may hold newlines. Kind `t` names
# what was asked for and where that is; what is there follows.
#
# Only what is there now counts: a log that grows meanwhile is fetched up to here.

# shellcheck disable=SC2016 # expanded by the inner shell
see='
for path; do
	sum=- link= size=0
	if [ -L "$path" ]; then
		kind=l
		link=$(readlink "$path" && echo .)
		link=${link%??}
	elif [ -d "$path" ]; then
		kind=d
	elif [ ! -f "$path" ]; then
		kind=s
	elif [ ! -r "$path" ]; then
		kind=u
	else
		kind=f
		size=$(stat -c %s "$path")
		if command -v sha256sum >/dev/null; then
			sum=$(head -c "$size" <"$path" | sha256sum)
			sum=${sum%% *}
		else
			sum=$(head -c "$size" <"$path" | openssl dgst -sha256)
			sum=${sum##* }
		fi
	fi
	printf "%s %s %s %s\0%s\0%s\0" "$kind" "$size" "$(stat -c %a "$path")" "$sum" "$path" "$link"
done'

has sha256sum || has openssl || fail tool sha256sum
has stat || fail tool stat
deep=$1
shift
for wanted; do
	find_path "$wanted"
	printf 't 0 0 -\0%s\0%s\0' "$wanted" "$path"
	if [ ! -e "$path" ]; then
		printf 'a 0 0 -\0%s\0\0' "$path"
	elif [ "$deep" = r ]; then
		find "$path" -exec sh -c "$see" pipedown {} +
	else
		find "$path" -prune -exec sh -c "$see" pipedown {} +
	fi
done
