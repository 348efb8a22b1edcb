#!/bin/sh
# A host on this machine, with files, processes and a name of its own: host.sh FOLDER NAME, run by
# `unshare --mount --pid --uts`. What it runs in the end is the first process of the host, which lives
# until its standard input is closed: none outlives the test, however that ends.
set -e
folder=$1
mount -t overlay etc -o "lowerdir=/etc,upperdir=$folder/etc,workdir=$folder/work" /etc
for place in root home var run; do
    mount --bind "$folder/$place" "/$place"
done
mount --bind "$folder/ssh" /etc/ssh
hostname "$2"
exec /bin/sh -c '
    SSHD_OPTS=
    . /etc/default/ssh
    /usr/sbin/sshd $SSHD_OPTS || exit 1
    tries=0
    until [ -s /run/sshd.pid ]; do
        [ $((tries += 1)) -lt 600 ] || exit 1
        sleep 0.05
    done
    echo up
    # Not by exec: a shell that waits takes leave of orphans, too.
    cat >/dev/null' host
