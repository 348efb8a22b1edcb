use std::collections::BTreeMap;

use pipedown_model::{HostName, OutputStream};

use super::own_name::normalised;
use super::{HostOutput, Prefixer, diff_outputs, fold_outputs, group_outputs};
use crate::fixture::style;
use crate::{Colour, Style};

fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

fn outputs(said: &[(&str, &str)]) -> BTreeMap<HostName, Vec<u8>> {
    said.iter().map(|(name, text)| (host(name), text.as_bytes().to_vec())).collect()
}

type Write = fn(
    &[super::OutputGroup],
    &Style,
    &mut dyn FnMut(&HostName) -> std::io::Result<Vec<u8>>,
    &mut dyn std::io::Write,
) -> std::io::Result<()>;

fn shown(said: &[(&str, &str)], write: Write) -> String {
    let outputs = outputs(said);
    let each =
        outputs.iter().map(|(host, bytes)| Ok(HostOutput { host: host.clone(), bytes: bytes.clone() }));
    let groups = group_outputs(each).unwrap();
    let mut out = Vec::new();
    write(&groups, &style(), &mut |host| Ok(outputs[host].clone()), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

const KERNELS: [(&str, &str); 6] = [
    ("web1", "Linux web1 6.1.0\nup\n"),
    ("web2", "Linux web2 6.1.0\nup\n"),
    ("web3.example.org", "Linux web3 6.1.0\nup\n"),
    ("web4", "Linux web4 5.10.0\nup\n"),
    ("web5", ""),
    ("web6", "web1: not me"),
];

#[test]
fn hosts_that_say_the_same_but_for_their_names_are_one_group() {
    insta::assert_snapshot!(shown(&KERNELS, |groups, style, read, out| fold_outputs(
        groups, style, read, out
    )));
}

#[test]
fn the_odd_ones_are_compared_with_the_majority() {
    insta::assert_snapshot!(shown(&KERNELS, |groups, style, read, out| diff_outputs(
        groups, style, read, out
    )));
}

#[test]
fn identical_outputs_are_shown_as_they_are() {
    let said = [("a1", "a is a letter\n"), ("a2", "a is a letter\n")];
    let text = shown(&said, |groups, style, read, out| fold_outputs(groups, style, read, out));
    assert_eq!(text, "== a1,a2 (2 hosts)\na is a letter\n");
}

#[test]
fn the_same_bytes_are_the_same_whoever_is_named_in_them() {
    let said = [("a1", "server=a1\n"), ("a2", "server=a1\n"), ("a3", "server=a1\nodd\n"), ("a4", "")];
    let fold = shown(&said, |groups, style, read, out| fold_outputs(groups, style, read, out));
    let (most, rest) = ("== a1,a2 (2 hosts)\nserver=a1\n", "== a4 (1 host, nothing)\n");
    assert_eq!(fold, format!("{most}== a3 (1 host)\nserver=a1\nodd\n{rest}"));
    let diff = shown(&said, |groups, style, read, out| diff_outputs(groups, style, read, out));
    assert_eq!(diff, format!("{most}== a3 (1 host)\n@@ -1,0 +2 @@\n+odd\n{rest}"));
}

#[test]
fn who_has_printed_nothing_may_be_the_majority() {
    let said = [("a1", ""), ("a2", "odd\n"), ("a3", "")];
    let diff = shown(&said, |groups, style, read, out| diff_outputs(groups, style, read, out));
    assert_eq!(diff, "== a1,a3 (2 hosts, nothing)\n== a2 (1 host)\n@@ -0,0 +1 @@\n+odd\n");
    let nothing =
        shown(&[("a1", ""), ("a2", "")], |groups, style, read, out| fold_outputs(groups, style, read, out));
    assert_eq!(nothing, "");
}

#[test]
fn only_whole_words_are_names() {
    let same = |name: &str, text: &str| String::from_utf8(normalised(&host(name), text.as_bytes())).unwrap();
    assert_eq!(
        same("node1", "node1 node12 xnode1 node1-ipmi node1.lan (node1)"),
        "{host} node12 xnode1 node1-ipmi {host}.lan ({host})"
    );
    assert_eq!(same("node1.lan", "node1.lan node1"), "{host}.lan {host}");
    assert_eq!(same("10.0.0.1", "10.0.0.1 10.0.0.2 10"), "{host} 10.0.0.2 10");
    assert_eq!(same("db", ""), "");
}

#[test]
fn bytes_that_are_no_text_survive() {
    let bytes = b"\xff\xfe\0web1\xff";
    assert_eq!(normalised(&host("web1"), bytes), bytes, "the name is followed by a byte of another word");
    let mut lines = Prefixer::new(style(), 4, false);
    let text = lines.take(&host("web1"), OutputStream::Stdout, b"\xff\0\x1b[2J\r\n");
    assert_eq!(text, b"web1: \xff\0\x1b[2J\r\n");
}

#[test]
fn lines_of_hosts_and_streams_do_not_mix() {
    let mut lines = Prefixer::new(style(), 5, false);
    let (a, b) = (host("a"), host("bcdef"));
    let mut text = Vec::new();
    text.extend(lines.take(&a, OutputStream::Stdout, b"one\ntw"));
    text.extend(lines.take(&b, OutputStream::Stdout, b"eins"));
    text.extend(lines.take(&a, OutputStream::Stderr, b"oops\n"));
    text.extend(lines.take(&a, OutputStream::Stdout, b"o\n\nthree"));
    text.extend(lines.end(&a, OutputStream::Stdout));
    text.extend(lines.end_all(OutputStream::Stdout));
    assert!(lines.end_all(OutputStream::Stderr).is_empty());
    insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r"
    a:     one
    a:     oops
    a:     two
    a:     
    a:     three
    bcdef: eins
    ");
}

#[test]
fn a_line_without_an_end_is_passed_on_in_pieces() {
    let mut lines = Prefixer::new(style(), 1, false);
    let chunk = [b'x'; 32 * 1024];
    let first = lines.take(&host("a"), OutputStream::Stdout, &chunk);
    let second = lines.take(&host("a"), OutputStream::Stdout, &chunk);
    assert_eq!((first.len(), second.len()), (0, "a: ".len() + 64 * 1024 + 1));
}

#[test]
fn a_terminal_is_not_steered() {
    let mut lines = Prefixer::new(Style { colour: Colour::On, ..style() }, 1, true);
    let text = lines.take(&host("a"), OutputStream::Stdout, b"\x1b]0;evil\x07ok\r\n");
    let text = String::from_utf8(text).unwrap();
    assert_eq!(console::strip_ansi_codes(&text), "a: \u{fffd}]0;evil\u{fffd}ok\n");
}
