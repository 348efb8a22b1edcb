//! `UpdateHostKeys`: what a host announces after the login is learned on the way, quietly.

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Connector;
use super::trust::{names, user_files};
use crate::announced::{KeyUpdate, Update, update_known_hosts};
use crate::connection::Connection;
use crate::error::SshError;
use crate::known_hosts::{KnownHostsFile, Verdict, lookup_name};
use crate::target::{Target, Warning};

impl Connector {
    /// Learns a host's further keys, once it has proven them. A host that cannot is reported; nothing else stops a
    /// connection that is trusted already. Old keys stay: removing them is for somebody who looks.
    pub(super) async fn learn(&self, target: &Target, connection: &Connection) {
        if !target.trust.learn {
            return;
        }
        let limit = self.0.settings.deadlines.open;
        let reason = match timeout(limit, self.learned(target, connection)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("learn host keys of {}: no answer in time", target.name),
        };
        let file = user_files(target, &self.0.settings).first().cloned().unwrap_or_default();
        self.0.keys.warn(Warning {
            file,
            line: None,
            text: format!("failed to {reason}; no key was learned"),
        });
    }

    async fn learned(&self, target: &Target, connection: &Connection) -> Result<(), SshError> {
        let announced = connection.announced_host_keys().await?;
        let known = self.known(target).await;
        if announced.iter().all(|key| matches!(known.check(key), Verdict::Trusted { .. })) {
            return Ok(());
        }
        let (names, port) = names(target);
        let name = names.first().map(|name| lookup_name(name, port)).unwrap_or_default();
        let used = connection.host_key();
        for path in user_files(target, &self.0.settings) {
            let task = (path.clone(), name.clone(), used.clone(), announced.clone());
            let planned = spawn_blocking(move || {
                let (path, name, used, announced) = task;
                KnownHostsFile::open(&path).map(|file| KeyUpdate::plan(&file, &name, &used, &announced))
            });
            // A planner that was stopped has nothing to say, and files that forbid it are as they should be.
            let Ok(planned) = planned.await else { return Ok(()) };
            let Ok(update) = planned? else { continue };
            connection.prove_host_keys(&update.learn).await?;
            let task = (path.clone(), name, used.clone(), announced, target.trust.hash);
            let written = spawn_blocking(move || {
                let (path, name, used, announced, hash) = task;
                let how = Update { proven: &update.learn, prune: false, hash, remark: "" };
                update_known_hosts(&path, &name, &used, &announced, &how).map(|_| ())
            });
            return written.await.unwrap_or(Ok(()));
        }
        Ok(())
    }
}
