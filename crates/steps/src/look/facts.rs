//! What a host is: a small look, for lists.

use std::time::Duration;

use chrono::{DateTime, Utc};
use pipedown_model::FactSheet;

use super::lines::{self, Lines};
use super::skew;
use crate::{Call, Looker, StepError, fragment};

const CALL: &str = "facts";
/// Each question that may hang has a shorter one on the host.
const DEADLINE: Duration = Duration::from_secs(30);

/// Asks a host what it is; changes nothing. What its sshd is, the connection knows.
///
/// # Errors
/// What a call can fail with, and [`StepError::Unread`] with the line that has another form than it should.
pub async fn facts(
    looker: &mut Looker<'_>,
    clock: &(dyn Fn() -> DateTime<Utc> + Send + Sync),
) -> Result<FactSheet, StepError> {
    let call = Call {
        name: CALL,
        source: fragment::facts(),
        args: Vec::new(),
        input: Vec::new(),
        deadline: DEADLINE,
        ledger: None,
    };
    let sent = clock();
    let reply = looker.call(call).await?;
    let received = clock();
    if reply.timed_out {
        return Err(StepError::TimedOut { call: CALL });
    }
    parse(&reply.stdout, sent, received)
}

fn parse(stdout: &[u8], sent: DateTime<Utc>, received: DateTime<Utc>) -> Result<FactSheet, StepError> {
    let lines = Lines::read(stdout)?;
    let begun = lines::time(lines.first("now").unwrap_or_default())?;
    let (skew_ms, skew_error_ms) = skew(sent, begun, lines.done()?, received);
    let text = |key: &str| Some(lines.text(key)).filter(|text| !text.is_empty());
    // Seconds with a fraction, then those in which nothing was done (proc(5)).
    let uptime = text("uptime").and_then(|line| line.split(['.', ' ']).next()?.parse().ok());
    let unreadable = lines.first("people").is_some();
    Ok(FactSheet {
        seen: received,
        hostname: text("hostname"),
        os: text("os"),
        kernel: text("kernel"),
        arch: text("arch"),
        sshd: None,
        init: text("init"),
        machine_id: text("machine"),
        boot_id: text("boot").filter(|id| lines::is_boot_id(id)),
        uptime_s: uptime,
        login_user: text("login"),
        users: if unreadable { None } else { Some(lines.sessions()?) },
        skew_ms,
        skew_error_ms,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn read(text: &str) -> Result<FactSheet, StepError> {
        parse(text.as_bytes(), at("2026-11-22T12:00:00Z"), at("2026-11-22T12:00:01Z"))
    }

    #[test]
    fn what_is_not_said_is_not_known() {
        let sheet =
            read("now 1795348800.5\ndone-at 1795348800.5\npeople unreadable\nuptime x\nboot -\nend look\n")
                .unwrap();
        assert_eq!((sheet.os, sheet.boot_id, sheet.uptime_s, sheet.users), (None, None, None, None));
        assert!(read("os x\nend look\n").is_err(), "a host has a clock");
    }

    #[test]
    fn what_is_said_is_known() {
        let sheet = read(
            "now 1795348805\nos Debian GNU/Linux 12 (bookworm)\nkernel Linux 6.1.0\nuptime 93784.12 3.4\ninit systemd 252\n\
             person alice pts/0 terminal 10.0.0.9\ndone-at 1795348805.5\nend look\n",
        )
        .unwrap();
        assert_eq!(sheet.os.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!((sheet.uptime_s, sheet.users.unwrap().len()), (Some(93_784), 1));
        assert!((4500..=5000).contains(&sheet.skew_ms), "{}", sheet.skew_ms);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(text in "((now|uptime|person|boot|end) [ 0-9a-z.]{0,12}\n){0,8}") {
            let _ = read(&text);
        }
    }
}
