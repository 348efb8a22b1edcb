use clap::{Args, Command};
use proptest::prelude::*;

use super::*;

fn said(line: &[&str]) -> SettingArgs {
    let command = SettingArgs::augment_args(Command::new("pipedown")).no_binary_name(true);
    SettingArgs::from_arg_matches(&command.try_get_matches_from(line).unwrap()).unwrap()
}

fn composed(line: &[&str]) -> (String, String) {
    let Composed { settings, unset } = said(line).compose().unwrap_or_else(|e| panic!("{}", e.render(false)));
    let text = |given: Option<Given>| given.map(|given| given.text().to_owned()).unwrap_or_default();
    (text(settings), text(unset))
}

fn refused(line: &[&str]) -> String {
    said(line).compose().unwrap_err().render(false)
}

#[test]
fn the_order_says_what_belongs_to_a_block() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.conf");
    std::fs::File::create(&file)
        .and_then(|mut file| {
            std::io::Write::write_all(&mut file, b"UseDNS no\nMatch Group guests\n  MaxSessions 2")
        })
        .unwrap();
    let line = [
        "--set=X11Forwarding=no",
        "--unset=Banner",
        "--match=User sftp",
        "--set=PermitTTY=no",
        "--unset=ForceCommand",
        "--match",
        "Group ops",
        "--set=MaxSessions 20",
        "--file",
        file.to_str().unwrap(),
        "--set=MaxAuthTries=4",
    ];
    let (settings, unset) = composed(&line);
    assert_eq!(
        settings,
        "X11Forwarding=no\nUseDNS no\n\nMaxAuthTries=4\nMatch User sftp\nPermitTTY=no\nMatch Group ops\nMaxSessions 20\n\
         Match Group guests\n  MaxSessions 2\n"
    );
    assert_eq!(unset, "Banner\nMatch User sftp\nForceCommand\n");
    assert_eq!(composed(&[]), (String::new(), String::new()));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let lines: [&[&str]; 11] = [
        &["--set="],
        &["--set=# nothing"],
        &["--set=A=b\nC=d"],
        &["--set=Match User sftp"],
        &["--unset=A b"],
        &["--unset=match"],
        &["--unset=A=b"],
        &["--match=User sftp"],
        &["--match=User sftp", "--match=User ada", "--set=A=b"],
        &["--match= ", "--set=A=b"],
        &["--match=User sftp", "--file=/nonexistent"],
    ];
    let shown: Vec<String> = lines.iter().map(|line| refused(line)).collect();
    insta::assert_snapshot!(shown.join("\n"));
    assert!(refused(&["--file=/nonexistent/a.conf"]).contains("/nonexistent/a.conf"));
}

proptest! {
    #[test]
    fn a_setting_is_one_line(text in "(\\PC|[\n\r\t #=]){0,20}") {
        if let Ok(composed) = said(&[&format!("--set={text}"), "--match=User a", "--set=PermitTTY=no"]).compose() {
            let settings = composed.settings.unwrap();
            prop_assert_eq!(settings.text(), format!("{text}\nMatch User a\nPermitTTY=no\n"));
        }
    }
}
