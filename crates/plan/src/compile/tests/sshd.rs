//! Changes of sshd's configuration: what is set, what is refused, and where the error points.

use pipedown_model::{BatchSize, FailureBudget, SshdStep, StepSpec};
use proptest::prelude::*;

use super::{Asked, failure, parse, shipped};
use crate::{Given, Playbook, Source, from_json, timeline, to_json};

/// A playbook with a step of this kind and the given rest.
fn playbook(vars: &str, rest: &str) -> Playbook {
    let text = format!(
        "name = \"mine\"\nwindow = \"none\"\n[vars]\n{vars}\n[[steps]]\nkind = \"sshd_config\"\n{rest}\n"
    );
    parse(&text).unwrap_or_else(|error| panic!("{}", error.render(false)))
}

fn asked() -> Asked {
    Asked::new("web1", None)
}

fn step(asked: &Asked, playbook: &Playbook) -> SshdStep {
    let plan = asked.compile(playbook).unwrap_or_else(|error| panic!("{}", error.render(false)));
    let StepSpec::SshdConfig(step) = &plan.hosts[0].steps[0].spec else { panic!() };
    step.clone()
}

fn set(step: &SshdStep) -> Vec<(&str, &str)> {
    step.settings.iter().map(|s| (s.keyword.as_str(), s.value.as_str())).collect()
}

#[test]
fn values_become_what_stands_in_the_file() {
    let text = r#"
set = { maxauthtries = 4, X11Forwarding = false, PermitTTY = "{{tty}}", AllowGroups = ["staff", "ops"], Ciphers = ["aes256-ctr", "aes128-ctr"], Banner = "\"/etc/my issue\"", challengeresponseauthentication = "no" }
unset = "PrintMotd  UseDNS"
"#;
    let step = step(&asked(), &playbook("tty = true", text));
    assert_eq!(
        set(&step),
        [
            ("MaxAuthTries", "4"),
            ("X11Forwarding", "no"),
            ("PermitTTY", "yes"),
            ("AllowGroups", "staff ops"),
            ("Ciphers", "aes256-ctr,aes128-ctr"),
            ("Banner", "\"/etc/my issue\""),
            ("KbdInteractiveAuthentication", "no"),
        ]
    );
    let unset: Vec<&str> = step.unset.iter().map(|unset| unset.keyword.as_str()).collect();
    assert_eq!(unset, ["PrintMotd", "UseDNS"]);
    assert_eq!((step.confirm_within_s, step.keep_for_s), (120, None));
}

#[test]
fn lines_and_blocks_are_put_together() {
    let text = r#"
match = [{ criteria = "User  sftp", set = { AllowTcpForwarding = "no" }, unset = ["PermitTTY"] }]
config = """
# for {{host.name}}
LogLevel {{level}}
Banner /etc/issue.{{host.name}}

Match user sftp
    X11Forwarding no
Match Group guests
    MaxSessions 2
"""
unset = "Match Group guests\nAllowAgentForwarding"
confirm_within = "5m"
keep_for = "{{for}}"
batch = [1, "{{share}}%", "rest"]
max_failures = "5%"
"#;
    let playbook = playbook("level = \"VERBOSE\"\nfor = \"\"\nshare = 25", text);
    let plan = Asked::new("web[1-3],web9", None).compile(&playbook).unwrap();
    assert_eq!(plan.batches, [BatchSize::Count(1), BatchSize::Percent(25), BatchSize::Rest]);
    assert_eq!(plan.max_failures, Some(FailureBudget::Percent(5)));
    assert_eq!(plan.hosts[0].target.logins, ["deploy"]);
    insta::assert_snapshot!(timeline(&plan));
}

#[test]
fn the_shipped_playbooks_set_what_they_say() {
    let mut settings = asked();
    let mut given = Given::composed();
    given.push("X11Forwarding=no", &Source::new("--set", "X11Forwarding=no"), 0);
    settings.vars.insert("settings".to_owned(), given);
    let shown = [
        timeline(&Asked::new("@login", None).flag("interval", "15").shipped("keepalive-rollout")),
        timeline(&settings.var("unset", "Banner").shipped("sshd-settings")),
        timeline(&asked().flag("for", "1h").shipped("sshd-loglevel")),
        timeline(&Asked::new("web[1-2]", None).shipped("sshd-hardening")),
        timeline(
            &asked()
                .flag("passwords", "no")
                .flag("root_login", "prohibit-password")
                .flag("x11", "yes")
                .flag("agent_forwarding", "no")
                .flag("tcp_forwarding", "no")
                .shipped("sshd-hardening"),
        ),
    ];
    insta::assert_snapshot!(shown.join("\n-----\n\n"));
}

