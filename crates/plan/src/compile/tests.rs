//! Plans from playbooks: times, collapsing, variables, and the errors on the way.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;
use pipedown_model::{Operator, Plan, Presence, StepSpec};
use proptest::prelude::*;

use super::{Inputs, compile};
use crate::{
    Catalog, Given, HostSet, InputError, Inventory, Origin, PlanError, Playbook, Source, WindowTime,
    ZoneChoice, from_json, timeline, to_json,
};

mod sshd;

const NOW: &str = "2026-11-22T12:00:00Z";
const PARIS: Tz = Tz::Europe__Paris;

/// What a run is asked for.
struct Asked {
    hosts: &'static str,
    at: Option<&'static str>,
    zone: ZoneChoice,
    now: DateTime<Utc>,
    reason: &'static str,
    vars: BTreeMap<String, Given>,
}

impl Asked {
    fn new(hosts: &'static str, at: Option<&'static str>) -> Self {
        let now = NOW.parse().unwrap();
        let zone = ZoneChoice::Controller(PARIS);
        Self { hosts, at, zone, now, reason: "new disks", vars: BTreeMap::new() }
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.into(), Given::var(name, value));
        self
    }

    /// As an option of its own gives it.
    fn flag(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.into(), Given::flag(&format!("--{name}"), value));
        self
    }

    fn now(mut self, now: &str) -> Self {
        self.now = now.parse().unwrap();
        self
    }

    fn zone(mut self, zone: ZoneChoice) -> Self {
        self.zone = zone;
        self
    }

    fn compile(&self, playbook: &Playbook) -> Result<Plan, InputError> {
        let text = include_str!("../../../../inventory.example.toml");
        let source = Source::new("inventory.example.toml", text);
        let inventory = Inventory::parse(source, Path::new("/etc/fleet"), Some(Path::new("/home/ops")))?;
        let hosts = inventory.select(&HostSet::parse(self.hosts)?)?;
        let time = self.at.map(|at| WindowTime::parse_at(at, self.zone, self.now)).transpose()?;
        compile(&Inputs {
            inventory: &inventory,
            hosts: &hosts,
            playbook,
            vars: &self.vars,
            reason: self.reason,
            operator: &Operator::new("ada", "desk"),
            now: self.now,
            time: time.as_ref(),
            zone: PARIS,
        })
    }

    fn shipped(&self, name: &str) -> Plan {
        self.compile(&shipped(name)).unwrap_or_else(|error| panic!("{}", error.render(false)))
    }
}

fn shipped(name: &str) -> Playbook {
    let found = Catalog::new(Path::new("/nowhere"), 0).find(name);
    found.unwrap_or_else(|error| panic!("{}", error.render(false))).playbook
}

fn parse(text: &str) -> Result<Playbook, InputError> {
    Playbook::parse(Source::new("my.toml", text), Origin::File("my.toml".into()))
}

/// A playbook with a window and the given rest.
fn playbook(rest: &str) -> Playbook {
    let text = format!("name = \"mine\"\nwindow = \"required\"\n{rest}");
    parse(&text).unwrap_or_else(|error| panic!("{}", error.render(false)))
}

/// The broadcasts of the first host: step, seconds from T, seconds of patience, text.
fn sent(plan: &Plan) -> Vec<(String, i64, i64, String)> {
    let host = &plan.hosts[0];
    let mut all = Vec::new();
    for step in &host.steps {
        let StepSpec::Broadcast { messages } = &step.spec else { continue };
        for message in messages {
            let (at, late) = (message.at.unwrap(), message.not_after.unwrap());
            let text = plan.text(&message.text).trim().to_owned();
            all.push((
                step.id.to_string(),
                (at - host.window.unwrap()).num_seconds(),
                (late - at).num_seconds(),
                text,
            ));
        }
    }
    all
}

#[test]
fn graceful_shutdown_tells_the_whole_story() {
    let plan = Asked::new("@login,@web", Some("18:00")).shipped("graceful-shutdown");
    insta::assert_snapshot!(timeline(&plan));
}

#[test]
fn graceful_reboot_goes_early_and_in_each_zone() {
    let plan = Asked::new("@web,@newyork", Some("18:00"))
        .zone(ZoneChoice::Host)
        .var("early", "yes")
        .var("first_notice", "T-30m")
        .shipped("graceful-reboot");
    insta::assert_snapshot!(timeline(&plan));
}

