# The command that sshd's exec runs, as the word after `sh -c`. Lines that begin with # are not sent; the rest is one
# line between single quotes in whatever the login shell is (sh, csh, fish): no quote, `!` or backslash may occur.
# $1 is a word that only this controller knows. It is printed to say that sudo is done and nobody but us reads the
# next line, and it must lead that line: a password that arrives here by mistake is not run.
echo "pipedown ready $1"; echo "pipedown ready $1" >&2; IFS=" " read -r k l && test "$k" = "$1" && eval "$(printf %b "$l")"
