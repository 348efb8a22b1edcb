//! Host sets: syntax, errors at the character, folding.

use pipedown_model::HostName;
use proptest::prelude::*;

use super::parse::{Atom, HostSet};
use super::{Op, fold};

/// The names of a host set that only unites plain patterns.
fn names(text: &str) -> Vec<String> {
    let set = HostSet::parse(text).unwrap_or_else(|error| panic!("{}", error.render(false)));
    set.terms()
        .iter()
        .flat_map(|term| match &term.atom {
            Atom::Hosts(pattern) if term.op == Op::Union => pattern.names(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn hosts(text: &str) -> Vec<HostName> {
    names(text).iter().map(|name| HostName::new(name).unwrap()).collect()
}

#[test]
fn ranges_pad_step_and_list() {
    assert_eq!(
        names("login[08-11].example.org").join(" "),
        "login08.example.org login09.example.org login10.example.org login11.example.org"
    );
    assert_eq!(names("n[0-8/4,10,2]").join(" "), "n0 n4 n8 n10 n2");
    assert_eq!(names("n[0010]").join(" "), "n0010");
    assert_eq!(names("r[1-2]n[01-02]").join(" "), "r1n01 r1n02 r2n01 r2n02");
    assert_eq!(names("fe80::5054:ff:feff:6944%eth0").len(), 1);
    assert_eq!(names("foo[0-200],bar ,baz").len(), 203);
}

#[test]
fn folding_matches_the_field() {
    let cases = [
        ("foo[1,2]", "foo[1-2]"),
        ("foo[395-442],foo,foo[0-200,245-394]", "foo,foo[0-200,245-442]"),
        ("cluster[0001-0002,1555-1559]-ipmi", "cluster[0001-0002,1555-1559]-ipmi"),
        ("n1,n01,n001", "n[1,01,001]"),
        ("node01[0-1]", "node[010-011]"),
        ("node-1[0-48/16]", "node-[10,116,132,148]"),
        ("nova16[1-4]56c", "nova[16156,16256,16356,16456]c"),
        ("nova3,nova4,[5-8],nova6", "[5-8],nova[3-4,6]"),
        ("fe80::5054:ff:feff:6944%eth0", "fe80::5054:ff:feff:6944%eth0"),
        ("login[1-3].dc2.example.org", "login[1-3].dc2.example.org"),
        ("db.dc[1-2].example.org,a", "a,db.dc[1-2].example.org"),
        ("n[8-11]", "n[8-11]"),
        ("n[08-11],n100", "n[08-11,100]"),
        ("one7", "one7"),
    ];
    for (text, folded) in cases {
        assert_eq!(fold(&hosts(text)), folded, "{text}");
    }
    assert_eq!(fold(&[]), "");
}

#[test]
fn errors_point_at_the_character() {
    let cases = [
        "",
        " ",
        "foo,,bar",
        "nova6,",
        "!foo",
        "nova[]",
        "nova[3/2]",
        "nova[004-002]",
        "nova[1-",
        "nova[a-b]",
        "n[1-3/0]",
        "n[1,,2]",
        "n[1-2]0[3-4]",
        "0[7-10]",
        "prod-0[10-345]",
        "prod-0[01-06/2]0",
        "n[9-011]",
        "log*",
        "a b",
        "a^b",
        "@",
        "-x",
        "x@y",
        "n[1-99999999]",
        "n[1234567890123456789]",
        "n]1",
    ];
    let shown: Vec<String> =
        cases.iter().map(|text| HostSet::parse(text).unwrap_err().render(false)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

fn some_name() -> impl Strategy<Value = String> {
    "[a-c]{0,2}[0-9]{0,3}(-[a-b][0-9]{1,2})?(\\.[a-b]{1,2}[0-9]{0,20})?"
        .prop_filter("a host has a name, and it begins with no sign", |name| HostName::new(name).is_ok())
}

proptest! {
    #[test]
    fn what_is_folded_parses_to_the_same_hosts(given in prop::collection::btree_set(some_name(), 1..60)) {
        let list: Vec<HostName> = given.iter().map(|name| HostName::new(name).unwrap()).collect();
        let folded = fold(&list);
        let mut back = names(&folded);
        back.sort();
        prop_assert_eq!(back, given.into_iter().collect::<Vec<_>>(), "{}", folded);
    }

    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,30}|[-a-c0-9\\[\\],!&@*/ ]{0,20}") {
        if let Err(error) = HostSet::parse(&text) {
            prop_assert!(!error.render(false).is_empty());
        }
    }
}
