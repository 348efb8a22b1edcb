use clap::error::ErrorKind;
use clap::{FromArgMatches as _, Parser as _};
use pipedown_plan::{Origin, Source};
use proptest::prelude::*;

use super::*;
use crate::cli::Command as Chosen;

const PLAYBOOK: &str = r#"
name = "mine"
window = "none"
[vars]
interval = { default = 60, help = "seconds" }
first_notice = "T-4h"
early = { default = false, help = "whether early" }
message = { help = "what to say" }
limit = "in the way of -l"
[[steps]]
kind = "broadcast"
text = "x"
"#;

fn find(name: &str) -> Result<Option<Playbook>, Stop> {
    match name {
        "mine" => Ok(Some(Playbook::parse(Source::new("mine.toml", PLAYBOOK), Origin::BuiltIn).unwrap())),
        "w.plan" => Ok(None),
        other => Err(Stop::usage(format!("there is no {other}"))),
    }
}

fn prepared(line: &[&str]) -> Prepared {
    let args = std::iter::once("pipedown").chain(line.iter().copied()).map(OsString::from).collect();
    prepare(args, find)
}

/// What the line gives the playbook's variables, or why it cannot be read.
fn read(line: &[&str]) -> Result<(String, Vec<(String, String)>), clap::Error> {
    let Prepared { command, args, .. } = prepared(line);
    let cli = Cli::from_arg_matches(&command.try_get_matches_from(args)?)?;
    let what = match cli.command {
        Chosen::Run(args) => args.what,
        Chosen::Plan(args) => args.what,
        other => panic!("{other:?}"),
    };
    let mut flags: Vec<(String, String)> =
        what.flags.0.into_iter().map(|flagged| (flagged.flag, flagged.value)).collect();
    flags.sort();
    Ok((what.playbook, flags))
}

fn flags(line: &[&str]) -> Vec<(String, String)> {
    let (playbook, flags) = read(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    assert_eq!(playbook, "mine", "{line:?}");
    flags
}

fn pair(flag: &str, value: &str) -> (String, String) {
    (flag.to_owned(), value.to_owned())
}

#[test]
fn variables_are_options_wherever_they_stand() {
    let interval = [pair("--interval", "30")];
    for line in [
        &["run", "mine", "--interval", "30"][..],
        &["run", "mine", "--interval=30", "-l", "@web"],
        &["run", "--interval", "30", "mine"],
        &["plan", "--interval=30", "mine", "--all"],
        &["-vi", "run", "run", "-l", "@web", "mine", "--interval", "30", "--yes"],
        &["--color", "never", "run", "-qkl@web", "--interval", "30", "--parallel", "3", "mine"],
        &["run", "--interval", "30", "--", "mine"],
    ] {
        assert_eq!(flags(line), interval, "{line:?}");
    }
    assert_eq!(flags(&["run", "mine", "-l", "mine"]), []);
}

#[test]
fn values_may_begin_with_a_dash() {
    assert_eq!(flags(&["run", "mine", "--interval", "-5"]), [pair("--interval", "-5")]);
    assert_eq!(flags(&["run", "mine", "--message=-l is a flag"]), [pair("--message", "-l is a flag")]);
    let error = read(&["run", "mine", "--message", "--interval", "3"]).unwrap_err();
    assert!(error.to_string().contains("--message"), "{error}");
}

#[test]
fn names_may_be_written_with_dashes() {
    assert_eq!(flags(&["run", "mine", "--first-notice", "T-1h"]), [pair("--first-notice", "T-1h")]);
    assert_eq!(flags(&["run", "mine", "--first_notice", "T-1h"]), [pair("--first-notice", "T-1h")]);
    let twice = read(&["run", "mine", "--first_notice", "T-1h", "--first-notice", "T-2h"]);
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::ArgumentConflict);
}

#[test]
fn yes_or_no_needs_no_value() {
    for (line, value) in [
        (&["run", "mine", "--early"][..], "yes"),
        (&["run", "--early", "mine"], "yes"),
        (&["run", "mine", "--early", "no", "-l@web"], "no"),
        (&["run", "mine", "--early=false"], "false"),
        (&["run", "mine", "--early", "--all"], "yes"),
    ] {
        assert_eq!(flags(line), [pair("--early", value)], "{line:?}");
    }
}

#[test]
fn what_is_pipedowns_own_stays_so() {
    // `limit` is a variable, too: only --var reaches it.
    assert_eq!(flags(&["run", "mine", "--limit", "@web"]), []);
    let unknown = |line: &[&str]| {
        let error = read(line).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownArgument, "{line:?}");
        error.to_string()
    };
    assert!(unknown(&["run", "mine", "--dryrun"]).contains("'--dry-run'"));
    assert!(unknown(&["run", "mine", "--intervall", "3"]).contains("'--interval'"));
    assert!(unknown(&["run", "w.plan", "--interval", "3"]).contains("--interval"));
    // Behind `--` there are no options.
    assert!(read(&["run", "mine", "--", "--interval"]).is_err());
    // Other commands do not name playbooks.
    assert!(prepared(&["hosts", "mine"]).problem.is_none());
    assert!(Cli::try_parse_from(["pipedown", "status", "--interval", "3"]).is_err());
}

#[test]
fn a_playbook_that_is_not_there_is_the_reason() {
    assert!(prepared(&["run", "mien", "--interval", "3"]).problem.is_some());
    assert!(prepared(&["run", "mien"]).problem.is_some());
    assert!(prepared(&["run"]).problem.is_none());
    assert!(prepared(&[]).problem.is_none());
}

#[test]
fn the_help_lists_the_variables() {
    let Prepared { command, args, .. } = prepared(&["run", "mine", "--help"]);
    let help = command.try_get_matches_from(args).unwrap_err().to_string();
    let listed = help.split("Variables of mine:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    insta::assert_snapshot!(listed);
}

proptest! {
    #[test]
    fn no_word_is_lost(
        words in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "run", "plan", "mine", "w.plan", "--", "-", "--early", "--interval", "3", "yes", "-l", "-ql", "--all",
                    "--var", "-i", "--message=x", "--early=no", "hosts", "",
                ])
                .prop_map(str::to_owned),
                "\\PC{0,6}",
            ],
            0..8,
        )
    ) {
        let line: Vec<&str> = words.iter().map(String::as_str).collect();
        let prepared = prepared(&line);
        let after: Vec<String> = prepared.args[1..].iter().map(|word| word.to_str().unwrap().to_owned()).collect();
        prop_assert_eq!(after.len(), words.len());
        for (before, after) in words.iter().zip(&after) {
            prop_assert!(before == after || (before == "--early" && after == "--early=yes"), "{before} {after}");
        }
        let mut command = prepared.command;
        command.build();
    }
}
