//! Connections inside others: `sshd -i` on a channel, and what goes wrong there.

use super::sshd::{Sshd, connector};
use super::{hear, write_file};
use crate::{Carrier, Chunk, Connection, Connector, Target, Via};

/// The server's own configuration with more lines before it, which win.
fn candidate(sshd: &Sshd, lines: &str) -> String {
    let now = std::fs::read_to_string(sshd.dir.path().join("sshd_config")).unwrap();
    let file = sshd.dir.path().join("candidate");
    write_file(&file, &format!("{lines}\n{now}"), 0o644);
    file.display().to_string()
}

/// A carrier on a connection that runs a command.
async fn carrier(outer: &Connection, command: &str, begins_after: &str) -> Carrier {
    Carrier {
        exec: outer.exec(command).await.unwrap(),
        begins_after: begins_after.to_owned(),
        host_key: outer.host_key().clone(),
    }
}

async fn outer(sshd: &Sshd) -> (Connector, Target, Connection) {
    sshd.knows_host_key();
    let (connector, target) = (connector(), sshd.target());
    let connection = connector.connect(&target).await.unwrap();
    (connector, target, connection)
}

#[tokio::test]
async fn a_whole_login_on_a_channel() {
    let Some(sshd) = Sshd::start("").await else { return };
    let (connector, target, outer) = outer(&sshd).await;
    let command = format!("/usr/sbin/sshd -i -e -f {}", candidate(&sshd, "X11Forwarding no"));
    let inner = connector.connect_on(&target, carrier(&outer, &command, "").await).await.unwrap();
    let mut exec = inner.exec("echo in; exit 3").await.unwrap();
    let heard = hear(&mut exec.output).await;
    assert_eq!((heard.stdout, heard.ends), (b"in\n".to_vec(), vec![Chunk::Exit(3)]));
    assert_eq!((inner.via(), inner.host_key()), (&Via::Channel, outer.host_key()));
    inner.close().await;
    outer.close().await;
}
