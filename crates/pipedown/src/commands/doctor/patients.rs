//! Whom to examine, and with what.

use std::sync::Arc;
use std::time::Duration;

use pipedown_plan::{Inventory, Outside};
use pipedown_ssh::doctor::{Checkup, DoctorOptions, LogVia, examine};
use pipedown_ssh::{Connector, EffectiveSetting, Origin, Request, Settings, Target};
use tokio::task::spawn_blocking;

use super::DoctorArgs;
use crate::commands::hosts::inventory_line;
use crate::secrets::Prompt;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::targets::{self, Targets};
use crate::trace::Trace;

/// One host to examine.
pub struct Patient {
    pub target: Target,
    options: DoctorOptions,
}

impl Patient {
    pub async fn examined(&self, connector: &Connector) -> Checkup {
        examine(connector, &self.target, &self.options).await
    }
}

/// A connector each of whose layers has the same limit.
pub fn connector(around: &Surroundings, limit: Duration, trace: Option<&Trace>) -> Connector {
    let mut settings = match around.home() {
        Some(home) => Settings::for_home(home),
        None => Settings::default(),
    };
    settings.agent_socket = std::env::var_os("SSH_AUTH_SOCK").filter(|s| !s.is_empty()).map(Into::into);
    if let Some(shell) = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()) {
        settings.shell = shell.into();
    }
    settings.watcher = trace.map(Trace::watcher);
    let deadlines = &mut settings.deadlines;
    for deadline in [
        &mut deadlines.resolve,
        &mut deadlines.connect,
        &mut deadlines.banner,
        &mut deadlines.key_exchange,
        &mut deadlines.auth,
        &mut deadlines.open,
    ] {
        *deadline = limit;
    }
    Connector::new(settings, Some(Arc::new(Prompt::default())))
}

/// The hosts that were asked for, in the order of the command line.
///
/// # Errors
/// When a name, a set or a file is wrong.
pub async fn find(
    around: &Surroundings,
    args: &DoctorArgs,
    settings: &Settings,
) -> Result<Vec<Patient>, Stop> {
    let inventory = around.inventory_if_any()?;
    let targets = around.targets()?;
    let mut outside = around.outside();
    let mut patients: Vec<Patient> = Vec::new();
    for given in &args.hosts {
        for request in requests(inventory.as_deref(), given, &mut outside)? {
            let (target, said) = resolved(&targets, request, settings).await?;
            let configuration = said.into_iter().map(|said| said.text(inventory.as_deref(), given)).collect();
            let log = match &args.log_via {
                Some(via) => {
                    let target = log_target(&targets, inventory.as_deref(), via, &target, settings).await?;
                    Some(LogVia { target, file: args.log_file.clone() })
                }
                None => None,
            };
            let options = DoctorOptions { configuration, log, session_limit: args.timeout };
            patients.push(Patient { target, options });
        }
    }
    Ok(patients)
}

/// A set or a name; `USER@NAME` for another user than the one that is configured.
fn requests(
    inventory: Option<&Inventory>,
    given: &str,
    outside: &mut dyn Outside,
) -> Result<Vec<Request>, Stop> {
    match given.rsplit_once('@') {
        Some((user, name)) if is_with_user(given) => {
            if name.is_empty() {
                return Err(Stop::usage(format!("{given}: no host after the user")));
            }
            let requests = targets::chosen(inventory, name, outside)?;
            Ok(requests
                .into_iter()
                .map(|request| Request { user: Some(user.to_owned()), ..request })
                .collect())
        }
        _ => targets::chosen(inventory, given, outside),
    }
}

/// A value that somebody gave.
struct Said {
    host: String,
    setting: EffectiveSetting,
}

impl Said {
    /// The value and where it stands; `given` is what was typed.
    fn text(&self, inventory: Option<&Inventory>, given: &str) -> String {
        let EffectiveSetting { keyword, value, origin, .. } = &self.setting;
        let from = match origin {
            Origin::File(place) => place.to_string(),
            Origin::Given if *keyword == "User" && is_with_user(given) => "the command line".to_owned(),
            Origin::Given | Origin::Default => inventory_line(inventory, &self.host, keyword),
        };
        format!("{keyword} {}: {from}", value.as_deref().unwrap_or("-"))
    }
}

/// Whether a user was typed before the name.
fn is_with_user(given: &str) -> bool {
    given.rsplit_once('@').is_some_and(|(user, _)| !user.is_empty() && !user.contains(['@', ',', '!', '&']))
}

/// The target, and what of it somebody said. `Match exec` may run commands: not on a thread that others wait for.
async fn resolved(
    targets: &Arc<Targets>,
    request: Request,
    settings: &Settings,
) -> Result<(Target, Vec<Said>), Stop> {
    let (targets, settings) = (Arc::clone(targets), settings.clone());
    let found = spawn_blocking(move || {
        let target = targets.of(&request)?;
        let said = targets.settings(&request, &settings)?;
        let said = said.into_iter().filter(|setting| setting.note.is_none());
        let said = said.filter(|setting| setting.origin != Origin::Default);
        let host = target.name.clone();
        Ok::<_, Stop>((target, said.map(|setting| Said { host: host.clone(), setting }).collect()))
    });
    found.await.map_err(|e| Stop::failed(format!("find the way to a host: {e}")))?
}

async fn log_target(
    targets: &Arc<Targets>,
    inventory: Option<&Inventory>,
    via: &str,
    host: &Target,
    settings: &Settings,
) -> Result<Target, Stop> {
    let wrong = || {
        Stop::usage(format!("--log-via {via}: neither USER@ nor USER@HOST"))
            .hint("--log-via root@ logs in to the same host as root")
    };
    let (user, name) = via.split_once('@').filter(|(user, _)| !user.is_empty()).ok_or_else(wrong)?;
    if name.is_empty() {
        return Ok(Target { user: user.to_owned(), ..host.clone() });
    }
    let request = Request { user: Some(user.to_owned()), ..targets::request_for(inventory, name) };
    Ok(resolved(targets, request, settings).await?.0)
}

#[cfg(test)]
mod tests {
    use pipedown_engine::StateDir;

    use super::*;
    use crate::outside::Reader;

    #[test]
    fn a_user_may_stand_before_a_name() {
        let state = StateDir::new("/nonexistent");
        let stdin = std::sync::OnceLock::new();
        let asked = |given: &str| requests(None, given, &mut Reader::new(&state, None, &stdin));
        let users =
            |given: &str| asked(given).unwrap().into_iter().map(|r| (r.user, r.name)).collect::<Vec<_>>();
        assert_eq!(users("web1"), [(None, "web1".to_owned())]);
        assert_eq!(users("alice@web1"), [(Some("alice".to_owned()), "web1".to_owned())]);
        assert!(asked("alice@").is_err());
        assert!(asked("@login").is_err());
    }
}
