# Reads one file in blocks, each when it is asked for: who asks for no more than can be taken is never flooded.
#
# $1: path, as it was listed. $2: size of a block. Each line of standard input is a block's number.

while IFS= read -r block; do
	dd if="$1" bs="$2" skip="$block" count=1 2>/dev/null || {
		echo "cannot read block $block" >&2
		exit 1
	}
done
