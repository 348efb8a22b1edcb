//! Over OpenSSH's sshd, started by the client for one connection.

use super::*;

/// A host behind an sshd that runs as whoever runs the tests. `None`, with a reason printed, where there is none.
fn host() -> Option<Host> {
    let sshd = Path::new("/usr/sbin/sshd");
    // As root, sshd insists on its folder for separated privileges.
    if !sshd.exists()
        || find_program("ssh").is_none()
        || (own_uid() == "0" && !Path::new("/run/sshd").exists())
    {
        println!("skipped: OpenSSH is not installed, or /run/sshd is missing");
        return None;
    }
    let mut host = Host::dash();
    let key = |name: &str| {
        let path = host.file(name);
        let status = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success());
        path.display().to_string()
    };
    let (host_key, user_key) = (key("host_key"), key("user_key"));
    let config = host.file("sshd_config");
    let root = host.root.path().display();
    let text = format!(
        "HostKey {host_key}\nAuthorizedKeysFile {user_key}.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
         SetEnv PIPEDOWN_ROOT={root}\n"
    );
    let mut file = std::fs::File::create_new(&config).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    let words = [
        "ssh".to_owned(),
        "-Fnone".to_owned(),
        format!("-oProxyCommand={} -i -f {}", sshd.display(), config.display()),
        format!("-i{user_key}"),
        "-oIdentitiesOnly=yes".to_owned(),
        "-oStrictHostKeyChecking=no".to_owned(),
        "-oUserKnownHostsFile=/dev/null".to_owned(),
        "-oLogLevel=ERROR".to_owned(),
        "-T".to_owned(),
        "host".to_owned(),
    ];
    let words: Vec<&'static str> = words.into_iter().map(|word| &*word.leak()).collect();
    host.login = words.leak();
    Some(host)
}

fn own_uid() -> String {
    let output = std::process::Command::new("id").arg("-u").output().unwrap();
    text(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn calls_over_openssh() {
    let Some(host) = host() else { return };
    let mut shell = host.open().await;
    let input = noise(200_000);
    let calls = vec![Call { input: input.clone(), ..call("cat") }, call("lib; echo err >&2; exit 3")];
    let replies = shell.call_many(calls).await;
    assert!(replies[0].as_ref().unwrap().stdout == input);
    let second = replies[1].as_ref().unwrap();
    assert_eq!((text(&second.stdout), text(&second.stderr), second.status), ("lib\n", "err\n", 3));
    shell.close().await;
    host.gone().await;
}

#[tokio::test]
async fn a_change_goes_on_when_the_link_is_gone_and_the_next_is_not_begun() {
    let Some(host) = host() else { return };
    lose_the_link_in_a_change(&host).await;
    // The driver notes the end, finds nobody to tell, and ends.
    host.gone().await;
    assert!(!host.file("next").exists());
    let run = RunId::new("run-1").unwrap();
    let entries = host.open().await.ledger(&run).await.unwrap();
    let seen: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.status)).collect();
    assert_eq!(seen, [("change", Some(0))]);
}
