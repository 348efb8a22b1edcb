# Makes what has no content, and gives what has it its mode. For each thing four arguments: its kind, its path, its mode (of
# a link: where it leads; of a part: its name), its owner.
#
# `p`: what the path lies in; `d`: a folder; `l`: a symbolic link; `m`: mode and owner only; `r`: a part that nobody writes to
# is removed.

while [ $# -ge 4 ]; do
	find_path "$2"
	case $1 in
	p) mkdir -p "$folder" || fail make "$2" ;;
	d)
		[ -d "$path" ] || mkdir "$path" || fail make "$2"
		dress "$path" "$4" "$3" || fail mode "$2"
		;;
	l)
		case $2 in
		/*) path=$R$2 ;;
		*) path=./$2 ;;
		esac
		[ ! -d "$path" ] || [ -L "$path" ] || fail folder "$2"
		# A link to a folder is replaced, not followed.
		ln -sfn -- "$3" "$path" || fail make "$2"
		;;
	m) dress "$path" "$4" "$3" || fail mode "$2" ;;
	r) rm -f "$folder$3" || fail remove "$2" ;;
	esac
	shift 4
done
echo made
