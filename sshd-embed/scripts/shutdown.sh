#!/bin/sh
# shutdown(8) of an embedded host: knows the actions, and only the time "now".
action=poweroff
when=
while [ $# -gt 0 ]; do
    case $1 in
    -h | -P | --poweroff) action=poweroff ;;
    -r | --reboot) action=reboot ;;
    -H | --halt) action=halt ;;
    -f | -F | -n | --no-wall) ;;
    -t) shift ;;
    -c)
        # Nothing is ever scheduled here, and shutdown -c is content with that.
        exit 0
        ;;
    -*)
        echo "shutdown: option '$1' is not known to an embedded host" >&2
        exit 1
        ;;
    *)
        # What follows the time is the message.
        when=$1
        break
        ;;
    esac
    shift
done
case $when in
now | +0) ;;
*)
    echo "shutdown: an embedded host goes down now or not at all: shutdown -h now" >&2
    exit 1
    ;;
esac
ctl=${PIPEDOWN_ROOT:?}/run/embed.ctl
if ! [ -p "$ctl" ]; then
    echo "shutdown: this host is not running" >&2
    exit 1
fi
printf '%s\n' "$action" >"$ctl"
