//! The hosts that are asked, and their plans without steps.

use std::sync::Arc;

use clap::Args;
use pipedown_model::{HostPlan, Target};

use crate::cli::{ReachArgs, TargetArgs};
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::{commands, descriptors};

/// Which hosts, and how they are reached.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// Host set: login[01-40], @group, web*, ^FILE; `,` adds, `!` takes away, `&` keeps what both have, left to right (all of
    /// it: `pipedown hosts --help`)
    #[arg(value_name = "SET", conflicts_with = "all", allow_hyphen_values = true)]
    set: Option<String>,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    reach: ReachArgs,
}

/// The chosen hosts, and what opens them.
pub struct Asked {
    pub hosts: Vec<HostPlan>,
    pub opener: Arc<SshOpener>,
    pub parallel: u16,
}

impl AskArgs {
    /// Finds the hosts and makes ready to open them.
    pub async fn ready(&self, around: &Surroundings) -> Result<Asked, Stop> {
        let mut targets = self.targets.clone();
        targets.limit = self.set.clone().or(targets.limit);
        let inventory = around.inventory()?;
        let names = around.hosts(&inventory, &targets)?;
        let hosts = commands::bare_plan(around, &inventory, &names)?.hosts;
        let opener = Arc::new(SshOpener::new(around, &self.reach)?);
        opener.unlock(&hosts).await;
        let parallel = descriptors::at_once(around, self.reach.parallel, hosts.len(), 0);
        Ok(Asked { hosts, opener, parallel })
    }
}

/// As whom sshd is asked: the login, and whoever else the inventory says must be able to log in.
pub fn logins(target: &Target) -> Vec<String> {
    let mut logins = vec![target.user.clone()];
    logins.extend(target.logins.iter().filter(|login| **login != target.user).cloned());
    logins
}
