use super::super::fixture::{effective, login};
use super::*;

const OPEN: &[&str] = &[
    "permitrootlogin without-password",
    "pubkeyauthentication yes",
    "passwordauthentication yes",
    "kbdinteractiveauthentication yes",
    "authorizedkeysfile .ssh/authorized_keys",
    "authorizedkeyscommand none",
    "trustedusercakeys none",
    "authenticationmethods any",
    "forcecommand none",
    "chrootdirectory none",
    "usepam yes",
    "maxauthtries 6",
    "maxsessions 10",
    "permittty yes",
];

/// The open values with some keywords replaced or added.
fn with(user: &str, changes: &[&str]) -> SshdEffective {
    let key = |line: &str| line.split(' ').next().unwrap().to_owned();
    let kept = OPEN.iter().filter(|line| !changes.iter().any(|change| key(change) == key(line)));
    effective(user, &kept.chain(changes).copied().collect::<Vec<_>>())
}

fn out(login: &RecentLogin, before: &[&str], after: &[&str]) -> Option<String> {
    let (before, after) = (with(&login.user, before), with(&login.user, after));
    let out = sshd_shut_out(std::slice::from_ref(login), &[before], &[after]);
    out.first().map(|out| format!("{}: {out}", out.keyword))
}

#[test]
fn who_is_shut_out_is_named_with_what_does_it() {
    let key = login("deploy", &["deploy", "staff"], Some("192.0.2.9"), Some("publickey"));
    let password = login("alice", &["alice"], Some("2001:db8::9"), Some("password"));
    let keyboard = login("bob", &["bob"], None, Some("keyboard-interactive/pam"));
    let root = login("root", &["root"], Some("192.0.2.9"), Some("publickey"));
    let unknown = login("carol", &["carol"], None, None);
    let locked = RecentLogin { locked: true, ..key.clone() };
    let rows: &[(&RecentLogin, &[&str])] = &[
        (&key, &["allowusers nobody"]),
        (&key, &["allowusers dep*"]),
        (&key, &["allowusers deploy@192.0.2.0/24"]),
        (&key, &["allowusers deploy@10.0.0.0/8", "allowusers root"]),
        (&key, &["allowusers !deploy", "allowusers *"]),
        (&keyboard, &["allowusers bob@10.0.0.0/8"]),
        (&keyboard, &["denyusers bob@10.0.0.0/8"]),
        (&key, &["denyusers dep?oy"]),
        (&key, &["denygroups staff"]),
        (&key, &["allowgroups sudo", "allowgroups st*"]),
        (&key, &["allowgroups sudo"]),
        (&root, &["permitrootlogin no"]),
        (&root, &["permitrootlogin forced-commands-only"]),
        (&key, &["permitrootlogin no"]),
        (&key, &["pubkeyauthentication no"]),
        (&key, &["passwordauthentication no"]),
        (&password, &["passwordauthentication no"]),
        (&keyboard, &["kbdinteractiveauthentication no"]),
        (&unknown, &["passwordauthentication no", "kbdinteractiveauthentication no"]),
        (
            &unknown,
            &["passwordauthentication no", "kbdinteractiveauthentication no", "pubkeyauthentication no"],
        ),
        (&key, &["authorizedkeysfile none"]),
        (&key, &["authorizedkeysfile none", "authorizedkeyscommand /usr/bin/keys"]),
        (&key, &["authenticationmethods publickey,password"]),
        (&key, &["authenticationmethods publickey,password publickey"]),
        (&key, &["authenticationmethods password"]),
        (&keyboard, &["authenticationmethods keyboard-interactive:pam"]),
        (&key, &["usepam no"]),
        (&locked, &["usepam no"]),
        (&key, &["forcecommand /bin/false"]),
        (&key, &["chrootdirectory /srv"]),
        (&key, &["maxauthtries 0"]),
        (&key, &["maxsessions 0"]),
        (&key, &["refuseconnection yes"]),
        (&key, &["permittty no"]),
    ];
    let said: Vec<String> = rows
        .iter()
        .map(|(login, after)| {
            let said = out(login, &[], after).unwrap_or_else(|| "gets in".to_owned());
            format!("{}\n    {said}", after.join("; "))
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn who_was_shut_out_before_is_not_named() {
    let root = login("root", &["root"], None, Some("publickey"));
    assert_eq!(out(&root, &["permitrootlogin no"], &["permitrootlogin no", "allowusers nobody"]), None);
    let key = login("deploy", &[], None, Some("publickey"));
    let twofold = "authenticationmethods publickey,password";
    assert_eq!(out(&key, &[twofold], &[twofold]), None);
    assert_eq!(out(&key, &["forcecommand /bin/x"], &["forcecommand /bin/x"]), None);
}

#[test]
fn that_somebody_logged_in_counts_where_nothing_is_known_of_before() {
    let key = login("deploy", &[], None, Some("publickey"));
    let after = with("deploy", &["allowusers nobody"]);
    assert_eq!(sshd_shut_out(std::slice::from_ref(&key), &[], std::slice::from_ref(&after)).len(), 1);
    // Values of somebody else are not theirs.
    assert_eq!(sshd_shut_out(&[login("eve", &[], None, None)], &[], &[after]), []);
}

#[test]
fn nothing_changed_shuts_nobody_out() {
    for method in ["publickey", "password", "keyboard-interactive/pam", "gssapi-with-mic", "odd"] {
        assert_eq!(out(&login("deploy", &["deploy"], None, Some(method)), &[], &[]), None);
    }
}
