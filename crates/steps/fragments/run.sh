# Runs a script unless its guard says that there is nothing to do: CREATES|- UNLESS SCRIPT ARG…
# The first line of standard output tells which guard held; the rest, and the status, are the script's.

creates=$1 unless=$2 script=$3
shift 3
guarded=$(check_guards "$creates" "$unless" "$@")
printf 'guard %s\n' "$guarded"
[ "$guarded" = none ] || exit 0
exec sh -c "$script" pipedown "$@"
