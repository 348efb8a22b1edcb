# What sshd says of a configuration that stands nowhere: TOKEN BINARY WORDS LINES [SPEC]…; nothing is written.
# Standard input: the file that is included, LINES lines of it, then the main file, in which TOKEN stands for the former.
# Each SPEC is asked for its effective values; of several forms, between blanks, the first that sshd understands.
#
# The main file comes to sshd on its standard input. Of everything else that is open it keeps nothing: so the included
# one comes through a pipe that its parent holds open.

token=$1 binary=$2 words=$3 lines=$4
shift 4
included=
while [ "$lines" -gt 0 ] && IFS= read -r line; do
	included=$included$line$nl
	lines=$((lines - 1))
done
text=$(cat)

ask() {
	printf '%s' "$included" | {
		exec 5<&0
		read -r me _ </proc/self/stat
		answer=$(printf '%s\n' "$text" | sed "s|$token|/proc/$me/fd/5|g" | put_words "$@" 2>&1)
		status=$?
		printf '%s\n' "$answer" | sed "s|/proc/$me/fd/5|$token|g"
		exit "$status"
	}
}

# Runs sshd on its standard input with the words it was started with.
put_words() {
	IFS=$nl
	set -f
	# shellcheck disable=SC2086 # a word a line
	exec "$binary" -f /dev/stdin "$@" $words
}

if said=$(ask -t); then
	printf 'baseline ok\n'
	index=0
	for specs in "$@"; do
		key=eff-failed
		for spec in $specs; do
			if line=$(ask -T -C "$spec"); then
				key=eff
				break
			fi
		done
		printf '%s\n' "$line" | sed "s/^/$key $index /"
		index=$((index + 1))
	done
else
	printf 'baseline bad\n'
fi
[ -z "$said" ] || printf '%s\n' "$said" | sed 's/^/said /'
printf 'result checked\n'
