//! `hostkeys scan`: every host accounted for, and what it prints is what known_hosts holds.

use std::net::TcpListener;

use crate::support::Place;

#[tokio::test(flavor = "multi_thread")]
async fn every_host_is_accounted_for() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    // Bound and closed again: refused.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = web.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for guest in web.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut { guest }, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let more = format!(
        "[hosts.gone]\naddress = \"127.0.0.1\"\nport = {closed}\n[hosts.web]\naddress = \"127.0.0.1\"\nport = {port}\n"
    );
    ctl.write("inventory.toml", &(place.inventory() + &more));
    let said = ctl.run("hostkeys scan @fleet gone web -T 60s").await.code(3);
    let lines: Vec<String> = (1..=2)
        .map(|n| {
            let host = place.host(n);
            format!("[{}]:{} {}", host.name(), host.addrs()[0].port(), host.host_key())
        })
        .collect();
    let told: Vec<String> =
        said.out.lines().map(|l| l.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
    let expected: Vec<String> =
        lines.iter().map(|l| l.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(told, expected);
    let said = said
        .says("gone: refused: ")
        .says("web: not ssh: the answer is not SSH, it begins with \"HTTP/1.1 400");
    let said = said.says("4 hosts: 2 found with 2 keys, 1 refused, 1 not ssh; nothing is trusted yet");
    drop(said);
    let json = ctl.run("hostkeys scan @fleet gone web -T 60s --json").await.code(3);
    let rows: Vec<serde_json::Value> = json.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let status: Vec<_> = rows.iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(status, ["found", "found", "refused", "not_ssh"]);
    ctl.run("hostkeys scan gone").await.code(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_from_standard_input_and_hashed() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    let port = place.host(1).addrs()[0].port();
    ctl.write("list", "# all of them\n127.0.0.1 some remark\n");
    let said = ctl.run(&format!("hostkeys scan -f list -p {port} -H")).await.code(0);
    assert!(said.out.starts_with("|1|") && said.out.lines().count() == 1, "{}", said.out);
    let types = ctl.run(&format!("hostkeys scan 127.0.0.1 -p {port} --types rsa")).await.code(3);
    types.says("no key: it offers only ssh-ed25519");
    ctl.run("hostkeys scan 127.0.0.1 --types what").await.code(64).says("what is no key type");
}
