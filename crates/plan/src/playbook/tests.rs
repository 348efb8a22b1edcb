//! What is wrong with a playbook is shown where it stands.

use pipedown_model::StepId;
use proptest::prelude::*;

use super::{Origin, Playbook};
use crate::{InputError, Source};

const HEAD: &str = "name = \"mine\"\nwindow = \"required\"\n[vars]\nnologin_at = \"T-5m\"\nmessage = { help = \"what to say\" }\n";

fn parse(text: &str) -> Result<Playbook, InputError> {
    Playbook::parse(Source::new("my.toml", text), Origin::BuiltIn)
}

fn with_head(rest: &str) -> Result<Playbook, InputError> {
    parse(&format!("{HEAD}{rest}"))
}

fn say(text: &str) -> String {
    format!("[[steps]]\nkind = \"broadcast\"\ntext = \"\"\"\nDear users,\n{text}\"\"\"\n")
}

#[test]
fn steps_get_ids_from_their_kinds() {
    let text = "[[steps]]\nkind = \"motd\"\nstate = \"absent\"\n";
    let named = "[[steps]]\nkind = \"motd\"\nid = \"motd\"\nstate = \"absent\"\n";
    let playbook = with_head(&format!("{text}{named}{text}")).unwrap();
    let ids: Vec<&StepId> = playbook.steps.iter().map(|step| &step.id).collect();
    assert_eq!(ids.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["motd-2", "motd", "motd-3"]);
    assert!(playbook.vars()[1].default.is_none());
    assert_eq!(playbook.vars()[1].help, "what to say");
}

