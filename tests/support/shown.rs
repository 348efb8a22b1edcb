//! What is printed, without what differs from run to run.

use super::Controller;

/// Hides the controller's folder; the snapshot's filters hide run ids, times and ports.
pub fn shown(controller: &Controller, text: &str) -> String {
    let dir = controller.dir().canonicalize().unwrap();
    text.replace(&dir.display().to_string(), "CTL").replace(&*controller.dir().display().to_string(), "CTL")
}

/// A day ahead, as `--at` takes it.
pub fn day(days: u64) -> String {
    let then = std::time::SystemTime::now() + std::time::Duration::from_secs(days * 86_400);
    chrono::DateTime::<chrono::Utc>::from(then).format("%Y-%m-%d").to_string()
}

/// Compares what was printed with a snapshot.
macro_rules! assert_shown {
    ($controller:expr, $text:expr) => {
        insta::with_settings!({
            filters => vec![
                (r"\b\d{8}-[a-z2-7]{6}\b", "20261122-abcdef"),
                (r"(pipedown \w+ 20261122-abcdef) {2,}", "$1  "),
                (r"\bops@[A-Za-z0-9._-]+", "ops@ctl"),
                (r"\b\d{4}-\d\d-\d\d", "YYYY-MM-DD"),
                (r"\b\w+day,? \d+ \w+ \d{4}", "WEEKDAY"),
                (r"\b(YYYY-MM-DD )?\d\d:\d\d(:\d\d)? UTC", "HH:MM UTC"),
                (r"\b\d\d:\d\d:\d\d \+", "HH:MM:SS +"),
                (r"via pipedown \(\d\d:\d\d\)", "via pipedown (HH:MM)"),
                (r"\bin \d+ (s|min|h|d)( \d+ (s|min|h))*\b", "in SPAN"),
                (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
                (r"/[^ ]*/hosts/login", "FLEET/hosts/login"),
                (r"/[^ ]*/sshd-embed\.\w+", "FLEET"),
                (r"\b\d+ ms (ahead of|behind) ours", "N ms beside ours"),
                (r"\b\d+ ms\b", "N ms"),
                (r"\b\d+(\.\d)? [GMT]iB\b", "N GiB"),
                (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:FINGERPRINT"),
            ],
            omit_expression => true,
        }, { insta::assert_snapshot!($crate::support::shown(&$controller, &$text)) })
    };
}
pub(crate) use assert_shown;
