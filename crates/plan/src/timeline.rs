//! A plan for people: what happens when, on which hosts, with the exact texts.

use std::collections::HashMap;
use std::fmt::{self, Write};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use pipedown_model::{
    AtDeadline, BatchSize, ExecCommand, ExecStep, FailureBudget, HostName, HostPlan, HostStep, LocalStep,
    LocalWhen, OnFailure, Plan, Presence, RebootStep, RunStep, SshdStep, StepSpec, TextId,
};

use crate::hostset::fold;
use crate::plan_file;
use crate::snippet;
use crate::time::{approximate, offset_of, show_instant, signed};

/// Prints a plan; hosts with the same timeline are folded together.
pub fn timeline(plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = print(&mut out, plan);
    out
}

fn print(out: &mut String, plan: &Plan) -> fmt::Result {
    let hosts = plan.hosts.len();
    writeln!(out, "{} ({}), {}", plan.playbook.name, plan.playbook.origin, counted(hosts))?;
    if !plan.reason.is_empty() {
        writeln!(out, "reason: {}", plan.reason)?;
    }
    for (name, value) in &plan.playbook.vars {
        if value.contains('\n') {
            writeln!(out, "{name} =")?;
            indented(out, value)?;
        } else {
            writeln!(out, "{name} = {value:?}")?;
        }
    }
    if let Some(window) = plan.window {
        let given = &plan.time.given;
        match plan.time.zone.parse() {
            Ok(zone) => writeln!(out, "T = {}, given as {given}", show_instant(window, zone))?,
            Err(_) => writeln!(
                out,
                "T = {given} in each host's own zone, the first at {}",
                show_instant(window, Tz::UTC)
            )?,
        }
    }
    batches(out, plan)?;
    local(out, plan, LocalWhen::Before, "on this machine, before any host is changed")?;
    for group in groups(plan) {
        host_group(out, plan, &group)?;
    }
    local(out, plan, LocalWhen::After, "on this machine, when every host is armed or done")
}

/// Which hosts come first, in numbers, and what ends the run.
fn batches(out: &mut String, plan: &Plan) -> fmt::Result {
    let hosts = plan.hosts.len();
    if !plan.batches.is_empty() {
        let sizes = BatchSize::cut(&plan.batches, hosts);
        let rest = plan.batches.contains(&BatchSize::Rest) && sizes.len() > 1;
        let mut said: Vec<String> = Vec::new();
        let mut number = 0;
        for same in sizes.chunk_by(|a, b| a == b) {
            let size = counted(same.first().copied().unwrap_or_default());
            if same.len() > 2 {
                said.push(format!("batches {} to {}: {size} each", number + 1, number + same.len()));
            } else {
                let one = |batch| match batch == sizes.len() && rest {
                    true => format!("rest: {size}"),
                    false => format!("batch {batch}: {size}"),
                };
                said.extend((number + 1..=number + same.len()).map(one));
            }
            number += same.len();
        }
        writeln!(out, "{}", said.join(", "))?;
    }
    slots_and_checks(out, plan)?;
    match plan.max_failures.map(|budget| (budget, budget.hosts(hosts))) {
        None => Ok(()),
        Some((_, 0)) => writeln!(out, "ends at the first host that fails"),
        Some((FailureBudget::Count(_), most)) => {
            writeln!(out, "ends when more than {} failed", counted(most))
        }
        Some((budget, most)) => {
            writeln!(out, "ends when more than {budget} of the hosts failed, which is {most} of {hosts}")
        }
    }
}

fn slots_and_checks(out: &mut String, plan: &Plan) -> fmt::Result {
    for limit in &plan.limits.max_down {
        let most = counted(usize::try_from(limit.most).unwrap_or(usize::MAX));
        writeln!(out, "never more than {most} of {} away at once", limit.set)?;
    }
    if let Some(budget) = plan.limits.max_unreachable {
        let most = counted(budget.hosts(plan.hosts.len()));
        writeln!(out, "ends when more than {most} cannot be reached")?;
    }
    let Some(health) = &plan.limits.health else { return Ok(()) };
    let tries = health.retries.saturating_add(1);
    let every = approximate(u64::from(health.interval_s));
    writeln!(out, "after each batch, up to {tries} times, {every} apart, else the run ends:")?;
    if !health.local.is_empty() {
        let argv: Vec<String> = health.local.iter().map(|word| quoted(word)).collect();
        writeln!(out, "  on this machine: {}", argv.join(" "))?;
    }
    if let Some(script) = &health.run {
        writeln!(out, "  on each host of it:")?;
        indented(out, plan.text(script))?;
    }
    Ok(())
}

