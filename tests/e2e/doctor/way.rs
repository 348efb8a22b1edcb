//! Name, TCP, version line.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::patient::{SHORT, assert_findings, controller, findings, mended};
use crate::support::{Controller, Said};

/// A controller for a host at an address.
fn at(address: &str, port: u16) -> Controller {
    controller(&format!("[hosts.patient]\naddress = {address:?}\nport = {port}\n"))
}

fn here(address: SocketAddr) -> Controller {
    at("127.0.0.1", address.port())
}

/// Runs the doctor in a network namespace of its own, after some commands there. `None` where there can be none.
async fn in_namespace(controller: &Controller, prepare: &str) -> Option<Said> {
    let unshare = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net"]).args(args);
        command
    };
    let able =
        unshare(&["ip", "link", "set", "lo", "up"]).output().await.is_ok_and(|out| out.status.success());
    if !able {
        println!("skipped: no network namespace can be made here");
        return None;
    }
    let line = controller.command("doctor patient --timeout 30s");
    let line = line.as_std();
    let script = format!("ip link set lo up\n{prepare}\nexec \"$@\"");
    let mut command = unshare(&["sh", "-euc", &script, "sh"]);
    command.arg(line.get_program()).args(line.get_args()).current_dir(controller.here());
    command.env("HOME", controller.dir().join("home"));
    let output = command.output().await.unwrap();
    Some(Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_such_name() {
    let ctl = at("nameless.invalid", 22);
    // Without a network no name server has to be waited for.
    let said = match in_namespace(&ctl, "").await {
        Some(said) => said,
        None => ctl.run("doctor patient --timeout 30s").await,
    };
    let said = said.code(4);
    let text =
        findings(&ctl, &said).replace("temporary failure in name resolution", "name or service not known");
    let text = text.replace("Temporary failure in name resolution", "name or service not known");
    assert_findings!(text.replace("Name or service not known", "name or service not known"));
}

#[tokio::test(flavor = "multi_thread")]
async fn network_unreachable() {
    let ctl = at("192.0.2.1", 22);
    let Some(said) = in_namespace(&ctl, "").await else { return };
    assert_findings!(findings(&ctl, &said.code(4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_to_host() {
    let ctl = at("192.0.2.1", 22);
    let Some(said) = in_namespace(&ctl, "ip route add unreachable 192.0.2.0/24").await else { return };
    assert_findings!(findings(&ctl, &said.code(4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused() {
    // Bound, so that nobody else takes the port, and not listening.
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
    let address: SocketAddr = getsockname(&socket).unwrap().try_into().unwrap();
    let ctl = here(address);
    let said = ctl.run("doctor patient --timeout 30s").await.code(4);
    // The whole checklist, once: what is behind a layer that fails is not reached.
    assert_findings!(mended(&ctl, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn silence() {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
    listen(&socket, 0).unwrap();
    let address: SocketAddr = getsockname(&socket).unwrap().try_into().unwrap();
    // Those that fill the queue; the last ones wait for ever.
    let fillers: Vec<_> = (0..4)
        .map(|_| {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let filler = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
            assert_eq!(connect(&filler, &address), Err(rustix::io::Errno::INPROGRESS));
            filler
        })
        .collect();
    let ctl = here(address);
    let said = ctl.run(&format!("doctor patient --timeout {}s", SHORT.as_secs())).await.code(4);
    assert_findings!(findings(&ctl, &said));
    drop(fillers);
}

/// A server that does the same to everybody who comes.
async fn server<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    address
}

/// A server that reads something and answers with some bytes.
async fn answering(answer: &'static [u8]) -> SocketAddr {
    server(move |mut socket| async move {
        let mut asked = [0; 256];
        // Who leaves early needs no answer.
        let _ = socket.read(&mut asked).await;
        let _ = socket.write_all(answer).await;
        let _ = socket.read(&mut asked).await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_before_the_version_line() {
    let address = server(|mut socket| async move {
        // Our own version line has come, so that the connection stands on both sides.
        let _ = socket.read(&mut [0; 256]).await;
        let linger = rustix::net::sockopt::set_socket_linger(socket.as_fd(), Some(Duration::ZERO));
        linger.unwrap();
    })
    .await;
    let ctl = here(address);
    let said = ctl.run("doctor patient --timeout 30s").await.code(4);
    assert_findings!(findings(&ctl, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_and_says_nothing() {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let ctl = here(listener.local_addr().unwrap());
    let said = ctl.run(&format!("doctor patient --timeout {}s", SHORT.as_secs())).await.code(4);
    assert_findings!(findings(&ctl, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers() {
    let answers: [(&str, &[u8]); 4] = [
        ("http", b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n"),
        // An alert: record_overflow.
        ("tls", b"\x15\x03\x01\x00\x02\x02\x46"),
        ("smtp", b"220 mail.example.org ESMTP Postfix\r\n"),
        ("unknown", b"\x1b[2J\x07who are you?\r\n"),
    ];
    for (name, answer) in answers {
        let ctl = here(answering(answer).await);
        let said = ctl.run("doctor patient --timeout 10s").await.code(4);
        assert_findings!(name, findings(&ctl, &said));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn protocol_one() {
    let ctl = here(answering(b"SSH-1.5-Cisco-1.25\r\n").await);
    let said = ctl.run("doctor patient --timeout 10s").await.code(4);
    assert_findings!(findings(&ctl, &said));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_logins() {
    // What OpenSSH 8.7 and later send when MaxStartups or a penalty drops a connection.
    for (name, answer) in
        [("max_startups", &b"Exceeded MaxStartups\r\n"[..]), ("penalty", b"Not allowed at this time\r\n")]
    {
        let ctl = here(answering(answer).await);
        let said = ctl.run("doctor patient --timeout 10s").await.code(4);
        assert_findings!(name, findings(&ctl, &said));
    }
}
