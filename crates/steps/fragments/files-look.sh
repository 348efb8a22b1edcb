# Looks at what stands where files are to be copied to; changes nothing. For each of them five arguments: its number, its
# kind (`f`, `d`, `l`), its path, its size (of a link: where it leads), and the name of a part that was begun.

see_file() {
	find_path "$3"
	[ -z "$followed" ] || printf '%s followed\n' "$1"
	if [ -d "$path" ]; then
		printf '%s folder\n' "$1"
		return
	elif [ -f "$path" ]; then
		set -- "$@" "$(stat -c '%s %a %u:%g %U:%G' "$path")"
		sum=-
		if [ ! -r "$path" ]; then
			sum=unreadable
		elif [ "${6%% *}" = "$4" ]; then
			find_sum "$path" "$4"
		fi
		printf '%s file %s %s\n' "$1" "$6" "$sum"
	elif [ -L "$path" ]; then
		printf '%s dangling\n' "$1"
		return
	elif [ -e "$path" ]; then
		printf '%s special\n' "$1"
		return
	elif [ ! -d "$folder" ]; then
		printf '%s orphan\n' "$1"
		return
	else
		printf '%s absent\n' "$1"
	fi
	[ -w "$folder" ] || printf '%s locked\n' "$1"
	find_begun "$5"
	if [ -n "$part" ]; then
		set -- "$1" "$(stat -c %s "$part")"
		find_sum "$part" "$2"
		printf '%s part %s %s\n' "$1" "$2" "$sum"
	fi
}

see_folder() {
	find_path "$3"
	if [ -d "$path" ]; then
		printf '%s folder\n' "$1"
	elif [ -e "$path" ] || [ -L "$path" ]; then
		printf '%s special\n' "$1"
	elif [ ! -d "$folder" ]; then
		printf '%s orphan\n' "$1"
	else
		printf '%s absent\n' "$1"
		[ -w "$folder" ] || printf '%s locked\n' "$1"
	fi
}

see_link() {
	case $3 in
	/*) path=$R$3 ;;
	*) path=./$3 ;;
	esac
	folder=${path%/*}/
	if [ -L "$path" ]; then
		if [ "$(readlink "$path" && echo .)" = "$4$nl." ]; then
			printf '%s same\n' "$1"
		else
			printf '%s other\n' "$1"
		fi
	elif [ -d "$path" ]; then
		printf '%s folder\n' "$1"
	elif [ -e "$path" ]; then
		printf '%s other\n' "$1"
	elif [ ! -d "$folder" ]; then
		printf '%s orphan\n' "$1"
	else
		printf '%s absent\n' "$1"
	fi
	[ ! -d "$folder" ] || [ -w "$folder" ] || printf '%s locked\n' "$1"
}

has sha256sum || has openssl || fail tool sha256sum
has stat || fail tool stat
while [ $# -ge 5 ]; do
	case $2 in
	f) see_file "$1" "$2" "$3" "$4" "$5" ;;
	d) see_folder "$1" "$2" "$3" ;;
	l) see_link "$1" "$2" "$3" "$4" ;;
	esac
	shift 5
done
echo seen