#[test]
fn names_that_lead_nowhere_are_shown() {
    let texts = [
        "at {{nologin_att}}",
        "at {{vars.nologin_att}}",
        "at {{vars}}",
        "at {{window.end}}",
        "at {{host.nme}}",
        "at {{clok window.start}}",
        "at {{clock windw.start}}",
        "{{#if resaon}}x{{/if}}",
        "{{#if reason}}{{remainin}}{{/if}}",
        "{{#if reason}}x{{else}}{{remainin}}{{/if}}",
        "{{@index}}",
        "{{> header}}",
        "{{#if reason}}x",
        "{{reason",
        "{{xyzzy}}",
    ];
    let shown: Vec<String> =
        texts.iter().map(|text| with_head(&say(text)).unwrap_err().render(false)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn templates_may_use_what_there_is() {
    let texts = [
        "{{reason}} {{operator}} {{remaining}} {{now}} {{zone}} {{this.reason}}",
        "{{host.name}} {{host.zone}} {{host.vars.anything}} {{vars.message}} {{message}}",
        "{{#if (eq message nologin_at)}}{{relative window.start}}{{else if reason}}x{{/if}}",
        "{{#with host}}{{name}}{{/with}} {{! a comment }} {single}",
    ];
    for text in texts {
        assert!(with_head(&say(text)).is_ok(), "{text}");
    }
}

#[test]
fn whatever_is_wrong_is_shown_where_it_stands() {
    let steps = [
        "[[steps]]\nkind = \"brodcast\"\n",
        "[[steps]]\ntext = \"x\"\n",
        "[[steps]]\nkind = \"broadcast\"\n",
        "[[steps]]\nkind = \"broadcast\"\ntext = \"x\"\nevry = \"5m\"\n",
        "[[steps]]\nkind = \"broadcast\"\ntext = \"x\"\nfrom = \"T-1h\"\n",
        "[[steps]]\nkind = \"broadcast\"\ntext = \"x\"\nfrom = \"T-1h\"\nevery = \"5m\"\nat = \"T\"\n",
        "[[steps]]\nkind = \"broadcast\"\ntext = \"x\"\nuntil = \"T\"\n",
        "[[steps]]\nkind = \"broadcast\"\ntext = \"beep \\u0007\"\n",
        "[[steps]]\nkind = \"broadcast\"\ntext = 5\n",
        "[[steps]]\nkind = \"motd\"\nid = \"Motd\"\n",
        "[[steps]]\nkind = \"motd\"\nid = \"arm\"\n",
        "[[steps]]\nkind = \"motd\"\nid = \"a\"\n[[steps]]\nkind = \"motd\"\nid = \"a\"\n",
        "[[steps]]\nkind = \"drain\"\nearly = true\n",
        "[[steps]]\nkind = \"shutdown\"\n",
        "[[steps]]\nkind = \"shutdown\"\nhow = \"halt\"\n[[steps]]\nkind = \"shutdown\"\nhow = \"halt\"\n",
        "[[steps]]\nkind = \"run\"\nscript = \" \"\n",
        "[[steps]]\nkind = \"run\"\nscript = \"x\"\ntimeout = 5\n",
        "[[steps]]\nkind = \"local\"\nargv = []\nwhen = \"before\"\n",
        "[[steps]]\nkind = \"local\"\nargv = [\"x\"]\n",
        "[[steps]]\nkind = \"local\"\nargv = [\"x\", \"{{host.name}}\"]\nwhen = \"before\"\n",
        "steps = 1\n",
    ];
    let mut shown: Vec<String> =
        steps.iter().map(|rest| with_head(rest).unwrap_err().render(false)).collect();
    let whole = [
        "name = \"x\"\nwindow = \"maybe\"\nsteps = []\n",
        "name = \"X\"\nwindow = \"none\"\nsteps = []\n",
        "window = \"none\"\nsteps = []\n",
        "name = \"x\"\nsteps = []\n",
        "name = \"x\"\nwindow = \"none\"\n",
        "name = \"x\"\nwindow = \"none\"\n[[step]]\nkind = \"motd\"\n",
        "name = \"x\"\nwindow = \"none\"\n[vars]\nhost = \"a\"\n",
        "name = \"x\"\nwindow = \"none\"\n[vars]\na-b = \"a\"\n",
        "name = \"x\"\nwindow = \"none\"\n[vars]\na = { defalt = 1 }\n",
        "name = \"x\"\nwindow = \"none\"\n[vars]\na = 1.5\n",
        "name = \"x\"\nwindow = \"none\"\n[[steps]]\nkind = \"motd\"\ntext = \"{{clock window.start}}\"\n",
        "name = \"x\"\nwindow = \"optional\"\n[[steps]]\nkind = \"shutdown\"\nhow = \"halt\"\ncancelled = \"x\"\n",
    ];
    shown.extend(whole.iter().map(|text| parse(text).unwrap_err().render(false)));
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn the_example_of_the_guide_is_valid() {
    let guide = include_str!("../../../../docs/PLAYBOOKS.md");
    let example = guide.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let playbook = parse(example).unwrap_or_else(|error| panic!("{}", error.render(false)));
    assert_eq!((playbook.name(), playbook.steps.len()), ("tell-and-reboot", 2));
    let top = guide.split("```toml\n").nth(2).unwrap().split("```").next().unwrap();
    let text = format!("name = \"mine\"\nwindow = \"none\"\n{top}[[steps]]\nkind = \"reboot\"\n");
    let playbook = parse(&text).unwrap_or_else(|error| panic!("{}", error.render(false)));
    let rollout = &playbook.rollout;
    let health = rollout.health.as_ref().map(|health| (health.local.len(), health.run.is_some()));
    assert_eq!((rollout.max_down.len(), health), (2, Some((2, true))));
    let step = guide.split("```toml\n").nth(3).unwrap().split("```").next().unwrap();
    let text = format!("name = \"mine\"\nwindow = \"none\"\n[vars]\nlevel = \"INFO\"\n{step}");
    let playbook = parse(&text).unwrap_or_else(|error| panic!("{}", error.render(false)));
    assert_eq!(playbook.steps[0].kind.word(), "sshd_config");
}

proptest! {
    #[test]
    fn a_damaged_playbook_is_read_or_shown(at in 0_usize..2500, length in 0_usize..40, put in "\\PC{0,8}") {
        let mut text: Vec<char> = include_str!("../../../../playbooks/graceful-reboot.toml").chars().collect();
        let start = at.min(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, put.chars());
        if let Err(error) = parse(&text.into_iter().collect::<String>()) {
            prop_assert!(error.render(false).contains("--> my.toml:"));
        }
    }
}