#[test]
fn what_was_typed_is_pointed_at() {
    let settings = |text: &str, flag: &str, typed: &str, start: usize| {
        let mut asked = asked();
        let mut given = Given::composed();
        given.push(text, &Source::new(flag, typed), start);
        asked.vars.insert("settings".to_owned(), given);
        failure(asked.compile(&shipped("sshd-settings")))
    };
    let keepalive =
        |name: &str, value: &str| failure(asked().flag(name, value).compile(&shipped("keepalive-rollout")));
    let hardening =
        |name: &str, value: &str| failure(asked().flag(name, value).compile(&shipped("sshd-hardening")));
    let shown = [
        keepalive("interval", "often"),
        keepalive("interval", "-5"),
        keepalive("count", "0"),
        failure(asked().var("count", "0").compile(&shipped("keepalive-rollout"))),
        hardening("max_auth_tries", "-1"),
        hardening("root_login", "sometimes"),
        failure(asked().flag("level", "LOUD").compile(&shipped("sshd-loglevel"))),
        failure(asked().flag("for", "5s").compile(&shipped("sshd-loglevel"))),
        failure(asked().flag("for", "a while").compile(&shipped("sshd-loglevel"))),
        settings("X11Forwardng=no", "--set", "X11Forwardng=no", 0),
        settings("MaxAuthTries=many", "--set", "MaxAuthTries=many", 0),
        settings("Banner", "--set", "Banner", 0),
        settings("PermitTTY no # never", "a.conf", "# ours\nPermitTTY no # never\n", 7),
        failure(asked().compile(&shipped("sshd-settings"))),
    ];
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn whatever_is_wrong_is_shown_where_it_stands() {
    let steps = [
        "",
        "set = { ClientAliveIntervall = 60 }",
        "set = { ClientAliveCountMax = 0, ClientAliveInterval = 60 }",
        "set = { MaxAuthTries = true }",
        "set = { MaxAuthTries = 1.5 }",
        "set = { UsePrivilegeSeparation = \"no\" }",
        "set = { Match = \"User sftp\" }",
        "set = { LogLevel = \"INFO\\nMatch all\" }",
        "set = { Banner = \"\" }",
        "set = { AllowUsers = [\"ada\", \"b\\\"ob\"] }",
        "set = { Ciphers = [\"aes256-ctr\", \"\"] }",
        "set = { LogLevel = \"INFO\", loglevel = \"DEBUG\" }",
        "set = { LogLevel = \"INFO\" }\nconfig = \"LogLevel DEBUG\"",
        "match = [{ criteria = \"User sftp\", set = { Port = 22 } }]",
        "match = [{ criteria = \"User sftp\" }]",
        "match = [{ criteria = \"User sftp\", sett = { PermitTTY = false } }]",
        "match = [{ set = { PermitTTY = false } }]",
        "match = [{ criteria = \"Usr sftp\", set = { PermitTTY = false } }]",
        "match = [{ criteria = \"User sftp Grp x\", set = { PermitTTY = false } }]",
        "match = [{ criteria = \"User sftp Group\", set = { PermitTTY = false } }]",
        "match = [{ criteria = \"Group 'domain users\", set = { PermitTTY = false } }]",
        "match = [{ criteria = \" \", set = { PermitTTY = false } }]",
        "unset = [\"Bannner\"]",
        "unset = [\"Banner\", \"banner\"]",
        "set = { Banner = \"none\" }\nunset = \"Banner\"",
        "config = \"\"\"\nLogLevel INFO\nMatch User sftp\n  UsePAM no\n\"\"\"",
        "config = \"\"\"\nLogLevel INFO\nMaxSessions few\n\"\"\"",
        "config = \"LogLevel INFO # for now\"",
        "set = { LogLevel = \"INFO\" }\nconfirm_within = \"5s\"",
        "set = { LogLevel = \"INFO\" }\nkeep_for = \"60d\"",
        "set = { LogLevel = \"INFO\" }\nbatch = []",
        "set = { LogLevel = \"INFO\" }\nbatch = [\"1\", \"0%\"]",
        "set = { LogLevel = \"INFO\" }\nbatch = [\"{{host.name}}\"]",
        "set = { LogLevel = \"INFO\" }\nmax_failures = \"few\"",
        "settings = { LogLevel = \"INFO\" }",
        "set = { LogLevel = \"INFO\" }\n[[steps]]\nkind = \"sshd_config\"\nset = { LogLevel = \"INFO\" }",
    ];
    let shown = steps.iter().map(|rest| {
        let text = format!("name = \"m\"\nwindow = \"none\"\n[[steps]]\nkind = \"sshd_config\"\n{rest}\n");
        failure(parse(&text).and_then(|playbook| asked().compile(&playbook)))
    });
    let mut shown: Vec<String> = shown.collect();
    let text = "name = \"m\"\nwindow = \"optional\"\n[[steps]]\nkind = \"sshd_config\"\nset = { LogLevel = \"INFO\" }\n";
    shown.push(parse(text).unwrap_err().render(false));
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn blocks_are_the_same_when_their_criteria_are() {
    let text = "config = \"\"\"\nMatch user sftp\nPermitTTY no\nMatch User  \"sftp\"\nX11Forwarding no\nMatch User SFTP\n\
                PermitTTY no\nMatch Group 'domain  users'\nPermitTTY no\nMatch Invalid-User\nPermitTTY no\n\"\"\"";
    let step = step(&asked(), &playbook("", text));
    let blocks: Vec<(&str, usize)> =
        step.matches.iter().map(|block| (block.criteria.as_str(), block.settings.len())).collect();
    assert_eq!(
        blocks,
        [("user sftp", 2), ("User SFTP", 1), ("Group 'domain  users'", 1), ("Invalid-User", 1)]
    );
}

#[test]
fn several_lines_of_what_adds_up_are_no_mistake() {
    let text = "config = \"AcceptEnv LANG\\nAcceptEnv LC_*\\nMatch all\\n AcceptEnv TZ\"";
    assert_eq!(set(&step(&asked(), &playbook("", text))), [("AcceptEnv", "LANG"), ("AcceptEnv", "LC_*")]);
}

#[test]
fn a_plan_keeps_its_settings_and_is_refused_when_they_were_changed() {
    let plan = asked().shipped("keepalive-rollout");
    let text = String::from_utf8(to_json(&plan).unwrap()).unwrap();
    assert_eq!(from_json(&Source::new("w.plan", &text)).unwrap(), plan);
    // A plan of before there were batches has none.
    let before = text.replace("\"batches\"", "\"other\"").replace("\"max_failures\"", "\"another\"");
    let before = from_json(&Source::new("w.plan", &before)).unwrap();
    assert_eq!((before.batches.len(), before.max_failures), (0, None));
    for (from, to) in
        [("ClientAliveInterval", "ClientAliveIntervall"), ("\"60\"", "\"60\\nPort 23\""), ("\"3\"", "\"0\"")]
    {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let error = from_json(&Source::new("w.plan", &changed)).unwrap_err().render(false);
        assert!(error.contains("ClientAlive"), "{error}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_typed_adds_a_line(value in "(\\PC|[\n\r\t\"#= ]){0,30}") {
        let mut asked = asked();
        asked.vars.insert("level".to_owned(), Given::flag("--level", &value));
        match asked.compile(&playbook("level = \"INFO\"", "set = { VersionAddendum = \"{{level}}\" }")) {
            Ok(plan) => {
                let StepSpec::SshdConfig(step) = &plan.hosts[0].steps[0].spec else { panic!() };
                prop_assert_eq!(step.settings.len(), 1);
                prop_assert!(!step.settings[0].value.contains(['\n', '\r', '\0']));
            }
            Err(error) => prop_assert!(error.render(false).contains("--> --level:"), "{}", error.render(false)),
        }
    }
}
