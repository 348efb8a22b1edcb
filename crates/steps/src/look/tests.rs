use chrono::TimeDelta;

use super::*;

const BOOKWORM: &str = r#"now 1795456800.250000000
logind running
scheduled (st) "poweroff" 1795460000000000
inhibitors a(ssssuu) 1 "shutdown" "apt" "upgrade" "block" 0 12
sshd usepam yes
sshd permitrootlogin without-password
person bob pts/1 terminal 10.0.0.9
person alice - background tmux: server
hostname login01
os "Debian GNU/Linux 12 (bookworm)"
machine 30e062ffeb734759a9ff0e737008a780
boot 49ccf498-9f29-4b58-b4f8-33e222841c44
timezone Etc/UTC
localtime /usr/share/zoneinfo/Europe/Paris
root 0
login ops
init systemd
file nologin /run/nologin 644 266f8ddc623c7bacb8e19b0173d54d9ffe7265ff9e2842493884e6f81a24fe7e ours No logins
file motd /etc/motd 640 a378977155fb42bb006496321cbe31f74cbda803c3f6ca590f30e76d1afad921 other 
owner run run-a
owner operator alice@admin
owner reason new disks
agenda 1795456000 1795457000 broadcast 99205f4fbc9c6237aea25fffec93096a722e2aa5606992c2a8b115a4b1a0aa00
agenda 1795457000 1795460300 nologin c487278801ba57ebba225d66dff15906e55f54f8bea89dc2d772c776906f3012
agenda 1795460000 1795460300 shutdown reboot - f7362a051ad365eaa45bc84d6a8835978799b8c9d637a1f6b9e7a9257cc47c6f
agenda-hash 5596cc709fa86ac0734ee87a5e592dc4b86f22ed6546a0434b532ee5121e907f
sums-hash dde7c0eedf43258801d2184a31fc284139c9e1ee8490f324c11f1be2f9505aca
delivered 1795456000 2
delivered bob terminal pts/3 blocked
armed 1795450000 persistent
window-boot 49ccf498-9f29-4b58-b4f8-33e222841c44
cancel sh /var/lib/pipedown/window/cancel
phase armed
text c487278801ba57ebba225d66dff15906e55f54f8bea89dc2d772c776906f3012 No logins
alive yes
ended run-z cancelled 1795440000 bob@desk
missing logger
read-only /etc/systemd/system
space /run 100 1024 5000 6000
space /var/lib 10000 4096 3 6000
space /etc 10000 4096 0 0
offset +0100
done-at 1795456800.350000000
end look
"#;

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::milliseconds(millis)
}

fn seen(text: &str) -> Result<Seen, StepError> {
    parse(text.as_bytes(), at(1_795_456_800_000), at(1_795_456_800_400))
}

#[test]
fn everything_that_was_said_is_understood() {
    insta::assert_debug_snapshot!(seen(BOOKWORM).unwrap());
}

#[test]
fn the_windows_own_slot_is_no_foreign_schedule() {
    assert!(seen(BOOKWORM).unwrap().facts.schedule.is_some());
    let own = BOOKWORM.replace("phase armed", "slot 1795460000000000");
    assert!(seen(&own).unwrap().facts.schedule.is_none());
}

#[test]
fn without_logind_the_file_tells_of_a_schedule() {
    let text = BOOKWORM.replace(
        "logind running\nscheduled (st) \"poweroff\" 1795460000000000",
        "logind masked\nscheduled-file USEC=1795460000000000\nscheduled-file MODE=reboot",
    );
    let schedule = seen(&text).unwrap().facts.schedule.unwrap();
    assert_eq!((schedule.mode.as_str(), schedule.at.unwrap().timestamp()), ("reboot", 1_795_460_000));
}

#[test]
fn a_line_that_makes_no_sense_is_named() {
    for (good, bad) in [
        ("now 1795456800.250000000", "now noon"),
        ("logind running", "logind asleep"),
        ("person bob pts/1 terminal 10.0.0.9", "person bob"),
        ("agenda 1795457000 1795460300 nologin", "agenda 1795457000 soon nologin"),
    ] {
        let error = seen(&BOOKWORM.replace(good, bad)).unwrap_err().to_string();
        let value = bad.split_once(' ').unwrap().1;
        assert!(error.contains(value), "{error}");
    }
    assert!(seen(&BOOKWORM.replace("end look\n", "")).is_err());
}

#[test]
fn the_difference_of_the_clocks_lies_between_its_bounds() {
    // Sent at 0, read at 5000 and 5100 there, back at 400: 150 ms of the way are not accounted for on each side.
    assert_eq!(skew(at(0), at(5_150), at(5_250), at(400)), (5_000, 150));
    assert_eq!(skew(at(0), at(-2_000), at(-2_000), at(0)), (-2_000, 0));
}
