#!/bin/sh
# hostname(1) of an embedded host: only tells, never sets.
case ${1:--} in
-*) cat "${PIPEDOWN_ROOT:?}/etc/hostname" ;;
*)
    echo "hostname: an embedded host keeps its name" >&2
    exit 1
    ;;
esac
