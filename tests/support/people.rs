//! People on a host: a login shell on a terminal.

use pipedown_ssh::{Chunk, Connection, Connector, Exec, Settings, Target};
use sshd_embed::{Fleet, RunningHost};
use tokio::time::timeout;

use super::LONG;

/// Somebody who is logged in, and what their terminal showed.
pub struct Person {
    connection: Connection,
    shell: Exec,
    pub seen: String,
}

impl Person {
    /// Logs in; whether the host keeps people out shows in what the terminal shows.
    pub async fn enter(fleet: &Fleet, host: &RunningHost, user: &str) -> Self {
        let addr = host.addrs()[0];
        let mut target = Target::new(host.name(), addr.ip().to_string(), addr.port(), user);
        target.login.identities = vec![fleet.identity()];
        target.trust.user_files = Some(vec![fleet.known_hosts()]);
        let connection = Connector::new(Settings::default(), None).connect(&target).await.unwrap();
        let shell = connection.terminal("xterm", 80, 24).await.unwrap();
        Self { connection, shell, seen: String::new() }
    }

    /// Logs in and waits for the prompt.
    pub async fn log_in(fleet: &Fleet, host: &RunningHost, user: &str) -> Self {
        let mut person = Self::enter(fleet, host, user).await;
        person.sees(&format!("{user}@{}$", host.name())).await;
        person
    }

    /// Logs root in and waits for the prompt.
    pub async fn log_in_root(fleet: &Fleet, host: &RunningHost) -> Self {
        let mut person = Self::enter(fleet, host, "root").await;
        person.sees(&format!("root@{}", host.name())).await;
        person
    }

    /// Waits until the terminal has shown a text.
    pub async fn sees(&mut self, text: &str) {
        let reading = async {
            while !self.seen.contains(text) {
                match self.shell.output.next().await {
                    Some(Chunk::Stdout(bytes) | Chunk::Stderr(bytes)) => {
                        self.seen.push_str(&String::from_utf8_lossy(&bytes));
                    }
                    Some(_) => {}
                    None => return false,
                }
            }
            true
        };
        let seen = timeout(LONG, reading).await;
        assert!(seen == Ok(true), "{text:?} was never shown:\n{}", self.seen);
    }

    /// Types.
    pub async fn types(&mut self, text: &str) {
        self.shell.stdin.write_all(text.as_bytes()).await.unwrap();
    }

    /// Waits until the terminal has ended, and gives all that it showed.
    pub async fn ends(mut self) -> String {
        let reading = async {
            while let Some(chunk) = self.shell.output.next().await {
                if let Chunk::Stdout(bytes) | Chunk::Stderr(bytes) = chunk {
                    self.seen.push_str(&String::from_utf8_lossy(&bytes));
                }
            }
        };
        timeout(LONG, reading).await.expect("the terminal never ended");
        self.seen
    }

    /// Logs out.
    pub async fn leaves(self) {
        self.connection.close().await;
    }
}
