//! What comes out for a host.

use std::time::Duration;

use super::*;
use crate::{Agent, DnsTrust, Origin, Route, Settings, UnknownHost};

#[test]
fn every_value_reaches_the_target() {
    let home = Home::new();
    home.write(
        ".ssh/config",
        "Host web1\n\
         HostName %h.example.ORG\nUser deploy\nPort 2200\nAddressFamily inet6\nBindAddress ::1\n\
         ConnectTimeout 5\nServerAliveInterval 1m\nServerAliveCountMax 7\n\
         IdentityFile ~/.ssh/%r@%n\nIdentityFile ~bob/${SITE}\nIdentityFile ~/.ssh/%r@%n\n\
         CertificateFile /c/%k-%L-%u\nIdentitiesOnly yes\nIdentityAgent ~/agent\n\
         PreferredAuthentications publickey,password\nPasswordAuthentication no\nNumberOfPasswordPrompts 1\n\
         UserKnownHostsFile ~/known_%p \"/a b\"\nGlobalKnownHostsFile none\nHostKeyAlias alias\n\
         StrictHostKeyChecking accept-new\nVerifyHostKeyDNS ask\nRevokedHostKeys ~/revoked\n\
         KnownHostsCommand /bin/keys %H %h 100%% %t\nUpdateHostKeys yes\nHashKnownHosts yes\n\
         KexAlgorithms curve25519-sha256\nCiphers -aes*\nRequiredRSASize 3072\nForwardAgent yes\n\
         ProxyCommand nc -X 5 %h %p # not a comment\n",
    );
    let config = home.usual().unwrap();
    let settings = config.settings(&Request::new("web1"), &Settings::for_home("/home/ops")).unwrap();
    let shown: Vec<String> = settings
        .iter()
        .filter_map(|s| match &s.origin {
            Origin::File(place) => Some(home.shown(&format!("{place} {} {:?}", s.keyword, s.value))),
            Origin::Given | Origin::Default => None,
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn nothing_said_is_nothing_set() {
    let config = SshConfig::read(&ConfigSource::None, Home::new().local()).unwrap();
    let target = config.target(&Request::new("Web1")).unwrap();
    assert_eq!(target, crate::Target::new("Web1", "web1", 22, "ops"));
}

#[test]
fn what_is_given_wins_and_conditions_see_it() {
    let text = "Match host 192.0.2.1 user root\nCiphers aes256-ctr\nMatch all\nHostName other\nUser deploy\n\
                Port 2222\nIdentityFile /k\nUserKnownHostsFile /h\n";
    let config = config(text).unwrap();
    let given = Request {
        address: Some("192.0.2.1".to_owned()),
        port: Some(22),
        user: Some("root".to_owned()),
        identities: Some(vec!["/mine".into()]),
        known_hosts: Some(vec!["/hosts".into()]),
        ..Request::new("web1")
    };
    let target = config.target(&given).unwrap();
    assert_eq!((target.address.as_str(), target.port, target.user.as_str()), ("192.0.2.1", 22, "root"));
    assert_eq!(
        (target.login.identities, target.trust.user_files),
        (vec!["/mine".into()], Some(vec!["/hosts".into()]))
    );
    assert_eq!(target.algorithms.cipher, Some(vec!["aes256-ctr".to_owned()]));
    let default = Request { default_user: Some("root".to_owned()), ..Request::new("web1") };
    assert_eq!(config.target(&default).unwrap().user, "deploy");
    let none = SshConfig::read(&ConfigSource::None, Home::new().local()).unwrap();
    assert_eq!(none.target(&default).unwrap().user, "root");
}

#[test]
fn none_is_not_the_default() {
    let said = target(
        "IdentityFile none\nIdentityAgent none\nUserKnownHostsFile none\nProxyJump none\nProxyCommand x\n",
        "a",
    );
    assert_eq!((said.login.identities.len(), said.login.default_identities), (0, false));
    assert_eq!((said.login.agent, said.trust.user_files), (Agent::None, Some(Vec::new())));
    assert_eq!(said.link.route, Route::Direct, "what comes first counts, and that is `none`");
    let both =
        target("IdentityFile none\nIdentityFile /k\nServerAliveInterval 0\nStrictHostKeyChecking no\n", "a");
    assert_eq!(both.login.identities, [PathBuf::from("/k")]);
    assert_eq!((both.link.keepalive, both.trust.unknown), (None, UnknownHost::Record));
    assert_eq!(target("ServerAliveInterval 2m\n", "a").link.keepalive, Some(Duration::from_secs(120)));
    assert_eq!(target("VerifyHostKeyDNS yes\n", "a").trust.dns, DnsTrust::Yes);
    assert_eq!(target("IdentityAgent $SITE\n", "a").login.agent, Agent::Socket("paris".into()));
    assert_eq!(target("IdentityAgent SSH_AUTH_SOCK\n", "a").login.agent, Agent::Default);
}

fn way(text: &str, host: &str) -> Result<String, String> {
    let target = config(text).unwrap().target(&Request::new(host)).map_err(|error| error.to_string())?;
    let shown = |hop: &crate::Target| {
        let own = match &hop.link.route {
            Route::Direct => String::new(),
            Route::Command(command) => format!("({command})"),
            Route::Jump(_) => panic!("a way within a way"),
        };
        format!("{}@{}:{}{own}", hop.user, hop.address, hop.port)
    };
    Ok(match &target.link.route {
        Route::Jump(hops) => hops.iter().map(shown).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    })
}

#[test]
fn hosts_on_the_way_have_configurations_of_their_own() {
    let hops = "Host gate\nHostName gate.example.org\nUser jump\nPort 2022\nProxyCommand connect %h\n\
                Host inner\nProxyJump gate\nPort 2200\nHost far\nProxyJump root@inner:22,%h-side\n\
                Host direct\nProxyJump none\n";
    assert_eq!(way(hops, "inner").unwrap(), "jump@gate.example.org:2022(connect gate.example.org)");
    assert_eq!(
        way(hops, "far").unwrap(),
        "jump@gate.example.org:2022(connect gate.example.org) root@inner:22 ops@far-side:22"
    );
    assert_eq!(way(hops, "direct").unwrap(), "Direct");
    // For a host that stands in the middle, what leads to it was said already.
    assert_eq!(way("Host x\nProxyJump a,b\nHost b\nProxyJump c\n", "x").unwrap(), "ops@a:22 ops@b:22");
    assert_eq!(
        way("Host x\nProxyJump a,b\nHost a\nProxyJump c\n", "x").unwrap(),
        "ops@c:22 ops@a:22 ops@b:22"
    );
}

#[test]
fn a_way_that_leads_through_itself_is_refused() {
    for (text, host) in [
        ("Host *\nProxyJump gate\n", "web1"),
        ("Host a\nProxyJump b\nHost b\nProxyJump a\n", "a"),
        ("Host a\nProxyJump b,a\n", "a"),
        ("ProxyJump %n\n", "a"),
    ] {
        let error = way(text, host).unwrap_err();
        assert!(error.contains("goes in a circle: ops@"), "{error}");
    }
    assert_eq!(way("Host gate\nProxyJump none\nHost *\nProxyJump gate\n", "web1").unwrap(), "ops@gate:22");
    // The same machine as another user, or at another port, is another way in.
    assert_eq!(way("Host a\nProxyJump root@a\nMatch user root\nProxyJump none\n", "b").unwrap(), "Direct");
}

#[test]
fn what_cannot_be_used_for_a_host_is_said_with_its_line() {
    let home = Home::new();
    let mut shown = String::new();
    for text in [
        "HostName %p.example.org\n",
        "HostName a;b\n",
        "IdentityFile ~/%x\n",
        "IdentityFile ~/${NOBODY_SET_THIS}\n",
        "IdentityFile ~/${SITE\n",
        "CertificateFile ~nobody-has-this-name/x\n",
        "UserKnownHostsFile ~/a ~/%\n",
        "ProxyCommand nc %z\n",
        "ProxyJump %z\n",
        "RefuseConnection \"closed for repairs\"\n",
        "Match exec \"exit %z\"\n",
        "Match exec \"kill -9 $$\"\n",
    ] {
        home.write(".ssh/config", text);
        let error = home.usual().unwrap().target(&Request::new("web1")).unwrap_err();
        shown.push_str(&format!("{text:?}\n  failed to {}\n", home.shown(&error.to_string())));
    }
    for name in ["-oProxyCommand=x", "a b", "a;b", "$(a)", "a\nb", ""] {
        let error = home.usual().unwrap().target(&Request::new(name)).unwrap_err();
        shown.push_str(&format!("{name:?}\n  failed to {error}\n"));
    }
    let user = Request { user: Some("-l".to_owned()), ..Request::new("a") };
    shown.push_str(&format!("failed to {}\n", home.usual().unwrap().target(&user).unwrap_err()));
    insta::assert_snapshot!(shown);
}

#[test]
fn a_command_is_run_once_for_all_hosts_that_ask_the_same() {
    let home = Home::new();
    let log = home.path().join("log");
    let text = format!(
        "Match !host web1 exec \"false\"\nMatch exec \"echo %h >> {0}\"\nUser ran\nMatch exec \"echo all >> {0}; false\"\nUser never\n",
        log.display()
    );
    home.write(".ssh/config", &text);
    let config = home.usual().unwrap();
    for host in ["web1", "web2", "web1"] {
        assert_eq!(config.target(&Request::new(host)).unwrap().user, "ran");
    }
    assert_eq!(std::fs::read_to_string(log).unwrap(), "web1\nall\nweb2\n");
}

#[test]
fn ten_thousand_hosts_read_the_files_once() {
    let home = Home::new();
    let blocks: String = (0..50)
        .map(|n| {
            format!("Host n{n}??? *.site{n}\n  User u{n}\n  Port {}\n  IdentityFile ~/.ssh/%h\n", 2000 + n)
        })
        .collect();
    let path = home.write(".ssh/config", &format!("{blocks}Match final host n*\n  Compression no\n"));
    let config = home.usual().unwrap();
    std::fs::remove_file(path).unwrap();
    let mut ports = 0_u64;
    for n in 10_000..20_000 {
        ports += u64::from(config.target(&Request::new(format!("n{n}"))).unwrap().port);
    }
    // A thousand hosts in each of n10??? to n19???.
    assert_eq!(ports, (2010..=2019_u64).map(|port| port * 1000).sum::<u64>());
}
