//! What sshd writes to its log when it refuses somebody, and what that means.
//!
//! The texts are those of OpenSSH 7.0 to 10.0 (auth.c, auth2-pubkey.c, auth2-pubkeyfile.c, auth-pam.c, session.c and
//! others) and of PAM's modules in Debian and Red Hat systems.

use super::words::shown;

/// Why a login was refused, as the server's log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    /// The cause in a few words.
    pub(super) what: &'static str,
    /// The line that says so.
    pub(super) line: String,
    /// What to change. `USER` stands for the user.
    pub(super) hint: &'static str,
    /// The file or folder that is wrong.
    pub(super) path: Option<String>,
}

/// What the log's lines about one connection come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Diagnosis {
    /// The cause.
    Found(Cause),
    /// There are lines, and the cause is not among them.
    Hidden,
    /// There is no line about this connection.
    Silent,
}

struct Row {
    /// All of these are in the line.
    needles: &'static [&'static str],
    what: &'static str,
    hint: &'static str,
}

/// The most telling first: a line further down may follow from one further up.
const ROWS: &[Row] = &[
    Row {
        needles: &["not allowed because not listed in AllowUsers"],
        what: "AllowUsers does not list the user",
        hint: "on the server: add USER to AllowUsers in sshd_config, or log in as a user who is listed",
    },
    Row {
        needles: &["not allowed because listed in DenyUsers"],
        what: "DenyUsers lists the user",
        hint: "on the server: take USER out of DenyUsers in sshd_config, or log in as another user",
    },
    Row {
        needles: &["not allowed because", "AllowGroups"],
        what: "no group of the user is in AllowGroups",
        hint: "on the server: add USER to a group of AllowGroups (sshd_config), or add the group there",
    },
    Row {
        needles: &["not allowed because not in any group"],
        what: "the user is in no group, and AllowGroups or DenyGroups is set",
        hint: "on the server: give USER a group",
    },
    Row {
        needles: &["not allowed because", "DenyGroups"],
        what: "a group of the user is in DenyGroups",
        hint: "on the server: see DenyGroups in sshd_config",
    },
    // An expired account is said to be locked as well.
    Row {
        needles: &["account", "has expired"],
        what: "the account has expired",
        hint: "on the server: chage -E -1 USER (never), or a later date",
    },
    Row {
        needles: &["Account", "has expired"],
        what: "the account has expired",
        hint: "on the server: chage -E -1 USER (never), or a later date",
    },
    Row {
        needles: &["not allowed because account is locked"],
        what: "the account is locked",
        hint: "on the server: passwd -u USER, or without a password: usermod -p '*' USER (keys work then)",
    },
    Row {
        needles: &["not allowed because shell", "does not exist"],
        what: "the account's shell does not exist",
        hint: "on the server: install the shell, or usermod -s /bin/sh USER",
    },
    Row {
        needles: &["not allowed because shell", "is not executable"],
        what: "the account's shell cannot be executed",
        hint: "on the server: usermod -s /bin/sh USER, or mend the shell's mode",
    },
    Row {
        needles: &["not allowed because", "nologin exists"],
        what: "a nologin file keeps everybody but root out",
        hint: "on the server: remove the file when the maintenance is over",
    },
    Row {
        needles: &["ROOT LOGIN REFUSED"],
        what: "PermitRootLogin forbids root; the key itself is right",
        hint: "on the server: PermitRootLogin prohibit-password in sshd_config; or log in as another user and become root",
    },
    Row {
        needles: &["Authentication refused: bad ownership or modes"],
        what: "StrictModes: bad ownership or modes",
        hint: "on the server: the file and every folder above it must belong to USER or root and be writable by nobody else",
    },
    Row {
        needles: &["with correct key but not from a permitted host"],
        what: "the key's from= does not allow our address",
        hint: "on the server: add our address (as the line has it) to from= before the key in authorized_keys",
    },
    Row {
        needles: &["with correct key but", "command option"],
        what: "the key is bound to a command",
        hint: "on the server: see command= before the key in authorized_keys",
    },
    Row {
        needles: &["entry expired at"],
        what: "the key's expiry-time is past",
        hint: "on the server: renew expiry-time= before the key in authorized_keys, or put a new key there",
    },
    Row {
        needles: &["Refused by key options"],
        what: "the key is in authorized_keys, and an option before it refuses it",
        hint: "on the server: see from= and expiry-time= before the key in authorized_keys (LogLevel DEBUG says which)",
    },
    Row {
        needles: &["not in PubkeyAccepted"],
        what: "PubkeyAcceptedAlgorithms does not hold our key's algorithm",
        hint: "on our side: offer a key of another type (ed25519); on the server: add the algorithm of the line to \
               PubkeyAcceptedAlgorithms (PubkeyAcceptedKeyTypes before OpenSSH 8.5)",
    },
    Row {
        needles: &["ertificate", "expired"],
        what: "the user certificate has expired",
        hint: "on our side: get a new certificate for this key from its authority",
    },
    Row {
        needles: &["ertificate", "not yet valid"],
        what: "the user certificate is not yet valid",
        hint: "see the clocks of both sides, and the certificate's validity (ssh-keygen -L)",
    },
    Row {
        needles: &["ertificate", "principal"],
        what: "the user certificate does not name this user",
        hint: "on our side: get a certificate with the principal USER; on the server: see AuthorizedPrincipalsFile",
    },
    Row {
        needles: &["revoked"],
        what: "the key is revoked on the server",
        hint: "on our side: use another key; on the server: see RevokedKeys",
    },
    Row {
        needles: &["maximum authentication attempts exceeded"],
        what: "too many keys were offered (MaxAuthTries)",
        hint: "on our side: name the key (IdentityFile with IdentitiesOnly yes, or identity_file in the inventory)",
    },
    Row {
        needles: &["Too many authentication failures"],
        what: "too many keys were offered (MaxAuthTries)",
        hint: "on our side: name the key (IdentityFile with IdentitiesOnly yes, or identity_file in the inventory)",
    },
    Row {
        needles: &["past MaxStartups"],
        what: "MaxStartups dropped the connection",
        hint: "log in to the server less often at once, or raise MaxStartups there",
    },
    Row {
        needles: &["expired password"],
        what: "the password has expired, and PAM asks for a new one",
        hint: "on the server: chage -M -1 USER, or set a new password",
    },
    Row {
        needles: &["pam_nologin"],
        what: "a nologin file keeps everybody but root out",
        hint: "on the server: remove /run/nologin or /etc/nologin when the maintenance, boot or shutdown is over",
    },
    Row {
        needles: &["pam_access", "access denied"],
        what: "PAM's access.conf denies the user",
        hint: "on the server: see /etc/security/access.conf",
    },
    Row {
        needles: &["pam_faillock", "locked"],
        what: "PAM has locked the user after failed logins",
        hint: "on the server: faillock --user USER --reset",
    },
    Row {
        needles: &["pam_listfile"],
        what: "a list of PAM denies the user",
        hint: "on the server: see pam_listfile in /etc/pam.d/sshd and the file that it names",
    },
    Row {
        needles: &["by PAM account configuration"],
        what: "PAM's account part denies the user",
        hint: "on the server: see the account lines of /etc/pam.d/sshd: a nologin file, access.conf, an expired account, SSSD's rules",
    },
    Row {
        needles: &["AuthorizedKeysCommand", "failed"],
        what: "AuthorizedKeysCommand fails on the server",
        hint: "on the server: run the command by hand as AuthorizedKeysCommandUser",
    },
    Row {
        needles: &["Could not open user", "authorized"],
        what: "sshd cannot open the user's authorized_keys",
        hint: "on the server: see owner and mode of the file and of the folders above it, and whether the home is mounted",
    },
    // Every refused user of the rows above is "invalid" as well.
    Row {
        needles: &["Invalid user"],
        what: "there is no such user on the server",
        hint: "on our side: look for a typing error in the user; on the server: getent passwd USER, and its name service",
    },
    Row {
        needles: &["Failed publickey for"],
        what: "the key is not in the user's authorized_keys",
        hint: "on the server: add the public key to USER's authorized_keys (ssh-copy-id), where AuthorizedKeysFile says; if it is \
               there, LogLevel DEBUG shows options of the key that refuse it, expiry-time= among them",
    },
];

