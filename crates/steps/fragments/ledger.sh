# Reads or removes the ledger of one run: `read RUN` or `forget RUN`.
ledger=${PIPEDOWN_ROOT-}/var/lib/pipedown/ledger
case $1 in
read)
	[ ! -f "$ledger/$2" ] || cat "$ledger/$2"
	;;
forget)
	rm -f "$ledger/$2" || exit 1
	# Only empty folders go; others still have their reason to be.
	rmdir "$ledger" "${ledger%/*}" 2>/dev/null
	[ ! -e "$ledger/$2" ]
	;;
esac
