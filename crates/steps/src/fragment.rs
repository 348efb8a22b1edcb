//! The POSIX sh that runs on hosts.

use std::sync::LazyLock;

/// A fragment without its comments: every byte of it travels to every host.
fn compact(sources: &[&str]) -> String {
    let mut text = String::new();
    for line in sources.iter().flat_map(|source| source.lines()) {
        let bare = line.trim_start();
        if !bare.is_empty() && !bare.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

macro_rules! fragments {
    ($($(#[$doc:meta])* $name:ident = $($file:literal)+;)*) => {
        $(
            $(#[$doc])*
            pub(crate) fn $name() -> &'static str {
                static TEXT: LazyLock<String> =
                    LazyLock::new(|| compact(&[$(include_str!(concat!("../fragments/", $file))),+]));
                &TEXT
            }
        )*
    };
}

fragments! {
    /// What every fragment begins with.
    lib = "lib.sh" "window.sh" "scripts.sh";
    look = "look.sh";
    arm = "arm.sh";
    agenda = "down.sh" "agenda.sh";
    cancel = "cancel.sh";
    now = "now.sh";
    run = "run.sh";
    reap = "reap.sh";
    reboot = "down.sh" "reboot.sh";
    sshd_look = "sshd.sh" "sshd-look.sh";
    sshd_check = "sshd-check.sh";
    sshd_stage = "sshd.sh" "sshd-files.sh" "sshd-stage.sh";
    sshd_trial = "sshd.sh" "sshd-files.sh" "sshd-back.sh" "sshd-trial.sh";
    sshd_confirm = "sshd.sh" "sshd-back.sh" "sshd-confirm.sh";
    sshd_rollback = "sshd.sh" "sshd-files.sh" "sshd-back.sh" "sshd-rollback.sh";
    sshd_log = "sshd.sh" "sshd-log.sh";
    sshd_bans = "sshd.sh" "sshd-bans.sh";
    facts = "facts.sh";
    /// Whole scripts: they run in place of the login's shell.
    files_look = "files.sh" "files-look.sh";
    files_make = "files.sh" "files-make.sh";
    files_put = "files.sh" "files-put.sh";
    files_bundle = "files.sh" "files-bundle.sh";
    files_list = "files.sh" "files-list.sh";
    files_get = "files-get.sh";
    files_cat = "files-cat.sh";
    /// A whole script: it stays on the host while a change is tried.
    sshd_keeper = "lib.sh" "sshd.sh" "sshd-back.sh" "sshd-keeper.sh";
}

/// The library to open a [`HostShell`](crate::HostShell) with: every fragment builds on it.
pub fn library() -> &'static str {
    lib()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_do_not_travel() {
        assert_eq!(compact(&["# a\nx\n\n\t# b\n", "y # c\n"]), "x\ny # c\n");
    }

    /// Everything but the library.
    fn all() -> [&'static str; 24] {
        [
            look(),
            arm(),
            agenda(),
            cancel(),
            now(),
            run(),
            reboot(),
            sshd_look(),
            sshd_check(),
            sshd_stage(),
            sshd_trial(),
            sshd_confirm(),
            sshd_rollback(),
            sshd_log(),
            sshd_bans(),
            sshd_keeper(),
            facts(),
            files_look(),
            files_make(),
            files_put(),
            files_bundle(),
            files_list(),
            files_get(),
            files_cat(),
        ]
    }

    /// A PATH that falls through, or a path that goes around it, would reach the real machine from an embedded host.
    #[test]
    fn no_command_is_called_by_an_absolute_path() {
        let folders = ["/bin/", "/sbin/", "/usr/bin", "/usr/lib", "/opt/"];
        for text in all().into_iter().chain([lib()]) {
            for line in text.lines() {
                let allowed =
                    line.contains("=/bin/sh ") || line.contains("#!/bin/sh") || line.contains("PATH=");
                let found = folders.iter().find(|folder| line.contains(*folder));
                assert!(allowed || found.is_none(), "absolute path in: {line}");
            }
        }
    }

    #[test]
    fn no_here_document_and_no_bashism() {
        for text in all().into_iter().chain([lib()]) {
            for line in text.lines() {
                for banned in ["<<", "[[ ", "function ", "local ", "&>", "<("] {
                    let awk = banned == "function " && !line.starts_with("function ");
                    assert!(!line.contains(banned) || awk || is_awk(line), "{banned:?} in: {line}");
                }
            }
        }
    }

    /// Each file alone may use what another sets; the whole may not use what nobody sets.
    #[test]
    fn the_joined_text_uses_no_name_that_nobody_sets() {
        use std::io::Write as _;
        use std::process::{Command, Stdio};

        let start = |text: &str| {
            let mut shellcheck = Command::new("shellcheck");
            shellcheck.args(["--norc", "-s", "sh", "--include=SC2154,SC2153", "-"]);
            let mut child = shellcheck.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
            child.stdin.take()?.write_all(format!("{}\n{text}", lib()).as_bytes()).ok()?;
            Some(child)
        };
        let children: Option<Vec<_>> = all().into_iter().map(start).collect();
        let Some(children) = children else {
            println!("skipped, not installed: shellcheck");
            return;
        };
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }

    /// awk has functions too.
    fn is_awk(line: &str) -> bool {
        ["group(p", "terminal(n", "service(p", "name(u", "clean(s"].iter().any(|name| line.contains(name))
    }
}