#[test]
fn the_other_shipped_playbooks_are_short() {
    let said = |asked: Asked| asked.var("message", "The file server is slow today.");
    let mut shown = vec![
        timeline(&Asked::new("@web", None).shipped("nologin-on")),
        timeline(&Asked::new("@web", None).shipped("nologin-off")),
        timeline(&said(Asked::new("@web", None)).shipped("announce")),
        timeline(&said(Asked::new("web1", Some("14:00"))).shipped("announce")),
    ];
    let mut silent = said(Asked::new("web1", None));
    silent.reason = "";
    shown.push(timeline(&silent.shipped("announce")));
    insta::assert_snapshot!(shown.join("\n-----\n\n"));
}

#[test]
fn every_shipped_playbook_is_listed_and_says_what_it_does() {
    let (listed, notices) = Catalog::new(Path::new("/nowhere"), 0).list();
    let listed: Vec<String> = listed
        .into_iter()
        .map(Result::unwrap)
        .map(|p| format!("{} ({}): {}", p.name(), p.origin(), p.description()))
        .collect();
    assert!(notices.is_empty());
    insta::assert_snapshot!(listed.join("\n"));
}

#[test]
fn hosts_that_cannot_differ_share_their_texts() {
    let plan = Asked::new("login[04-40]", Some("18:00")).shipped("graceful-shutdown");
    let one = Asked::new("login04", Some("18:00")).shipped("graceful-shutdown");
    assert_eq!((plan.hosts.len(), plan.texts.len()), (37, one.texts.len()));
    let named = "[[steps]]\nkind = \"broadcast\"\nat = \"T-5m\"\ntext = \"{{host.name}} {{host.vars.site}}\"";
    let plan = Asked::new("login[03-05]", Some("18:00")).compile(&playbook(named)).unwrap();
    let texts: Vec<&str> = plan.texts.values().map(String::as_str).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts.contains(&"login03.example.org the branch office\n"));
}

#[test]
fn repeats_count_backwards_from_t() {
    let text = "[[steps]]\nkind = \"broadcast\"\nfrom = \"T-40m\"\nevery = \"15m\"\nalso = [\"T-5m\", \"T-1m\"]\n\
                text = \"in {{remaining}}\"";
    let plan = Asked::new("web1", Some("18:00")).compile(&playbook(text)).unwrap();
    let times: Vec<(i64, i64, String)> =
        sent(&plan).into_iter().map(|(_, at, late, text)| (at, late, text)).collect();
    let told = |minutes: i64, words: &str| (-60 * minutes, 120, format!("in {words}"));
    assert_eq!(
        times,
        [told(30, "30 minutes"), told(15, "15 minutes"), told(5, "5 minutes"), told(1, "1 minute")]
    );
}

#[test]
fn what_is_past_becomes_one_message_that_is_true() {
    let text = "[[steps]]\nkind = \"broadcast\"\nfrom = \"T-4h\"\nevery = \"15m\"\ntext = \"a {{remaining}}\"\n\
                [[steps]]\nkind = \"broadcast\"\nat = \"T-3h\"\ntext = \"b {{remaining}}\"\n\
                [[steps]]\nkind = \"broadcast\"\nat = \"T-20m\"\ntext = \"c {{remaining}}\"\n\
                [[steps]]\nkind = \"motd\"\nat = \"T-2h\"\ntext = \"m {{remaining}}\"\n\
                [[steps]]\nkind = \"nologin\"\nat = \"T-5m\"\ntext = \"n\"";
    // 22 minutes and 40 seconds before 18:00 in Paris; T-30m was the last to pass.
    let plan =
        Asked::new("web1", Some("18:00")).now("2026-11-22T16:37:20Z").compile(&playbook(text)).unwrap();
    let ids: Vec<(String, i64, i64, String)> = sent(&plan);
    assert_eq!(
        ids,
        [
            ("broadcast".into(), -1360, 160, "a 23 minutes".into()),
            ("broadcast".into(), -900, 120, "a 15 minutes".into()),
            ("broadcast-3".into(), -1200, 120, "c 20 minutes".into()),
        ]
    );
    let steps: Vec<&str> = plan.hosts[0].steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(steps, ["broadcast", "broadcast-3", "motd", "nologin"], "the second was wholly past");
    let StepSpec::Motd { at, text, .. } = &plan.hosts[0].steps[2].spec else { panic!() };
    assert_eq!((*at, plan.text(text)), (Some(plan.compiled), "m 23 minutes\n"));
}

