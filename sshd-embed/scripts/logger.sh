#!/bin/sh
# logger(1) of an embedded host: appends to var/log/syslog.
tag=${USER:-root}
while [ $# -gt 0 ]; do
    case $1 in
    -t | --tag)
        tag=$2
        shift
        ;;
    -t?*) tag=${1#-t} ;;
    --tag=*) tag=${1#*=} ;;
    -p | --priority) shift ;;
    -p?* | --priority=*) ;;
    -i | --id | --id=*) ;;
    --)
        shift
        break
        ;;
    -*)
        echo "logger: option '$1' is not known to an embedded host" >&2
        exit 1
        ;;
    *) break ;;
    esac
    shift
done
log=${PIPEDOWN_ROOT:?}/var/log/syslog
read -r host <"$PIPEDOWN_ROOT/etc/hostname"
stamp=$(date '+%b %e %H:%M:%S')
line() {
    printf '%s %s %s: %s\n' "$stamp" "$host" "$tag" "$1" >>"$log"
}
if [ $# -gt 0 ]; then
    line "$*"
else
    while read -r text; do
        line "$text"
    done
fi