/// Finds the cause among the lines about our connection.
pub(super) fn diagnose(lines: &[String]) -> Diagnosis {
    let found = ROWS.iter().find_map(|row| {
        let line = lines.iter().find(|line| row.needles.iter().all(|needle| line.contains(needle)))?;
        Some(Cause { what: row.what, line: message(line), hint: row.hint, path: path(line) })
    });
    match found {
        Some(cause) => Diagnosis::Found(cause),
        None if lines.is_empty() => Diagnosis::Silent,
        None => Diagnosis::Hidden,
    }
}

/// The line without its time, host and process.
pub(super) fn message(line: &str) -> String {
    let text = line.split_once("]: ").map_or(line, |(_, text)| text);
    shown(text.trim().trim_end_matches("[preauth]"))
}

/// The path at the end of a line about owners and modes.
fn path(line: &str) -> Option<String> {
    let (_, after) = line.split_once("bad ownership or modes for ")?;
    let path = after.split_once('/').map(|(_, path)| format!("/{path}"))?;
    Some(path.trim().trim_end_matches("[preauth]").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line of the log is taken for.
    fn cause(line: &str) -> String {
        match diagnose(&[format!("Nov 22 16:00:00 host sshd[1]: {line}")]) {
            Diagnosis::Found(cause) => cause.what.to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn every_cause_is_told_by_its_line() {
        // Texts of OpenSSH 7.4, 8.4, 9.2 and 10.0, and of PAM 1.5.
        let lines = [
            "User eve from 192.0.2.7 not allowed because not listed in AllowUsers",
            "User eve from 192.0.2.7 not allowed because listed in DenyUsers",
            "User eve from 192.0.2.7 not allowed because none of user's groups are listed in AllowGroups",
            "User eve from 192.0.2.7 not allowed because a group is listed in DenyGroups",
            "User eve not allowed because account is locked",
            "User eve not allowed because shell /bin/gone does not exist",
            "User eve not allowed because /etc/nologin exists",
            "ROOT LOGIN REFUSED FROM 192.0.2.7 port 40000 [preauth]",
            "Authentication refused: bad ownership or modes for directory /home/eve",
            "Authentication tried for eve with correct key but not from a permitted host (host=h, ip=192.0.2.7, required=10.0.0.1).",
            "debug1: /home/eve/.ssh/authorized_keys:1: key expiry-time: entry expired at 2020-01-01T00:00:00",
            "Refused by key options",
            "Authentication key ED25519 SHA256:x revoked by file /etc/ssh/revoked",
            "userauth_pubkey: key type ssh-rsa not in PubkeyAcceptedKeyTypes [preauth]",
            "userauth_pubkey: signature algorithm ssh-ed25519 not in PubkeyAcceptedAlgorithms [preauth]",
            "error: Certificate invalid: expired",
            "error: Certificate invalid: name is not a listed principal",
            "error: maximum authentication attempts exceeded for eve from 192.0.2.7 port 40000 ssh2 [preauth]",
            "drop connection #10 from [192.0.2.7]:40000 on [192.0.2.1]:22 past MaxStartups",
            "Account eve has expired",
            "pam_unix(sshd:account): account eve has expired (account expired)",
            "fatal: Access denied for user eve by PAM account configuration [preauth]",
            "Invalid user eve from 192.0.2.7 port 40000",
            "Failed publickey for eve from 192.0.2.7 port 40000 ssh2: ED25519 SHA256:x",
            "Connection closed by authenticating user eve 192.0.2.7 port 40000 [preauth]",
        ];
        let told: Vec<String> = lines.iter().map(|line| format!("{line}\n    {}", cause(line))).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn the_most_telling_line_wins() {
        let lines: Vec<String> = [
            "sshd[1]: Failed publickey for invalid user eve from 192.0.2.7 port 40000 ssh2",
            "sshd[1]: User eve from 192.0.2.7 not allowed because not listed in AllowUsers",
        ]
        .map(str::to_owned)
        .to_vec();
        let Diagnosis::Found(cause) = diagnose(&lines) else { panic!() };
        assert_eq!(cause.what, "AllowUsers does not list the user");
        assert_eq!(diagnose(&[]), Diagnosis::Silent);
    }

    #[test]
    fn the_path_is_the_lines_last_word() {
        let line =
            "sshd[1]: Authentication refused: bad ownership or modes for file /home/a b/keys [preauth]";
        assert_eq!(path(line).as_deref(), Some("/home/a b/keys"));
    }
}
