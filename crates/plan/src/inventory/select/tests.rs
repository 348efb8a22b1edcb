//! What host sets choose by: wildcards, variables, files and runs, all against an inventory.

use std::path::Path;

use pipedown_model::HostName;

use crate::{HostSet, InputError, Inventory, Outcome, Outside, Source, Unavailable, fold};

const TEXT: &str = r#"
[groups.login]
hosts = "login[01-12].example.org"
vars = { role = "login", rack = 3 }

[groups.db]
hosts = "db[1-4]"
vars = { role = "db", spare = false, "site.floor" = 2 }

[groups.db-old]
hosts = "db[3-4]"
vars = { role = "db-old" }

[hosts.db2]
vars = { spare = true }
"#;

/// A file that names hosts, and a run that knew a host which is gone.
struct World;

impl Outside for World {
    fn file(&mut self, path: &str) -> Result<Source, Unavailable> {
        Ok(Source::new(path, "db1 login02\nlogin[03-04].example.org\ndb7\n"))
    }

    fn stdin(&mut self) -> Result<Source, Unavailable> {
        Ok(Source::new("standard input", "db1\nlogin02\n"))
    }

    fn recorded(&mut self, outcome: Outcome, _: &str) -> Result<Vec<HostName>, Unavailable> {
        let name = if outcome == Outcome::Failed { "db3" } else { "gone" };
        Ok(vec![HostName::new(name).unwrap()])
    }
}

fn chosen(set: &str) -> Result<String, InputError> {
    let inventory = Inventory::parse(Source::new("inventory.toml", TEXT), Path::new("/"), None)?;
    inventory.select(&HostSet::read(set, &mut World)?).map(|hosts| fold(&hosts))
}

#[test]
fn hosts_are_chosen_by_what_the_inventory_knows() {
    let cases = [
        ("login*", "login[01-12].example.org"),
        // Without a dot the first label is enough, as for names.
        ("login?2", "login[02,12].example.org"),
        ("*.example.org!login0*", "login[10-12].example.org"),
        ("login[01-04]*", "login[01-04].example.org"),
        ("*n[01-07/3].example*", "login[01,04,07].example.org"),
        ("*[1-3]?,db[3-9]*", "db[3-4],login[10-12].example.org"),
        ("db*!web*", "db[1-4]"),
        ("db*&web*,db1", "db1"),
        ("@db*", "db[1-4]"),
        ("@d?-o*", "db[3-4]"),
        ("@db^@db-old", "db[1-2]"),
        ("@var:role=db", "db[1-2]"),
        ("@var:role=db*", "db[1-4]"),
        ("@var:rack=3&login1?", "login[10-12].example.org"),
        ("@var:spare=true", "db2"),
        ("@var:site.floor=2", "db[1-4]"),
        ("@all!@var:spare=maybe!@login", "db[1-4]"),
        ("@db!(db1,db2)", "db[3-4]"),
        ("@db!@failed:last", "db[1-2,4]"),
        ("-", "db1,login02.example.org"),
    ];
    for (set, folded) in cases {
        assert_eq!(chosen(set).unwrap_or_else(|error| error.render(false)), folded, "{set}");
    }
}

#[test]
fn what_nothing_fits_is_shown() {
    let cases = [
        "logn*",
        "@web*",
        "@db,@var:role=logn",
        "@var:rle=db",
        "@var:role.x=db",
        "@db,^hosts.txt",
        "@db,@done:last",
        "@db!db*",
    ];
    let shown: Vec<String> = cases.iter().map(|set| chosen(set).unwrap_err().render(false)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}