fn counted(hosts: usize) -> String {
    if hosts == 1 { "1 host".to_owned() } else { format!("{hosts} hosts") }
}

fn local(out: &mut String, plan: &Plan, when: LocalWhen, title: &str) -> fmt::Result {
    let steps: Vec<&LocalStep> = plan.local.iter().filter(|step| step.when == when).collect();
    if steps.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    for step in steps {
        let argv: Vec<String> = step.argv.iter().map(|word| quoted(word)).collect();
        writeln!(out, "  {}: {}", step.id, argv.join(" "))?;
        writeln!(out, "      {}", limits(step.on_failure, step.timeout_s))?;
    }
    Ok(())
}

/// Zone, T and texts of a host.
type Outline<'a> = (&'a str, Option<DateTime<Utc>>, Vec<TextId>);

/// Hosts in the order of the plan, those with the same timeline together.
fn groups(plan: &Plan) -> Vec<Vec<&HostPlan>> {
    // The texts alone nearly always tell two timelines apart; only then everything is compared.
    let mut places: HashMap<Outline<'_>, Vec<usize>> = HashMap::new();
    let mut groups: Vec<Vec<&HostPlan>> = Vec::new();
    for host in &plan.hosts {
        let texts = host.steps.iter().flat_map(|step| plan_file::texts(&step.spec)).collect();
        let near = places.entry((&host.zone, host.window, texts)).or_default();
        let same = |place: &&usize| {
            let first = groups.get(**place).and_then(|group| group.first());
            first.is_some_and(|first| first.steps == host.steps)
        };
        match near.iter().find(same).and_then(|place| groups.get_mut(*place)) {
            Some(group) => group.push(host),
            None => {
                near.push(groups.len());
                groups.push(vec![host]);
            }
        }
    }
    groups
}

fn host_group(out: &mut String, plan: &Plan, group: &[&HostPlan]) -> fmt::Result {
    let Some(first) = group.first() else { return Ok(()) };
    let names: Vec<HostName> = group.iter().map(|host| host.host.clone()).collect();
    let zone: Tz = first.zone.parse().unwrap_or(Tz::UTC);
    writeln!(out, "\n{} ({}, {zone})", fold(&names), counted(group.len()))?;
    let mut entries: Vec<Line> = first.steps.iter().flat_map(|step| lines(plan, step)).collect();
    // What is done at once comes first; the playbook's order decides within an instant.
    entries.sort_by_key(|line| line.at);
    let time = |line: &Line| line.at.map_or_else(|| "at once".to_owned(), |at| offset_of(at, zone));
    let width = entries.iter().map(|line| time(line).len()).max().unwrap_or_default();
    for line in entries {
        let time = time(&line);
        let relative = match (line.at, first.window) {
            (Some(at), _) if at == plan.compiled => "now".to_owned(),
            (Some(at), Some(window)) => signed(at, window),
            _ => String::new(),
        };
        writeln!(out, "  {}", format!("{time:<width$}  {relative:<7}  {}", line.action).trim_end())?;
        for text in line.texts {
            indented(out, &text)?;
        }
    }
    Ok(())
}

/// Something that happens on a host.
struct Line {
    at: Option<DateTime<Utc>>,
    action: String,
    texts: Vec<String>,
}

impl Line {
    fn new(at: Option<DateTime<Utc>>, action: impl Into<String>) -> Self {
        Self { at, action: action.into(), texts: Vec::new() }
    }

    fn text(mut self, plan: &Plan, text: &TextId) -> Self {
        self.texts.push(plan.text(text).to_owned());
        self
    }
}

