use super::*;
use crate::host_tests::{from_now, usual};

fn answer(files: &AgendaFiles) -> Vec<String> {
    [
        "result armed".to_owned(),
        format!("sums {}", files.sums_hash()),
        format!("agenda {}", files.agenda_hash()),
        "process 12".to_owned(),
        "persistence persistent".to_owned(),
        "armed 1795456800".to_owned(),
        "cancel sh /var/lib/pipedown/window/cancel".to_owned(),
    ]
    .to_vec()
}

#[test]
fn what_was_read_back_is_compared_with_what_was_sent() {
    let files = usual("run-a", from_now(600));
    assert!(read(&files, &answer(&files)).unwrap().logged);
    let other = usual("run-a", from_now(601));
    let error = read(&other, &answer(&files)).unwrap_err();
    assert!(matches!(error, StepError::ReadBack { what: "sums", .. }), "{error}");
}

#[test]
fn a_line_that_is_missing_is_no_success() {
    let files = usual("run-a", from_now(600));
    for missing in 1..7 {
        let mut lines = answer(&files);
        lines.remove(missing);
        assert!(read(&files, &lines).is_err(), "without line {missing}");
    }
}
