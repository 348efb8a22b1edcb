#!/bin/sh
# poweroff(8), halt(8) and reboot(8) of an embedded host.
action=${0##*/}
for option; do
    case $option in
    -p | --poweroff) action=poweroff ;;
    --reboot) action=reboot ;;
    --halt) action=halt ;;
    -f | --force | -n | -w | -d | -i | --no-wall | --no-wtmp) ;;
    *)
        echo "${0##*/}: option '$option' is not known to an embedded host" >&2
        exit 1
        ;;
    esac
done
ctl=${PIPEDOWN_ROOT:?}/run/embed.ctl
if ! [ -p "$ctl" ]; then
    echo "${0##*/}: this host is not running" >&2
    exit 1
fi
printf '%s\n' "$action" >"$ctl"
