# ---- scripts of a playbook

# Prints which guard says that there is nothing to do, or `none`. $1: a path or `-`; $2: a script or nothing; the
# rest are the script's arguments.
check_guards() {
	creates=$1 unless=$2
	shift 2
	if [ "$creates" != - ] && [ -e "$R$creates" ]; then
		echo creates
	elif [ -n "$unless" ] && sh -c "$unless" pipedown "$@" </dev/null >/dev/null 2>&1; then
		echo unless
	else
		echo none
	fi
}

# Sets `word` to the content of file $1 without the newline that ends every file of a window.
read_word() {
	word=$(
		cat "$1"
		echo .
	)
	word=${word%"$nl."}
}

# An agenda's script: WINDOW STEP TIMEOUT abort|continue SCRIPT UNLESS|- CREATES|- ARG…, the last five as files.
# Its status is left in script.STEP.status.
run_entry() {
	window=$1 step=$2 timeout=$3 policy=$4 script=$5 unless=$6 creates=$7
	shift 7
	for id; do
		read_word "$window/arg.$id"
		set -- "$@" "$word"
		shift
	done
	read_word "$window/text.$script"
	script=$word word=
	[ "$unless" = - ] || read_word "$window/text.$unless"
	unless=$word word=-
	[ "$creates" = - ] || read_word "$window/arg.$creates"
	status=0
	if [ "$(check_guards "$word" "$unless" "$@")" = none ]; then
		setsid sh -c "$script" pipedown "$@" &
		child=$!
		wait_for "$timeout" "$child"
		status=$?
		[ "$status" -lt 128 ] || kill -KILL -- "-$child" 2>/dev/null
	fi
	printf '%s %s\n' "$status" "$policy" | write "$window/script.$step.status"
}
