//! A whole window on every kind of host, whose controller is killed twice and does not see its end.

use std::fmt::Write as _;

use rustix::process::Signal;

use crate::feed::Watched;
use crate::harness::{Controller, Lab, run_id, secs, until};
use crate::promise::Promise;

const SET: &str = "bullseye02,bookworm02,trixie02,sysv02";

/// What was measured on a host, in seconds.
struct Measured {
    host: &'static str,
    message_late: f64,
    begun: f64,
    session_closed: f64,
    gone: f64,
}

/// The shipped playbook, seven minutes ahead. The controller is killed when the first host is armed, and again when all
/// are; then there is none.
pub fn seven_minutes(lab: &Lab) {
    let hosts: Vec<&'static str> = SET.split(',').collect();
    let before: Vec<_> = hosts.iter().map(|h| lab.snapshot(h)).collect();
    let people: Vec<Watched> = hosts.iter().map(|h| lab.log_in(&format!("alice@{h}"))).collect();
    // They cannot be reached, and hold nobody up.
    let others: Vec<[Watched; 2]> =
        hosts.iter().map(|h| [stopped(lab, h), without_terminal(lab, h)]).collect();
    let controller = lab.controller();
    let args = ["graceful-shutdown", "-l", SET, "--in", "7m", "--reason", "new power supply"];
    let plan = Promise::compile(&controller, "w.plan", &args);
    let promises: Vec<Promise> = hosts.iter().map(|h| Promise::of(&plan, h)).collect();
    arm_and_die(&controller, hosts.len());

    let measured = std::thread::scope(|scope| {
        let watchers: Vec<_> = hosts
            .iter()
            .zip(&promises)
            .zip(people)
            .map(|((host, promise), alice)| scope.spawn(move || watch(lab, host, promise, &alice)))
            .collect();
        watchers.into_iter().map(|w| w.join().unwrap()).collect::<Vec<_>>()
    });
    drop(others);
    println!("{}", table(&measured));
    for m in &measured {
        // Never before T; how soon after it is the machine's, too.
        assert!((0.0..=30.0).contains(&m.begun), "{}: the shutdown began at T{:+.2} s", m.host, m.begun);
        assert!(m.gone <= 90.0, "{}: gone at T{:+.2} s", m.host, m.gone);
    }
    for (host, before) in hosts.iter().zip(before) {
        lab.ask(&["boot", host]);
        let logged = lab.log_lines(host);
        let missed = "message to 1 terminal(s), not to: ";
        for words in
            ["window armed", missed, "ops terminal pts/", "deploy no terminal", "wrote", "poweroff now"]
        {
            assert!(logged.iter().any(|l| l.contains(words)), "{host}: no {words:?} in the log: {logged:#?}");
        }
        let signed = |l: &String| l.contains("by admin@") && l.contains("new power supply");
        assert!(logged.iter().all(signed), "{host}: {logged:#?}");
        let differs = lab.wait_for_snapshot(host, &before, secs(60));
        assert!(differs.is_empty(), "{host}: {differs:#?}");
    }
}

/// Arms with a controller that is killed in the middle, and with one that is killed when all is armed.
fn arm_and_die(controller: &Controller<'_>, hosts: usize) {
    let mut first = controller.start(&["run", "w.plan", "--yes", "--json", "--parallel", "1"]);
    first.out.wait_for("\"kind\":\"armed\"", secs(60));
    first.signal(Signal::KILL);
    first.wait(secs(60));
    let run = run_id(&first.out.text());
    let done = first.out.count("\"kind\":\"armed\"");
    assert!(done < hosts, "the controller was to die in the middle");
    let mut second = controller.start(&["resume", &run, "--json"]);
    second.out.wait_for_nth("\"kind\":\"armed\"", hosts - done, secs(60));
    second.signal(Signal::KILL);
    second.wait(secs(60));
}

/// Somebody who has stopped the output of a terminal (Ctrl-S).
fn stopped(lab: &Lab, host: &str) -> Watched {
    let mut ops = lab.log_in(&format!("ops@{host}"));
    ops.type_in("\x13");
    ops
}

/// Somebody who is there without a terminal.
fn without_terminal(lab: &Lab, host: &str) -> Watched {
    let deploy =
        Watched::start(lab.command(&["ssh", &format!("deploy@{host}"), "echo here; exec sleep 1000"]));
    deploy.out.wait_for("here", secs(60));
    deploy
}

/// Stays with a host, as alice who is logged in there sees it, until it is gone.
fn watch(lab: &Lab, host: &'static str, promise: &Promise, alice: &Watched) -> Measured {
    let mut message_late: f64 = 0.0;
    for (n, (at, text)) in promise.messages.iter().enumerate() {
        // The first is sent when the host is armed, whenever that is.
        let patience = if n == 0 { secs(60) } else { until(*at) + secs(60) };
        let arrived = alice.out.wait_for(&format!("\n\n{text}\n"), patience);
        if n > 0 {
            message_late = message_late.max(arrived - at);
        }
        if promise.nologin.0 <= *at && at + 30.0 < promise.window {
            lab.refuses(host, &promise.nologin.1);
        }
    }
    assert!((0.0..30.0).contains(&message_late), "{host}: a message was {message_late:.1} s late");
    let session_closed = alice.out.wait_for_end(until(promise.window) + secs(90)) - promise.window;
    let gone = lab.wait_down(host, until(promise.window) + secs(90)) - promise.window;
    let seen = alice.out.text();
    assert_eq!(seen.matches("Broadcast from admin@").count(), promise.messages.len(), "{host}:\n{seen}");
    for (_, text) in &promise.messages {
        assert_eq!(seen.matches(text.as_str()).count(), 1, "{host}:\n{seen}");
    }
    let console = lab.console(host);
    // The first thing that a host that goes down writes after a long silence.
    let begun = console.iter().find(|(at, _)| *at > promise.window - 20.0).unwrap().0 - promise.window;
    Measured { host, message_late, begun, session_closed, gone }
}

fn table(measured: &[Measured]) -> String {
    let mut text = "\nhost         latest message  shutdown begins  session closed  gone".to_owned();
    for m in measured {
        let _ = write!(
            text,
            "\n{:<12} {:>+11.2} s  T{:>+12.2} s  T{:>+11.2} s  T{:>+.2} s",
            m.host, m.message_late, m.begun, m.session_closed, m.gone
        );
    }
    text
}