fn lines(plan: &Plan, step: &HostStep) -> Vec<Line> {
    match &step.spec {
        StepSpec::Broadcast { messages } => {
            messages.iter().map(|m| Line::new(m.at, "broadcast").text(plan, &m.text)).collect()
        }
        StepSpec::Motd { at, presence, text } => vec![file(plan, "motd", *at, *presence, text)],
        StepSpec::Nologin { at, presence, text } => vec![file(plan, "nologin", *at, *presence, text)],
        StepSpec::Drain { from, early, at_deadline, .. } => {
            let early =
                if *early { "goes down early once nobody is logged in" } else { "watches who is logged in" };
            let deadline = match at_deadline {
                AtDeadline::Shutdown => "goes down at T all the same",
                AtDeadline::Abort => "is called off at T if somebody still is",
            };
            vec![Line::new(Some(*from), format!("drain: {early}, {deadline}"))]
        }
        StepSpec::Shutdown { at, not_after, how, announce_in_logind, cancelled } => {
            let late = approximate((*not_after - *at).num_seconds().unsigned_abs());
            let logind = if *announce_in_logind { ", announced in logind" } else { "" };
            let mut line =
                Line::new(Some(*at), format!("{} (not when later than {late}){logind}", how.word()));
            line.texts.push(format!("Told to users if it is called off:\n{}", plan.text(cancelled)));
            vec![line]
        }
        StepSpec::Run(run) => vec![command(plan, step.id.as_str(), run)],
        StepSpec::SshdConfig(wanted) => vec![sshd(wanted)],
        StepSpec::Reboot(reboot) => vec![Line::new(None, reboots(reboot))],
        StepSpec::Exec(exec) => vec![typed(plan, exec)],
        StepSpec::Copy(copy) => vec![Line::new(None, "files are copied").text(plan, &copy.manifest)],
        StepSpec::Fetch(fetch) => vec![Line::new(None, format!("fetch {}", fetch.paths.join(" ")))],
    }
}

/// A command as it was typed.
fn typed(plan: &Plan, exec: &ExecStep) -> Line {
    let root = if exec.root { " as root" } else { "" };
    let limit = exec.timeout_s.map(|limit| format!(", at most {limit} s")).unwrap_or_default();
    match &exec.command {
        ExecCommand::Line(text) => Line::new(None, format!("command{root}{limit}")).text(plan, text),
        ExecCommand::Argv(words) => Line::new(None, format!("command{root}{limit}: {}", words.join(" "))),
        ExecCommand::Script { script, name, args } => {
            let words = [std::slice::from_ref(name), args].concat();
            Line::new(None, format!("script{root}{limit}: {}", words.join(" "))).text(plan, script)
        }
    }
}

fn file(plan: &Plan, what: &str, at: Option<DateTime<Utc>>, presence: Presence, text: &TextId) -> Line {
    match presence {
        Presence::Present => Line::new(at, what).text(plan, text),
        Presence::Absent => Line::new(at, format!("{what} taken away, if it is ours")),
    }
}

fn command(plan: &Plan, id: &str, run: &RunStep) -> Line {
    let args: String = run.args.iter().map(|arg| format!(" {}", quoted(arg))).collect();
    let mut line = Line::new(run.at, format!("run ({id}){args}; {}", limits(run.on_failure, run.timeout_s)));
    if let Some(path) = &run.creates {
        line.texts.push(format!("# left out if {} exists", quoted(path)));
    }
    if let Some(unless) = &run.unless {
        line.texts.push(format!("# left out if this succeeds:\n{}", plan.text(unless)));
    }
    line.text(plan, &run.script)
}

fn reboots(reboot: &RebootStep) -> String {
    let [back, stable] =
        [reboot.timeout_s, reboot.stable_for_s].map(|seconds| approximate(u64::from(seconds)));
    format!("reboot, and wait: back with a new boot id within {back}, and up for {stable}")
}

/// What is to hold, and until when.
fn sshd(wanted: &SshdStep) -> Line {
    let confirm = approximate(u64::from(wanted.confirm_within_s));
    let mut action = format!("sshd's configuration; put back unless confirmed within {confirm}");
    if let Some(keep) = wanted.keep_for_s {
        action.push_str(&format!(", and {} after that in any case", approximate(u64::from(keep))));
    }
    let mut line = Line::new(None, action);
    line.texts.push(snippet::print(wanted));
    line
}

fn limits(on_failure: OnFailure, timeout_s: u32) -> String {
    let failure = match on_failure {
        OnFailure::Abort => "a failure aborts",
        OnFailure::Continue => "a failure is only noted",
    };
    format!("{failure}, killed after {}", approximate(u64::from(timeout_s)))
}

/// A word as a shell would need it, where it needs it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:@%+,{}".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let shown: String = word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("'{}'", shown.replace('\'', r"'\''"))
}

fn indented(out: &mut String, text: &str) -> fmt::Result {
    for line in text.trim_end_matches('\n').split('\n') {
        let shown: String =
            line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
        writeln!(out, "{}", format!("      | {shown}").trim_end())?;
    }
    Ok(())
}
