use super::*;
use crate::sshd::sshd_keyword;

#[test]
fn values_are_taken_and_refused() {
    let table = include_str!("values.txt");
    let mut wrong = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (sign, rest) = line.split_at(1);
        let (keyword, value) = rest.trim().split_once(' ').unwrap();
        let result = sshd_keyword(keyword).unwrap().value.check(value);
        if result.is_ok() != (sign == "+") {
            wrong.push(format!("{line}: {result:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_kind_says_what_is_allowed() {
    let lines: Vec<String> =
        crate::sshd_keywords().iter().map(|k| format!("{}: {}", k.name, k.value.allowed())).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn times_are_read_as_sshd_reads_them() {
    assert_eq!(sshd_seconds("1h30m"), Some(5400));
    assert_eq!(sshd_seconds("1M2"), Some(62));
    assert_eq!(sshd_seconds("3550w"), Some(2_147_040_000));
    assert_eq!(sshd_seconds("3551w"), None);
    assert_eq!(sshd_seconds("2147483648"), None);
    assert_eq!(sshd_seconds("m"), None);
    assert_eq!(sshd_seconds(""), None);
    assert_eq!(sshd_seconds("1.5"), None);
}

proptest::proptest! {
    #[test]
    fn nothing_makes_the_check_fall_over(value in "\\PC{0,40}") {
        for keyword in crate::sshd_keywords() {
            let _ = keyword.check(&value);
        }
    }
}
