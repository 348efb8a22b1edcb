//! Steps of one's own: scripts with guards, commands on the controller, draining.

use pipedown_model::{EventKind, Outcome, SkipReason};

use crate::support::{Person, Place, until};

#[tokio::test(flavor = "multi_thread")]
async fn scripts_guards_and_failures() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    ctl.write(
        "p.toml",
        r#"
name = "scripts"
window = "none"
[[steps]]
kind = "run"
id = "once"
creates = "/tmp/once"
script = 'echo x >> "$PIPEDOWN_ROOT/tmp/once"'
[[steps]]
kind = "run"
id = "guarded"
unless = 'test -e "$PIPEDOWN_ROOT/tmp/once"'
script = 'echo "$1" > "$PIPEDOWN_ROOT/tmp/guarded"'
args = ["{{host.name}}"]
[[steps]]
kind = "run"
id = "may-fail"
on_failure = "continue"
script = 'echo "no such partition" >&2; exit 3'
[[steps]]
kind = "run"
id = "args"
args = ["a b", "$(reboot)", "{{host.name}}"]
script = 'printf "%s\n" "$@" > "$PIPEDOWN_ROOT/tmp/args"'
"#,
    );
    let said = ctl.run("run ./p.toml --all --yes --json").await;
    let outcome = |id: &str| {
        said.events()
            .into_iter()
            .find_map(|e| match e.kind {
                EventKind::StepFinished { host, step, outcome }
                    if step.as_str() == id && host.as_str() == "login01" =>
                {
                    Some(outcome)
                }
                _ => None,
            })
            .unwrap_or_else(|| panic!("no {id} in\n{}", said.out))
    };
    assert!(matches!(outcome("once"), Outcome::Changed { .. }));
    assert!(matches!(outcome("guarded"), Outcome::Skipped { reason: SkipReason::Guard }));
    let Outcome::Failed { error, .. } = outcome("may-fail") else { panic!("{}", said.out) };
    assert!(error.text.contains("no such partition"), "{error:?}");
    let args = std::fs::read_to_string(place.host(2).dir().join("tmp/args")).unwrap();
    assert_eq!(args, "a b\n$(reboot)\nlogin02\n");
    assert_eq!(said.code, 0, "a failure that may be is none: {}", said.err);
    ctl.run("run ./p.toml --all --yes").await.code(0);
    assert_eq!(std::fs::read_to_string(place.host(1).dir().join("tmp/once")).unwrap(), "x\n");

    ctl.write("q.toml", "name = \"q\"\nwindow = \"none\"\n[[steps]]\nkind = \"run\"\nscript = 'exit 3'\n[[steps]]\nkind = \"run\"\nscript = 'echo > \"$PIPEDOWN_ROOT/tmp/after\"'\n");
    ctl.run("run ./q.toml -l login01 --yes").await.code(3).says("failed");
    assert!(!place.host(1).dir().join("tmp/after").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_time_without_a_controller() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    ctl.write(
        "p.toml",
        r#"
name = "later"
window = "required"
[[steps]]
kind = "run"
at = "T-1m"
args = ["{{clock window.start}}"]
script = 'echo "$1" > "$PIPEDOWN_ROOT/tmp/later"'
"#,
    );
    let path = place.host(1).dir().join("tmp/later");
    ctl.run("run ./p.toml --all --in 63s --yes").await.code(0).says("1 armed");
    until("the script ran", || path.exists()).await;
    assert!(place.is_up(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_on_the_controller() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let playbook = |first: &str| {
        format!(
            r#"
name = "local"
window = "required"
[[steps]]
kind = "local"
id = "silence"
when = "before"
argv = ["sh", "-c", '{first}', "sh", "{{hosts}}"]
[[steps]]
kind = "local"
id = "report"
when = "after"
argv = ["sh", "-c", 'echo after >> log']
[[steps]]
kind = "nologin"
at = "T-5m"
text = "closed"
"#,
            first = first
        )
        .replace("{{hosts}}", "{hosts}")
    };
    ctl.write("p.toml", &playbook(r#"echo "before $1 $PIPEDOWN_RUN" >> log"#));
    ctl.run("run ./p.toml --all --in 1h --yes").await.code(0);
    let log = std::fs::read_to_string(ctl.here().join("log")).unwrap();
    assert_eq!(log, format!("before login[01-02] {}\nafter\n", ctl.only_run()));
    ctl.run("cancel").await.code(0);

    ctl.write("p.toml", &playbook("echo the scheduler said no >&2; exit 1"));
    let said = ctl.run("run ./p.toml --all --in 1h --yes").await.code(5);
    assert!(said.err.contains("the scheduler said no") && said.err.contains("2 untouched"), "{}", said.err);
    assert!(!place.is_armed(1));
    assert_eq!(std::fs::read_to_string(ctl.here().join("log")).unwrap().matches("after").count(), 1);
}

const DRAIN: &str = r#"
name = "drain"
window = "required"
[[steps]]
kind = "nologin"
at = "now"
text = "closed"
[[steps]]
kind = "drain"
from = "now"
early = EARLY
at_deadline = "DEADLINE"
[[steps]]
kind = "shutdown"
how = "poweroff"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn down_early_once_everybody_has_left() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    ctl.write("p.toml", &DRAIN.replace("EARLY", "true").replace("DEADLINE", "shutdown"));
    let alice = Person::log_in(&place.fleet, place.host(1), "alice").await;
    ctl.run("run ./p.toml --all --in 30m --yes").await.code(0);
    assert!(place.is_up(1), "alice is still there");
    alice.leaves().await;
    place.down(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn called_off_at_t_if_somebody_is_still_there() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    ctl.write("p.toml", &DRAIN.replace("EARLY", "false").replace("DEADLINE", "abort"));
    let mut alice = Person::log_in(&place.fleet, place.host(1), "alice").await;
    let said = ctl.run("run ./p.toml --all --in 30s --follow --yes").await;
    assert!(place.is_up(1), "{}", said.err);
    assert!(!place.is_armed(1) && !place.host(1).dir().join("run/nologin").exists());
    assert!(said.err.contains("aborted"), "{}", said.err);
    alice.sees("called off").await;
    alice.leaves().await;
}
