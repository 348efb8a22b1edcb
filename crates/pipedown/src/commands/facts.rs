//! `pipedown facts SET`.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use futures::FutureExt as _;
use pipedown_engine::visit;
use pipedown_model::{ExitCode, FactSheet, HostPlan};
use pipedown_report::FactRow;
use pipedown_steps::Looker;

use crate::cli::{ReachArgs, duration};
use crate::fact_cache::FactCache;
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::{adhoc, descriptors, targets, terminal};

/// Tells what hosts are: system, kernel, sshd, init, boot, who is logged in, and how far their clocks are off. Changes
/// nothing there.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct FactsArgs {
    /// Host set: login[01-40], @group; where there is no inventory, plain names and ranges
    #[arg(value_name = "SET", allow_hyphen_values = true)]
    set: String,
    /// Do not ask hosts that were seen less than this ago
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    max_age: Duration,
    /// Ask every host now
    #[arg(long, conflicts_with = "max_age")]
    refresh: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

const HELP: &str = "\
Hosts that were seen less than 10 minutes ago are not asked again: SEEN says how
old an answer is. A host that does not answer is shown as it was last seen, with
OLD behind its age. \"unknown\" is what the host does not tell.

  pipedown facts @web
  pipedown facts 'web[01-40]' --refresh
  pipedown facts @web --max-age 1d --json | jq -r 'select(.uptime_s > 8640000) | .host'

Exit code 4 if some host that was asked did not answer.";

pub async fn run(around: &Surroundings, args: &FactsArgs) -> Result<ExitCode, Stop> {
    let called = targets::hosts_of(around, &args.set)?;
    let names = called.names().to_vec();
    let hosts = adhoc::plan(around, called, "facts", "")?.hosts;
    let cache = FactCache::new(around.state.path());
    let now = Surroundings::now();
    let max_age = if args.refresh { Duration::ZERO } else { args.max_age };
    let (mut rows, mut asked) = (Vec::new(), Vec::new());
    for host in hosts {
        let kept = cache.get(&host);
        if kept.as_ref().is_some_and(|kept| is_fresh(kept, now, max_age)) {
            rows.push((host.host.clone(), FactRow::new(host.host, kept, None, now)));
        } else {
            asked.push(host);
        }
    }
    let mut code = ExitCode::Done;
    if !asked.is_empty() {
        for (host, answer) in ask(around, args, asked).await? {
            let row = match answer {
                Ok(facts) => {
                    if let Err(error) = cache.put(&host, &facts) {
                        around.note(&format!("note: failed to keep the facts of {}: {error}", host.host));
                    }
                    FactRow::new(host.host.clone(), Some(facts), None, Surroundings::now())
                }
                Err(error) => {
                    code = code.max(error.class.exit_code());
                    let kept = cache.get(&host);
                    FactRow::new(host.host.clone(), kept, Some(error), Surroundings::now())
                }
            };
            rows.push((host.host, row));
        }
    }
    // In the order in which they were called.
    let mut sorted = Vec::with_capacity(rows.len());
    let mut rows: std::collections::HashMap<_, _> = rows.into_iter().collect();
    sorted.extend(names.iter().filter_map(|name| rows.remove(name)));
    let text = if around.global.json {
        super::json_lines(&sorted)?
    } else {
        pipedown_report::facts(&sorted, &around.style())
    };
    terminal::data(&text).map_err(|e| Stop::failed(format!("write: {e}")))?;
    Ok(code)
}

/// What the future has seen is as good as nothing: a clock was set.
fn is_fresh(kept: &FactSheet, now: DateTime<Utc>, max_age: Duration) -> bool {
    now.signed_duration_since(kept.seen).to_std().is_ok_and(|age| age < max_age)
}

type Answers = Vec<(HostPlan, Result<FactSheet, pipedown_model::Failure>)>;

async fn ask(around: &Surroundings, args: &FactsArgs, hosts: Vec<HostPlan>) -> Result<Answers, Stop> {
    let opener = Arc::new(SshOpener::new(around, &args.reach)?);
    opener.unlock(&hosts).await;
    let parallel = descriptors::at_once(around, args.reach.parallel, hosts.len(), 0);
    let answers = visit(opener, None, hosts, parallel, |opened, _| {
        async move {
            let seen = pipedown_steps::facts(&mut Looker::new(&mut opened.shell), &Surroundings::now).await;
            let mut facts = seen.map_err(|error| error.failure())?;
            facts.sshd = opened.link.server();
            Ok(facts)
        }
        .boxed()
    });
    Ok(answers.await)
}
