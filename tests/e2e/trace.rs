//! `pipedown doctor HOST --trace`: every message as it passes, before the checklist.

use std::io::{Read, Write};

use serde_json::Value;

use crate::support::{Controller, Place, passed, rows};

#[tokio::test(flavor = "multi_thread")]
async fn every_message_of_a_connection_passes_by() {
    let place = Place::new(2).await;
    let said = place.controller.run("doctor login01 --trace --json").await.code(0);
    let rows = rows(&said);
    // Where channels overlap, their messages do too: of these the kinds must be there.
    let (channels, before): (Vec<Value>, Vec<Value>) =
        rows.iter().cloned().partition(|row| row["layer"] == "connection");
    insta::assert_snapshot!(
        ["sent", "received"].map(|way| format!("{way}\n  {}\n", passed(&before, way).join("\n  "))).concat()
    );
    for number in [90, 91, 92, 94, 96, 97, 98, 99, 100] {
        assert!(channels.iter().any(|row| row["number"] == number), "{number}");
    }
    let details = |number: u8, name: &str| -> Vec<&str> {
        let rows = rows.iter().filter(|row| row["kind"] == "detail" && row["direction"] == "sent");
        let rows = rows.filter(|row| row["number"] == number && row["name"] == name);
        rows.map(|row| row["value"].as_str().unwrap()).collect()
    };
    assert_eq!(details(50, "method"), ["publickey"]);
    assert_eq!(details(50, "user"), ["root"]);
    assert_eq!(details(90, "channel type"), ["session", "session", "session", "direct-tcpip"]);
    assert_eq!(details(98, "request"), ["exec", "pty-req", "subsystem"]);
    let kinds: Vec<&Value> = rows.iter().map(|row| &row["kind"]).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 2]), (&"opened".into(), &"closed".into()));
    assert_eq!(rows.last().unwrap()["host"], "login01", "the checklist comes last");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_one_after_the_other() {
    let place = Place::new(2).await;
    let said = place.controller.run("doctor login01 login02 --trace").await.code(0);
    let expected = [
        "connection 1: login01\n",
        "transport layer, RFC 4253\n",
        "> version: SSH-2.0-",
        "< version: SSH-2.0-sshd-embed",
        " 20 SSH_MSG_KEXINIT ",
        "together that comes to\n",
        "key exchange: mlkem768x25519-sha256\n",
        "host key: ssh-ed25519 SHA256:",
        "what follows < is encrypted\n",
        "authentication layer, RFC 4252\n",
        "   52 SSH_MSG_USERAUTH_SUCCESS ",
        "connection layer, RFC 4254\n",
        "     90 SSH_MSG_CHANNEL_OPEN ",
        "channel type: session\n",
        "request: exit-status\n",
        " 1 SSH_MSG_DISCONNECT ",
        "closed; ",
        "login01: works",
        "connection 2: login02\n",
        "closed; ",
        "login02: works",
    ];
    let mut rest = said.out.as_str();
    for text in expected {
        let at = rest.find(text).unwrap_or_else(|| panic!("{text:?} does not follow in\n{}", said.out));
        rest = &rest[at..];
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_ssh_is_shown() {
    let ctl = Controller::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(b"HTTP/1.1 400 Bad \x1b[2JRequest\r\n\r\n").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        // Until the client has heard it.
        let _ = client.read_to_end(&mut Vec::new());
    });
    ctl.write(
        "inventory.toml",
        &format!("[defaults]\nuser = \"root\"\n[hosts.web1]\naddress = \"127.0.0.1\"\nport = {port}\n"),
    );
    let said = ctl.run("doctor web1 --trace").await.code(4);
    server.join().unwrap();
    let (trace, checklist) = said.out.split_once("web1 (").unwrap();
    assert!(trace.contains("< line: HTTP/1.1 400 Bad \u{fffd}[2JRequest\n"), "{trace}");
    assert!(trace.contains("closed; "), "{trace}");
    assert!(checklist.contains("version line"), "{checklist}");
}
