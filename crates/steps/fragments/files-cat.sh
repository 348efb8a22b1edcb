# Reads many small files, one after the other. For each of them its path, as it was listed, and its size.

while [ $# -ge 2 ]; do
	head -c "$2" <"$1" || exit
	shift 2
done
