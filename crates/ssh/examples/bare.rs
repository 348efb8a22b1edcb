//! A loop around russh and nothing else, for comparison: no known hosts, no deadlines, no records.
//!
//! `bare FILE KEY AT_ONCE COMMAND` runs the command as root on every `ADDRESS:PORT` of the file.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::StreamExt;
use russh::client::{self, Handler};
use russh::keys::{PrivateKeyWithHashAlg, load_secret_key};
use russh::{ChannelMsg, Disconnect};

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Anybody;

impl Handler for Anybody {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, key, at_once, command] = args.as_slice() else {
        return Err("arguments: FILE KEY AT_ONCE COMMAND".into());
    };
    let hosts = std::fs::read_to_string(file)?;
    let hosts: Vec<SocketAddr> = hosts.lines().map(str::parse).collect::<Result<_, _>>()?;
    let key = Arc::new(load_secret_key(key, None)?);
    let config = Arc::new(client::Config { nodelay: true, ..client::Config::default() });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let one = |addr| {
            let (config, key, command) = (Arc::clone(&config), Arc::clone(&key), command.clone());
            // A task each: they are to use all cores.
            async move { tokio::spawn(one(config, addr, key, command)).await? }
        };
        let mut ends = futures::stream::iter(hosts).map(one).buffer_unordered(at_once.parse()?);
        while let Some(end) = ends.next().await {
            let status = end?;
            if status != Some(0) {
                return Err(format!("a host answered {status:?}").into());
            }
        }
        Ok(())
    })
}

async fn one(
    config: Arc<client::Config>,
    addr: SocketAddr,
    key: Arc<russh::keys::PrivateKey>,
    command: String,
) -> Result<Option<u32>, Failure> {
    let mut session = client::connect(config, addr, Anybody).await?;
    let key = PrivateKeyWithHashAlg::new(key, None);
    if !session.authenticate_publickey("root", key).await?.success() {
        return Err(format!("{addr} does not let us in").into());
    }
    let mut channel = session.channel_open_session().await?;
    channel.exec(true, command).await?;
    let mut status = None;
    while let Some(message) = channel.wait().await {
        if let ChannelMsg::ExitStatus { exit_status } = message {
            status = Some(exit_status);
        }
    }
    session.disconnect(Disconnect::ByApplication, "", "en").await?;
    Ok(status)
}
