//! Which files are read, and what is wrong with them.

use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;

fn user(config: &SshConfig, host: &str) -> String {
    config.target(&Request::new(host)).unwrap().user
}

#[test]
fn the_users_file_comes_before_the_machines() {
    let home = Home::new();
    home.write("etc/ssh_config", "Include sub/*.conf\nHost a\nUser machine\nPort 2222\nInclude ~/x\n");
    assert!(home.usual().unwrap_err().to_string().contains("the machine's file cannot include a user's"));
    home.write("etc/ssh_config", "Include sub/*.conf\nHost a\nUser machine\nPort 2222\n");
    home.write("etc/sub/b.conf", "Host b\nUser included\n");
    assert_eq!(user(&home.usual().unwrap(), "a"), "machine");
    home.write(".ssh/config", "Host a\nUser mine\n");
    let config = home.usual().unwrap();
    let a = config.target(&Request::new("a")).unwrap();
    assert_eq!((a.user.as_str(), a.port), ("mine", 2222));
    assert_eq!(user(&config, "b"), "included");
    assert_eq!(user(&config, "c"), "ops");
    let named = home.write("named", "User named\n");
    let config = SshConfig::read(&ConfigSource::File(named), home.local()).unwrap();
    assert_eq!(user(&config, "a"), "named");
    let config = SshConfig::read(&ConfigSource::None, home.local()).unwrap();
    assert_eq!(user(&config, "a"), "ops");
    let absent = ConfigSource::File(home.path().join("absent"));
    assert!(matches!(SshConfig::read(&absent, home.local()), Err(ConfigError::Read { .. })));
}

#[test]
fn included_files_stand_where_they_are_included() {
    let home = Home::new();
    home.write(
        ".ssh/config",
        "Host web*\nInclude parts/*.conf absent/*.conf\nPort 1\nHost *\nPort 2\nInclude \"~/with blank\"\n",
    );
    home.write(".ssh/parts/10-a.conf", "User first\nHost web2\nCompression yes\nUser never\n");
    home.write(".ssh/parts/20-b.conf", "User second\nHostKeyAlias b\n");
    home.write(".ssh/parts/.hidden.conf", "User hidden\n");
    home.write("with blank", "BindAddress 127.0.0.9\n");
    let config = home.usual().unwrap();
    let web = config.target(&Request::new("web1")).unwrap();
    // A block within an included file ends with it.
    assert_eq!((web.user.as_str(), web.port, web.trust.alias.as_deref()), ("first", 1, Some("b")));
    assert_eq!(web.link.bind.as_deref(), Some("127.0.0.9"));
    // Where the block does not apply, nothing in the included file does.
    let web2 = config.target(&Request::new("db2")).unwrap();
    assert_eq!((web2.user.as_str(), web2.port, web2.trust.alias), ("ops", 2, None));
}

#[test]
fn files_that_others_can_write_are_refused() {
    let home = Home::new();
    let open =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let own = home.write(".ssh/config", "Include more\nUser mine\n");
    let more = home.write(".ssh/more", "Port 3\n");
    for path in [&own, &more] {
        for mode in [0o646, 0o664] {
            open(path, mode);
            let error = home.usual().unwrap_err();
            assert!(matches!(&error, ConfigError::Unsafe { file, .. } if file == path), "{error}");
        }
        open(path, 0o600);
        assert_eq!(user(&home.usual().unwrap(), "a"), "mine");
    }
    // A group of one is as good as none.
    open(&own, 0o664);
    let group = std::os::unix::fs::MetadataExt::gid(&own.metadata().unwrap());
    let local = Local { own_group: Some(group), ..home.local() };
    assert_eq!(user(&SshConfig::read(&ConfigSource::Usual, local).unwrap(), "a"), "mine");
    // What is named on the command line is meant; what it includes is not.
    let named = ConfigSource::File(own.clone());
    assert_eq!(user(&SshConfig::read(&named, home.local()).unwrap(), "a"), "mine");
    open(&more, 0o666);
    assert!(matches!(SshConfig::read(&named, home.local()), Err(ConfigError::Unsafe { .. })));
}

#[test]
fn files_that_include_each_other_come_to_an_end() {
    let home = Home::new();
    home.write(".ssh/config", "Include config\n");
    let error = home.usual().unwrap_err().to_string();
    assert!(error.contains("without end"), "{error}");
    home.write(".ssh/config", "Include config config config\n");
    assert!(home.usual().is_err());
    // Sixteen deep is fine.
    home.write(".ssh/config", "Include d1\n");
    for depth in 1..16 {
        home.write(&format!(".ssh/d{depth}"), &format!("Include d{}\n", depth + 1));
    }
    home.write(".ssh/d16", "User deep\n");
    assert_eq!(user(&home.usual().unwrap(), "a"), "deep");
}

#[test]
fn whatever_is_wrong_is_named_with_its_line() {
    let home = Home::new();
    let mut shown = String::new();
    for text in [
        "\nPort 22x\n",
        "User\n",
        "User \"a\n",
        "User a b\n",
        "Host \"\"\n",
        "Match\n",
        "Match hosts a\n",
        "Match host a all b\n",
        "Host a\n  Port 0\n",
        "StrictHostKeyChecking maybe\n",
        "ConnectTimeout soon\n",
        "ProxyJump a,,b\n",
        "Ciphers +,\n",
        "UserKnownHostsFile none a\n",
        "Include \"\"\n",
    ] {
        home.write(".ssh/config", text);
        let error = home.usual().unwrap_err();
        shown.push_str(&format!(
            "{text:?}\n  failed to {}\n  {}\n",
            home.shown(&error.to_string()),
            error.hint()
        ));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn unknown_keywords_are_warned_of() {
    let home = Home::new();
    home.write(
        ".ssh/config",
        "IdentityFil x\nzzz\nFoo\u{1b}[2J a\nIgnoreUnknown foo*,bar\nFooBar x\nBAR y\nBaz z\n\
         CanonicalizeHostname yes\nMatch localnetwork 10.0.0.0/8\nUser never\nMatch all\nInclude nothing*\n",
    );
    let config = home.usual().unwrap();
    let shown: Vec<String> = config.warnings().iter().map(|w| home.shown(&w.to_string())).collect();
    insta::assert_snapshot!(shown.join("\n"));
    assert_eq!(user(&config, "a"), "ops");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn no_text_breaks_it(bytes in prop::collection::vec(any::<u8>(), 0..400), host in "[a-z.]{1,8}") {
        let home = Home::new();
        let path = home.path().join(".ssh/config");
        std::fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        if let Ok(config) = home.usual() {
            let _ = config.target(&Request::new(host));
        }
    }

    #[test]
    fn no_lines_break_it(lines in prop::collection::vec(
        ("(Host|Match|Include|ProxyJump|ProxyCommand|IdentityFile|Ciphers|HostName|User|Port|ConnectTimeout|Foo)",
         "[ =]", "(final|host|all|user|none|[-+^!*?a-z0-9@:%$\\{\\}\\[\\]\"'#,~/.\\\\ ]{0,20})"), 0..12), host in "[a-z]{1,4}") {
        let text: String = lines.iter().map(|(keyword, gap, rest)| format!("{keyword}{gap}{rest}\n")).collect();
        // Nothing is run: there is no `exec` in these.
        if let Ok(config) = config(&text) {
            let _ = config.target(&Request::new(host));
        }
    }
}
