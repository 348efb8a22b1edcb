//! A connection on which nothing runs yet.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use pipedown_engine::Line;
use pipedown_model::{Failure, FailureClass};
use pipedown_ssh::{Connection, SshError};
use pipedown_steps::{Exec, Secret};

use crate::transfer::Transfer;

/// A line over SSH.
pub struct SshLine {
    connection: Connection,
    password: Option<Secret>,
    transfer: Arc<Transfer>,
}

impl SshLine {
    /// Takes a connection; `password` is what sudo is given there.
    pub fn new(connection: Connection, password: Option<Secret>, transfer: Arc<Transfer>) -> Self {
        Self { connection, password, transfer }
    }

    fn failed(&self, error: &SshError) -> Failure {
        let text = format!("start a command on {}: {error}", self.connection.host());
        Failure::new(FailureClass::Dropped, text)
    }
}

impl Line for SshLine {
    fn start<'a>(&'a self, command: &'a str) -> BoxFuture<'a, Result<Exec, Failure>> {
        async move { self.connection.exec_alone(command).await.map_err(|e| self.failed(&e)) }.boxed()
    }

    fn subsystem<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Exec, Failure>> {
        async move { self.connection.subsystem(name).await.map_err(|e| self.failed(&e)) }.boxed()
    }

    fn expect(&self, bytes: u64) {
        self.transfer.expect(bytes);
    }

    fn moved(&self, bytes: u64) {
        self.transfer.moved(bytes);
    }

    fn password(&self) -> Option<Secret> {
        self.password.clone()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.connection.close().boxed()
    }
}
