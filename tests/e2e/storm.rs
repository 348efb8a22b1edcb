//! A fleet of which some misbehave in every way that hosts can: every one is accounted for, and nothing is left behind.
//! `PIPEDOWN_STORM=10000` makes it as large as fleets are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use sshd_embed::{Answer, Answers, Crowd, CrowdFault, CrowdOptions, Share};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::support::{Controller, until};

/// What healthy hosts answer at once; the `real` ones do it.
pub const COMMAND: &str = "sleep 600";

/// A debug build makes ten connections a second on a slow and busy machine.
fn patience(hosts: usize) -> Duration {
    Duration::from_secs(300) + Duration::from_millis(300) * u32::try_from(hosts).unwrap()
}

fn inventory(crowd: &Crowd) -> String {
    let mut text = format!(
        "[defaults]\nuser = \"root\"\nidentity_file = {:?}\nknown_hosts = {:?}\n",
        crowd.identity(),
        crowd.known_hosts()
    );
    for host in crowd.hosts() {
        let (name, addr) = (&host.name, host.addr);
        write!(text, "[hosts.{name}]\naddress = \"{}\"\nport = {}\n", addr.ip(), addr.port()).unwrap();
    }
    text
}

/// Hosts that answer [`COMMAND`], some of them broken, and a controller whose inventory names them.
pub async fn crowd(hosts: usize, shares: impl IntoIterator<Item = Share>) -> (Crowd, Controller) {
    let answers = Answers::default().with(COMMAND, Answer::status(0).stdout("done\n"));
    let options = shares.into_iter().fold(CrowdOptions::default().answers(answers), CrowdOptions::share);
    let crowd = Crowd::start(hosts, options).await.unwrap();
    let controller = Controller::new();
    controller.write("inventory.toml", &inventory(&crowd));
    (crowd, controller)
}

/// Class and text of how a host ended.
fn end_of(event: &serde_json::Value) -> Option<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let failure = |error: &serde_json::Value| (text(&error["class"]), text(&error["text"]));
    match event["kind"].as_str()? {
        "host_done" => Some(("done".to_owned(), String::new())),
        "host_lost" => Some(failure(&event["error"])),
        "step_finished" => match event["outcome"]["result"].as_str()? {
            "failed" => Some(failure(&event["outcome"]["error"])),
            "ran" => match event["outcome"]["end"]["how"].as_str()? {
                "exit" => None,
                how => Some((how.to_owned(), "ended by the host or by us".to_owned())),
            },
            _ => None,
        },
        _ => None,
    }
}

/// The class of each fault, and what its text tells.
fn expected(fault: Option<CrowdFault>) -> (&'static str, &'static str) {
    match fault {
        None => ("done", ""),
        Some(CrowdFault::Refuse) => ("connect", "refused"),
        Some(CrowdFault::DropSyn) => ("connect", "longer than 15 s"),
        Some(CrowdFault::StallBanner) => ("banner", "longer than 15 s"),
        Some(CrowdFault::StallKex) => ("key_exchange", "longer than 15 s"),
        Some(CrowdFault::DenyAuth) => ("auth", "publickey"),
        Some(CrowdFault::Hang) => ("deadline", "within"),
        Some(CrowdFault::Flood) => ("flood", ""),
        Some(CrowdFault::Die) => ("dropped", "the link went away"),
        Some(CrowdFault::Real) => ("deadline", ""),
        Some(other) => panic!("what is to be expected of {other:?}?"),
    }
}

/// How many descriptors a process has open now.
fn descriptors(pid: u32) -> Option<usize> {
    std::fs::read_dir(format!("/proc/{pid}/fd")).ok().map(Iterator::count)
}