#[test]
fn what_is_said_now_waits_for_a_review_until_the_next_message_or_t() {
    let text = "[[steps]]\nkind = \"broadcast\"\nat = \"now\"\ntext = \"a\"";
    let alone = Asked::new("web1", Some("18:00")).compile(&playbook(text)).unwrap();
    let (_, at, late, _) = sent(&alone).remove(0);
    assert_eq!(at + late, 0, "until T");
    let text = format!("{text}\nalso = [\"T-30m\"]");
    let followed = Asked::new("web1", Some("18:00")).compile(&playbook(&text)).unwrap();
    let times: Vec<(i64, i64)> =
        sent(&followed).into_iter().map(|(_, at, late, _)| (at + late, late)).collect();
    assert_eq!((times[0].0, times[1].1), (-1800, 120));
}

#[test]
fn at_one_instant_the_last_message_stays_and_close_ones_keep_half_a_minute() {
    let text = "[[steps]]\nkind = \"broadcast\"\nfrom = \"T-15m\"\nevery = \"5m\"\nalso = [\"T-50s\", \"T-40s\"]\ntext = \"a\"\n\
                [[steps]]\nkind = \"broadcast\"\nat = \"T-5m\"\ntext = \"b\"";
    let plan = Asked::new("web1", Some("18:00")).compile(&playbook(text)).unwrap();
    let short: Vec<(i64, i64, String)> =
        sent(&plan).into_iter().map(|(_, at, late, text)| (at, late, text)).collect();
    let line = |at, late, text: &str| (at, late, text.to_owned());
    assert_eq!(
        short,
        [
            line(-900, 120, "a"),
            line(-600, 120, "a"),
            line(-50, 30, "a"),
            line(-40, 120, "a"),
            line(-300, 120, "b")
        ]
    );
}

const EVERYTHING: &str = r#"
name = "everything"
window = "required"
[vars]
partition = "long"
[[steps]]
kind = "local"
when = "before"
argv = ["scontrol", "update", "PartitionName={{partition}}", "{hosts}", "it's {{reason}}"]
on_failure = "continue"
[[steps]]
kind = "run"
script = "echo {{not a template}} \"$1\"\n"
args = ["{{host.zone}}"]
unless = "test -e /etc/done"
creates = "/var/lib/{{partition}}"
timeout = "1m 30s"
[[steps]]
id = "sync"
kind = "run"
script = "sync"
at = "T-30s"
on_failure = "continue"
[[steps]]
kind = "motd"
state = "absent"
at = "T-1m"
[[steps]]
kind = "drain"
at_deadline = "abort"
[[steps]]
kind = "shutdown"
how = "halt"
not_after = "T+90s"
announce_in_logind = true
cancelled = "Never mind {{clock window.start}}."
[[steps]]
kind = "local"
when = "after"
argv = ["logger", "done {{clock window.start}} {{date window.start}} {{relative window.start}}"]
timeout = "5s"
"#;

#[test]
fn every_kind_of_step_is_shown() {
    let plan = Asked::new("web[1-2]", Some("2026-11-24T06:00")).compile(&parse(EVERYTHING).unwrap()).unwrap();
    insta::assert_snapshot!(timeline(&plan));
}

#[test]
fn a_plan_survives_its_file_and_keeps_its_hash() {
    let plan = Asked::new("web[1-2]", Some("2026-11-24T06:00")).compile(&parse(EVERYTHING).unwrap()).unwrap();
    let text = String::from_utf8(to_json(&plan).unwrap()).unwrap();
    let back = from_json(&Source::new("w.plan", &text)).unwrap();
    assert_eq!(back, plan);
    assert_eq!(back.hash().unwrap(), plan.hash().unwrap());
}

