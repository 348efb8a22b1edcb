//! What needs no host: plans, listings, completions, and errors that point at what is wrong.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Controller, assert_shown, day};

const INVENTORY: &str = r#"
[groups.login]
hosts = "login[01-03].example.org"

[groups.web]
hosts = "web[1-2]"
zone = "Europe/Paris"
"#;

fn controller() -> Controller {
    let controller = Controller::new();
    controller.write("inventory.toml", INVENTORY);
    controller
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_every_text_and_every_time() {
    let ctl = controller();
    let line = format!(
        "plan graceful-shutdown -l @login --at {}T18:00 --reason 'new fans' --var first_notice=T-30m",
        day(40)
    );
    let said = ctl.run(&line).await.code(0);
    assert_shown!(ctl, said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_file_is_what_was_reviewed() {
    let ctl = controller();
    let day = day(40);
    ctl.run(&format!("plan graceful-reboot -l @web --at {day}T18:00 --tz host --out w.plan"))
        .await
        .code(0)
        .says("w.plan");
    let first = ctl.run("plan w.plan").await.code(0);
    // What the plan is made of may be gone: it holds everything.
    std::fs::remove_file(ctl.here().join("inventory.toml")).unwrap();
    let again = ctl.run("plan w.plan").await.code(0);
    assert_eq!(first.out, again.out);
    assert!(first.out.contains(&format!("{day} 18:00")), "{}", first.out);
    ctl.run("run w.plan -l @web --yes").await.code(64).says("leave those options out");
    ctl.run("run w.plan --reason fans --yes").await.code(64).says("leave those options out");
    ctl.run("plan w.plan --at 19:00").await.code(64).says("leave those options out");
    let said = ctl.run(&format!("plan graceful-reboot -l @web --at {day}T18:00 --out w.txt")).await;
    said.code(64).says(".plan");
    ctl.write("w.plan", "{ \"v\": 1 }");
    ctl.run("plan w.plan").await.code(65).says("w.plan");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_pointed_at() {
    let ctl = controller();
    let mut said = String::new();
    let lines = [
        "plan graceful-shutdown --at 18:00",
        "plan graceful-shutdown -l @logn --in 1h",
        "plan graceful-shutdown -l login04 --in 1h",
        "plan graceful-shutdwn -l @login --in 1h",
        "plan graceful-shutdown -l @login",
        "plan graceful-shutdown -l @login --at yesterday",
        "plan graceful-shutdown -l @login --at 25:00",
        "plan graceful-shutdown -l @login --in 1h --var firstnotice=T-1h",
        "plan graceful-shutdown -l @login --in 1h --var early=perhaps",
        "plan graceful-shutdown -l @login --in 1h --tz Europe/Pariss",
        "plan nologin-on -l @login --in 1h",
        "runs --ative",
        "show 7f3kq2",
        "run graceful-shutdown -l @login --in 1h",
    ];
    for line in lines {
        let ended = ctl.run(line).await.code(64);
        said.push_str(&format!("$ pipedown {line}\n{}\n", ended.err));
    }
    assert_shown!(ctl, said);
    // What is missing is a variable of the playbook, and its line says what for.
    ctl.run("plan announce -l @login").await.code(65).says("give it: --var message=");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_is_named_with_its_line_and_key() {
    let ctl = Controller::new();
    let mut said = String::new();
    let inventories = [
        "[groups.login]\nhosts = \"login[01-03\"\n",
        "[defaults]\nusr = \"ops\"\n",
        "[defaults]\nport = 99999\n",
        "[hosts.a]\nbecome = \"su\"\n",
        "[groups.a]\nhosts = \"@b\"\n",
        "[groups.a\n",
    ];
    for text in inventories {
        ctl.write("inventory.toml", text);
        let ended = ctl.run("hosts").await.code(65);
        said.push_str(&format!("{}\n", ended.err));
    }
    ctl.write("inventory.toml", INVENTORY);
    let playbooks = [
        "name = \"p\"\nwindow = \"optional\"\n[[steps]]\nkind = \"broadcst\"\n",
        "name = \"p\"\nwindow = \"optional\"\n[[steps]]\nkind = \"broadcast\"\ntxt = \"x\"\n",
        "name = \"p\"\nwindow = \"required\"\n[[steps]]\nkind = \"broadcast\"\ntext = \"{{clock windw.start}}\"\n",
        "name = \"p\"\nwindow = \"required\"\n[[steps]]\nkind = \"drain\"\n",
    ];
    for text in playbooks {
        ctl.write("p.toml", text);
        let ended = ctl.run("plan ./p.toml -l @login --in 1h").await.code(65);
        said.push_str(&format!("{}\n", ended.err));
    }
    assert_shown!(ctl, said);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_that_others_can_write_is_skipped() {
    let ctl = controller();
    let mode = |mode| std::fs::set_permissions(ctl.here(), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o777);
    ctl.run("hosts").await.code(65).says("here is writable by everybody");
    // Named, it is taken, with a warning.
    ctl.run("hosts -i inventory.toml").await.code(0).says("note: ");
    let mut named = ctl.command("hosts --count");
    let named = named.env("PIPEDOWN_INVENTORY", ctl.here().join("inventory.toml")).output().await.unwrap();
    assert_eq!(String::from_utf8(named.stdout).unwrap(), "5\n");
    mode(0o755);
    let said = ctl.run("hosts --fold").await.code(0).says("inventory: ");
    assert_eq!(said.out, "login[01-03].example.org,web[1-2]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_playbooks_are_listed() {
    let ctl = controller();
    let hosts = ctl.run("hosts '@login!login02'").await.code(0);
    let playbooks = ctl.run("playbooks").await.code(0);
    assert_shown!(ctl, format!("{}\n{}", hosts.out, playbooks.out));
    let json = ctl.run("hosts --all --json").await;
    assert_eq!(json.code, 64, "a set is an argument here: {}", json.err);
    let json = ctl.run("hosts --json").await.code(0);
    assert_eq!(json.out.lines().count(), 5);
    // A printed playbook is a file that runs.
    let printed = ctl.run("playbooks graceful-reboot").await.code(0);
    ctl.write("playbooks/ours.toml", &printed.out.replace("name = \"graceful-reboot\"", "name = \"ours\""));
    let said = ctl.run("plan ours -l @web --in 1h").await.code(0).says("playbooks/ours.toml");
    assert!(said.out.starts_with("ours ("), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_are_scripts_of_their_shells() {
    let ctl = controller();
    for shell in ["bash", "zsh", "fish"] {
        let script = ctl.run(&format!("completions {shell}")).await.code(0).out;
        assert!(script.contains("graceful") || script.contains("postpone"), "{shell}");
        // Variables of playbooks are options, and keywords of sshd are offered.
        assert!(script.contains("first-notice") && script.contains("ClientAliveInterval="), "{shell}");
        // Where the shell is installed, it reads the script without complaint.
        let path = ctl.write(&format!("completions.{shell}"), &script);
        match std::process::Command::new(shell).arg("-n").arg(&path).output() {
            Ok(output) => assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}"),
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::NotFound),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_explains_itself() {
    let ctl = controller();
    let first = ctl.run("--help").await.code(0);
    assert_shown!(ctl, first.out);
    let commands: Vec<String> = first
        .out
        .lines()
        .skip_while(|l| *l != "Commands:")
        .skip(1)
        .take_while(|l| !l.is_empty())
        .filter_map(|l| l.strip_prefix("  ")?.split(' ').next().map(str::to_owned))
        .filter(|name| !name.is_empty() && name != "help")
        .collect();
    assert!(commands.len() >= 12, "{commands:?}");
    for command in commands {
        let help = ctl.run(&format!("{command} --help")).await.code(0).out;
        let usage = help.find("Usage: pipedown").unwrap();
        assert!(usage > 20, "what {command} does comes first:\n{help}");
        let own = help.split("\nOptions of every command").nth(1).unwrap();
        assert!(own.lines().count() > 8, "{command} lacks examples:\n{help}");
        assert!(help.lines().all(|l| l.chars().count() <= 100), "{command} is too wide:\n{help}");
    }
    let bare = ctl.run("").await.code(64);
    assert!(bare.err.contains("Usage:"), "{}", bare.err);
}