/// Prints what became of how many hosts of each kind, and returns those of which something else was to be expected.
fn account(crowd: &Crowd, ends: &BTreeMap<String, Vec<(String, String)>>, said: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut account: BTreeMap<(&str, String, String), usize> = BTreeMap::new();
    for host in crowd.hosts() {
        let ends =
            ends.get(&host.name).unwrap_or_else(|| panic!("nothing is said of {}:\n{said}", host.name));
        assert_eq!(ends.len(), 1, "{}: {ends:?}", host.name);
        let (class, text) = &ends[0];
        let (wanted, part) = expected(host.fault);
        if class != wanted || !text.contains(part) {
            wrong.push(format!("{}, {:?}: {class}: {text}", host.name, host.fault));
        }
        let text = text.replace(&host.name, "HOST").replace(&host.addr.to_string(), "ADDRESS");
        let fault = host.fault.map_or("healthy", CrowdFault::name);
        *account.entry((fault, class.clone(), text)).or_default() += 1;
    }
    assert_eq!(ends.len(), crowd.hosts().len());
    println!("{} hosts:", crowd.hosts().len());
    for ((fault, class, text), count) in &account {
        println!("  {count:>6}  {fault:<13} {class:<13} {text}");
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_of_a_storm_is_accounted_for() {
    let hosts: usize = std::env::var("PIPEDOWN_STORM").map_or(1000, |hosts| hosts.parse().unwrap());
    // Few, so that a slow machine makes each connection within its deadlines.
    let at_once = 8;
    let shares = CrowdFault::ALL.into_iter().map(|(_, fault)| Share::percent(fault, 1.0));
    let (crowd, ctl) = crowd(hosts, shares).await;
    let mut command = ctl.command(&format!(
        "exec --all --json --parallel {at_once} --connect-timeout 15s --timeout 15s --output-limit 64K -- {COMMAND:?}"
    ));
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id().unwrap();
    let mut said = child.stderr.take().unwrap();
    let said = tokio::spawn(async move {
        let mut text = String::new();
        said.read_to_string(&mut text).await.unwrap();
        text
    });
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ends: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let (mut open, mut most) = (0, 0);
    let mut all_healthy = None;
    let healthy = crowd.hosts().iter().filter(|host| host.fault.is_none()).count();
    let mut well = 0;
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            let Some(end) = end_of(&event) else { continue };
            // A host ends while its connection is still held: this counts all that are.
            open = descriptors(pid).unwrap_or(open);
            most = most.max(open);
            well += usize::from(end.0 == "done");
            if well == healthy && all_healthy.is_none() {
                all_healthy = Some(begun.elapsed());
            }
            ends.entry(event["host"].as_str().unwrap().to_owned()).or_default().push(end);
        }
        child.wait().await.unwrap()
    };
    let status = timeout(patience(hosts), reading).await.expect("the storm never ends");
    let said = said.await.unwrap();
    assert_eq!(status.code(), Some(3), "{said}");

    let wrong = account(&crowd, &ends, &said);
    println!("all healthy ones done after {all_healthy:?}, everything after {:?}", begun.elapsed());
    println!("descriptors: at most {most}, {open} when the last host ended");

    assert!(wrong.is_empty(), "{wrong:#?}");

    // The last hosts still have theirs; of a thousand that leak one each there would be a thousand.
    assert!(open <= 64 + 4 * at_once, "{open} descriptors were open when the last host ended");
    until("no connection is left", || crowd.connections() == 0).await;
    until("no command is left", || crowd.commands() == 0).await;
    crowd.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_keeps_nobody_waiting() {
    let mute = [CrowdFault::DropSyn, CrowdFault::StallBanner].map(|fault| Share::hosts(fault, 5));
    let (crowd, ctl) = crowd(40, mute).await;
    // Long before the silent ones have had their time, the others are done.
    let mut run = ctl.start("exec --all --json --parallel 4 --connect-timeout 1h -- true");
    for _ in 0..30 {
        use pipedown_model::EventKind;
        run.event(|event| match &event.kind {
            EventKind::HostDone { .. } => true,
            EventKind::HostLost { host, error, .. } => panic!("{host}: {error:?}"),
            _ => false,
        })
        .await;
    }
    drop(run);
    crowd.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn few_descriptors_mean_fewer_hosts_at_once() {
    let (crowd, ctl) = crowd(40, []).await;
    let line = ctl.command(&format!("exec --all --parallel 64 -- {COMMAND:?}"));
    let line = line.as_std();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 96; exec \"$0\" \"$@\""]).arg(line.get_program()).args(line.get_args());
    command.env_clear().current_dir(ctl.here()).stdin(Stdio::null());
    for (name, value) in line.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let output = timeout(patience(40), command.output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("--parallel 16 instead of 64: this process may open 96 files"), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 40);
    crowd.stop().await;
}