#[test]
fn a_plan_that_was_changed_is_refused() {
    let plan = Asked::new("web[1-2]", None).shipped("nologin-on");
    let text = String::from_utf8(to_json(&plan).unwrap()).unwrap();
    let changes = [
        text.replace("\"v\": 2", "\"v\": 7"),
        "{\"v\": 3, \"something\": \"else\"}".to_owned(),
        text.replace("No new logins", "New logins"),
        text.replace("web2.example.org", "web1.example.org"),
        text.replace("web2.example.org", "-oProxyCommand=x"),
        text.replace("Europe/Paris", "Europe/Pari"),
        text.replace("\"present\"", "\"there\""),
        text[..text.len() / 2].to_owned(),
        "window = 1".to_owned(),
    ];
    for (number, changed) in changes.iter().enumerate() {
        assert_ne!(*changed, text, "{number}");
    }
    let source = |text: &String| Source::new("w.plan", text);
    let shown: Vec<String> =
        changes.iter().map(|t| from_json(&source(t)).unwrap_err().render(false)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn a_recorded_playbook_compiles_again_for_another_time() {
    let plan = Asked::new("web1", Some("18:00")).shipped("graceful-shutdown");
    let source = Source::new(&plan.playbook.origin, &plan.playbook.text);
    let again = Playbook::parse(source, Origin::Recorded(plan.playbook.origin.clone())).unwrap();
    let later = Asked::new("web1", Some("19:00")).compile(&again).unwrap();
    assert_eq!(later.playbook, plan.playbook);
    assert_eq!(later.window.unwrap() - plan.window.unwrap(), Duration::hours(1));
}

#[test]
fn without_a_window_everything_is_done_at_once() {
    let text = "name = \"mine\"\nwindow = \"optional\"\n\
                [[steps]]\nkind = \"broadcast\"\nfrom = \"T-1h\"\nevery = \"5m\"\ntext = \"a\"\n\
                [[steps]]\nkind = \"nologin\"\nat = \"T-5m\"\ntext = \"{{#if window}}{{remaining}}{{else}}n{{/if}}\"\n\
                [[steps]]\nkind = \"run\"\nat = \"T-5m\"\nscript = \"sync\"";
    let plan = Asked::new("web1", None).compile(&parse(text).unwrap()).unwrap();
    assert!(!plan.hosts[0].arms());
    assert_eq!((plan.window, plan.time.given.as_str()), (None, ""));
    let StepSpec::Broadcast { messages } = &plan.hosts[0].steps[0].spec else { panic!() };
    assert_eq!(messages.len(), 1);
    let StepSpec::Nologin { presence: Presence::Present, text, .. } = &plan.hosts[0].steps[1].spec else {
        panic!()
    };
    assert_eq!(plan.text(text), "n\n");
}

#[test]
fn values_from_outside_cannot_move_the_cursor() {
    let mut asked = Asked::new("web1", None).var("message", "a\u{1b}[2J\u{9b}b\tc\r\nd\u{7}");
    asked.reason = "x\ny\u{1b}]0;z\u{7}";
    let plan = asked.shipped("announce");
    let text = plan.texts.values().next().unwrap();
    assert!(text.starts_with("a[2Jb\tc\nd\nReason: x y ]0;z\n"), "{text:?}");
    assert_eq!(plan.reason, "x y ]0;z");
}

fn failure(result: Result<Plan, InputError>) -> String {
    result.unwrap_err().render(false)
}

#[test]
fn what_cannot_be_compiled_is_shown() {
    let window = |rest: &str| playbook(rest);
    let say = |text: &str| format!("[[steps]]\nkind = \"broadcast\"\ntext = \"{text}\"\nat = \"T-5m\"\n");
    let asked = || Asked::new("web1", Some("18:00"));
    let shown = [
        failure(Asked::new("web1", None).compile(&shipped("graceful-shutdown"))),
        failure(asked().compile(&shipped("nologin-on"))),
        failure(Asked::new("web1", None).compile(&shipped("announce"))),
        failure(asked().var("mesage", "x").compile(&shipped("announce"))),
        failure(asked().var("early", "perhaps").compile(&shipped("graceful-shutdown"))),
        failure(asked().var("nologin_at", "T-soon").compile(&shipped("graceful-shutdown"))),
        failure(asked().var("nologin_at", "T").compile(&shipped("graceful-shutdown"))),
        failure(asked().var("every", "10s").compile(&shipped("graceful-shutdown"))),
        failure(
            Asked::new("web1", Some("2027-05-01T18:00"))
                .var("first_notice", "now")
                .compile(&shipped("graceful-shutdown")),
        ),
        failure(Asked::new("@web,@newyork", Some("18:00")).compile(&shipped("graceful-shutdown"))),
        failure(
            Asked::new("@newyork", Some("06:00"))
                .zone(ZoneChoice::Host)
                .compile(&shipped("graceful-shutdown")),
        ),
        failure(asked().compile(&window(&say("{{host.vars.site}}")))),
        failure(
            asked().compile(&window(
                &say("{{#if nothing_such}}{{/if}} ")
                    .replace("{{#if nothing_such}}{{/if}}", "{{#if false}}x{{/if}}"),
            )),
        ),
        failure(asked().compile(&window(&say(&"long ".repeat(1000))))),
        failure(asked().compile(&window(&say("{{clock reason}}")))),
        failure(asked().compile(&window(
            "[[steps]]\nkind = \"broadcast\"\nfrom = \"T-10m\"\nevery = \"15m\"\ntext = \"x\"",
        ))),
        failure(asked().compile(&window("[[steps]]\nkind = \"nologin\"\nstate = \"presnt\"\ntext = \"x\""))),
        failure(asked().compile(&window("[[steps]]\nkind = \"nologin\""))),
        failure(asked().compile(&window("[[steps]]\nkind = \"shutdown\"\nhow = \"reboot\"\nat = \"T+1m\""))),
        failure(
            asked().compile(&window("[[steps]]\nkind = \"shutdown\"\nhow = \"reboot\"\nnot_after = \"T\"")),
        ),
        failure(asked().compile(&window("[[steps]]\nkind = \"run\"\nscript = \"x\"\ntimeout = \"0s\""))),
    ];
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn playbooks_are_found_by_path_name_and_near_names() {
    let folder = tempfile::tempdir().unwrap();
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(folder.path()).unwrap());
    std::fs::create_dir(folder.path().join("playbooks")).unwrap();
    let text = "name = \"mine\"\nwindow = \"none\"\n[[steps]]\nkind = \"broadcast\"\ntext = \"x\"";
    std::os::unix::fs::symlink("/dev/null", folder.path().join("playbooks/broken.toml")).unwrap();
    let write = |name: &str| {
        use std::io::Write;
        std::fs::File::create(folder.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
    };
    write("playbooks/mine.toml");
    write("playbooks/announce.toml");
    let catalog = Catalog::new(folder.path(), uid);
    let origin = |name: &str| catalog.find(name).map(|found| found.playbook.origin().to_string());
    let path = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(origin("mine").unwrap(), path("playbooks/mine.toml"));
    assert_eq!(origin("announce").unwrap(), path("playbooks/announce.toml"));
    assert_eq!(origin("playbooks/mine.toml").unwrap(), path("playbooks/mine.toml"));
    assert_eq!(origin("nologin-on").unwrap(), "built in");
    assert!(matches!(origin("./none.toml"), Err(PlanError::Read { .. })));
    let unknown = origin("gracefull-shutdown").unwrap_err();
    insta::assert_snapshot!(unknown.render(false));

    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path().join("playbooks"), everybody).unwrap();
    let found = catalog.find("announce").unwrap();
    assert_eq!(found.playbook.origin(), &Origin::BuiltIn);
    assert!(found.notices[0].0.contains("writable by everybody"), "{:?}", found.notices);
}

proptest! {
    #[test]
    fn messages_stay_within_the_window_and_in_order(minutes in 2_i64..600, every in 1_i64..90, from in 1_i64..500) {
        let text = format!(
            "[[steps]]\nkind = \"broadcast\"\nfrom = \"T-{from}m\"\nevery = \"{every}m\"\nalso = [\"T-1m\"]\ntext = \"{{{{remaining}}}}\""
        );
        let mut asked = Asked::new("web1", Some("2026-11-24T06:00"));
        asked.now = "2026-11-24T05:00:00Z".parse::<DateTime<Utc>>().unwrap() - Duration::minutes(minutes);
        let plan = asked.compile(&playbook(&text)).unwrap();
        let times: Vec<(i64, i64)> = sent(&plan).into_iter().map(|(_, at, late, _)| (at, late)).collect();
        prop_assert!(!times.is_empty());
        prop_assert!(times.windows(2).all(|pair| pair[0].0 < pair[1].0), "{:?}", times);
        let now = -60 * minutes;
        prop_assert!(times.iter().all(|(at, late)| (now..0).contains(at) && *late >= 30));
        // Only what is said now is patient, and until the next message at most.
        prop_assert!(times.iter().all(|(at, late)| *late <= 120 || *at == now), "{:?}", times);
        prop_assert!(times.windows(2).all(|pair| pair[0].1 == 30 || pair[0].0 + pair[0].1 <= pair[1].0));
        // At most one message that is not where the playbook has it: the collapsed one.
        let moved = times.iter().filter(|(at, _)| *at != -60 && at % (60 * every) != 0).count();
        prop_assert!(moved <= 1, "{:?}", times);
    }
}
