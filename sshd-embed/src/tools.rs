//! Which programs an embedded host has, and where the real ones are.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Programs of the machine that an embedded host may use, where they exist.
///
/// Nothing here can end or reconfigure the machine. There is no systemctl, loginctl, busctl or sudo: scripts
/// find a host without systemd.
pub(crate) const LINKED: &[&str] = &[
    "sh",
    "setsid",
    "sleep",
    "date",
    "cat",
    "mv",
    "rm",
    "mkdir",
    "rmdir",
    "ln",
    "chmod",
    "chown",
    "chgrp",
    "stat",
    "sync",
    "awk",
    "sed",
    "grep",
    "egrep",
    "fgrep",
    "tr",
    "sort",
    "uniq",
    "cut",
    "head",
    "tail",
    "wc",
    "printf",
    "echo",
    "test",
    "[",
    "env",
    "id",
    "uname",
    "ps",
    "pgrep",
    "kill",
    "mktemp",
    "mkfifo",
    "od",
    "sha256sum",
    "cksum",
    "touch",
    "ls",
    "cp",
    "cmp",
    "diff",
    "dd",
    "tar",
    "tee",
    "timeout",
    "true",
    "false",
    "dirname",
    "basename",
    "readlink",
    "realpath",
    "find",
    "xargs",
    "expr",
    "tty",
    "stty",
    "nproc",
    "seq",
    "paste",
    "comm",
    "join",
    "fold",
    "nl",
    "rev",
    "tac",
    "yes",
    "nohup",
    "flock",
    "getent",
    "base64",
    "df",
    "du",
    "pwd",
    "whoami",
    "groups",
    "logname",
    "sum",
    "md5sum",
    "split",
    "install",
    "truncate",
    "nice",
    "renice",
    "getconf",
    "less",
    "more",
    "clear",
    "tput",
    "vi",
];

/// Those without which the scripts provided to a host cannot work.
pub(crate) const REQUIRED: &[&str] =
    &["sh", "setsid", "cat", "date", "sed", "tr", "timeout", "rm", "mv", "mkdir", "sleep"];

/// Commands written for an embedded host, which stand in for the machine's own.
pub(crate) const PROVIDED: &[(&str, &str)] = &[
    ("shutdown", include_str!("../scripts/shutdown.sh")),
    ("poweroff", include_str!("../scripts/poweroff.sh")),
    ("halt", include_str!("../scripts/poweroff.sh")),
    ("reboot", include_str!("../scripts/poweroff.sh")),
    ("wall", include_str!("../scripts/wall.sh")),
    ("who", include_str!("../scripts/who.sh")),
    ("logger", include_str!("../scripts/logger.sh")),
    ("hostname", include_str!("../scripts/hostname.sh")),
];

/// Finds a program in the server's own `PATH`, then where programs usually are.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .chain(usual)
        .map(|dir| dir.join(name))
        .find(|file| executable(file))
}

fn executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_could_end_the_machine_is_linked() {
        for name in [
            "systemctl",
            "loginctl",
            "busctl",
            "sudo",
            "doas",
            "init",
            "telinit",
            "busybox",
            "openrc-shutdown",
        ] {
            assert!(!LINKED.contains(&name));
        }
        for (name, _) in PROVIDED {
            assert!(!LINKED.contains(name), "{name} is both linked and provided");
        }
        for name in REQUIRED {
            assert!(LINKED.contains(name));
        }
    }
}
