//! `hostkeys trust`: nothing is added that nobody vouches for, and who did stands beside it.

use std::process::Command;

use crate::support::Place;

async fn place() -> (Place, std::path::PathBuf) {
    let place = Place::new(2).await;
    let known = place.controller.here().join("known");
    let inventory = place.inventory().replace(&format!("{:?}", place.fleet.known_hosts()), "\"known\"");
    place.controller.write("inventory.toml", &inventory);
    (place, known)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_list_vouches_for_those_on_it() {
    let (place, known) = place().await;
    let ctl = &place.controller;
    let host = place.host(1);
    ctl.write("list", &format!("[login01]:{} {}\n", host.addrs()[0].port(), host.host_key()));
    let said = ctl.run("hostkeys trust @fleet --from list list --yes -T 60s").await.code(3);
    said.says("left out: login02: ssh-ed25519: list: does not know the host").says("added 1 keys");
    let text = std::fs::read_to_string(&known).unwrap();
    assert!(text.contains("pipedown 2") && text.contains(": list, list:1"), "{text}");
    // What a scan prints as JSON is a list as well.
    let json = ctl.run("hostkeys scan @fleet --json").await.code(0).out;
    ctl.write("list.json", &json);
    ctl.run("hostkeys verify @fleet --no-dns --list list.json").await.code(0);
    // Another key on the list contradicts.
    ctl.write("list", &format!("[login01]:{} {}\n", host.addrs()[0].port(), place.host(2).host_key()));
    let said = ctl.run("hostkeys verify login01 --no-dns --list list").await.code(3);
    assert!(said.out.contains("CONTRADICTED"), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_vouches_for_its_host() {
    let (place, known) = place().await;
    let ctl = &place.controller;
    let block = |key: &str| {
        format!(
            "[ 9.1] cloud-init: -----BEGIN SSH HOST KEY KEYS-----\n{key} root@login01\n-----END SSH HOST KEY KEYS-----\n"
        )
    };
    ctl.write("console", &block(place.host(1).host_key()));
    ctl.run("hostkeys trust @fleet --from console-output console")
        .await
        .code(64)
        .says("one console is one host's");
    let other = ctl.run("hostkeys trust login02 --from console-output console --yes").await.code(3);
    other.says("left out: login02: ssh-ed25519: console-output: not printed on the console");
    assert!(!known.exists());
    ctl.run("hostkeys trust login01 --from console-output console --yes").await.code(0).says("added 1 keys");
    assert!(std::fs::read_to_string(&known).unwrap().contains("console-output, printed on the console"));
}

#[tokio::test(flavor = "multi_thread")]
async fn first_use_is_trusted_in_as_many_words_only() {
    let (place, known) = place().await;
    let ctl = &place.controller;
    ctl.run("hostkeys trust @fleet --yes").await.code(64);
    ctl.run("hostkeys trust @fleet --trust-on-first-use --yes -T 60s").await.code(0).says("added 2 keys");
    let text = std::fs::read_to_string(&known).unwrap();
    assert_eq!(text.matches("trust-on-first-use, nobody vouches").count(), 2, "{text}");
    // A changed key is not overwritten.
    let swapped = text.replace(
        place.host(1).host_key().split(' ').nth(1).unwrap(),
        place.host(2).host_key().split(' ').nth(1).unwrap(),
    );
    ctl.write("known", &swapped);
    ctl.run("hostkeys trust login01 --trust-on-first-use --yes")
        .await
        .code(3)
        .says("left out: login01: ssh-ed25519: ");
    assert_eq!(std::fs::read_to_string(&known).unwrap(), swapped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_over_https_with_the_systems_authorities() {
    let (place, _) = place().await;
    let ctl = &place.controller;
    let host = place.host(1);
    ctl.write("list", &format!("[login01]:{} {}\n", host.addrs()[0].port(), host.host_key()));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "tls.key", "-out", "tls.pem"])
        .current_dir(ctl.here())
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        return println!("skipped: openssl is not installed");
    }
    let mut server = Command::new("openssl");
    server.args(["s_server", "-accept", "127.0.0.1:0", "-WWW", "-cert", "tls.pem", "-key", "tls.key"]);
    let mut server = server.current_dir(ctl.here()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(server.stdout.take().unwrap());
    let port = loop {
        let mut line = String::new();
        assert!(std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0, "openssl says no port");
        if let Some((_, port)) = line.trim().rsplit_once(':').filter(|_| line.starts_with("ACCEPT")) {
            break port.to_owned();
        }
    };
    let line = format!("hostkeys verify login01 --no-dns --list https://127.0.0.1:{port}/list -T 60s");
    let trusting =
        ctl.command(&line).env("SSL_CERT_FILE", ctl.here().join("tls.pem")).output().await.unwrap();
    let doubting = ctl.run(&line).await;
    let _ = server.kill();
    let _ = server.wait();
    let (out, err) = (String::from_utf8_lossy(&trusting.stdout), String::from_utf8_lossy(&trusting.stderr));
    assert_eq!(trusting.status.code(), Some(0), "{out}{err}");
    assert!(out.contains("list: https://127.0.0.1:"), "{out}");
    doubting.code(70).says("failed to get https://");
}
