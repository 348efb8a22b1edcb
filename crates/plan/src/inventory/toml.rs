//! Reads the inventory's TOML.

use std::ops::Range;
use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use pipedown_model::Become;
use serde_json::Value;

use super::format::Format;
use super::settings::{Settings, whole_path};
use super::{Inventory, SectionKind};
use crate::diagnostic::{InputError, Source};
use crate::document::{self, Field, Item, Table};
use crate::hostset::{self, Atom, HostSet, Nothing, Op, Pattern, Wildcards};
use crate::time::zone_named;

/// The keys of `[defaults]`; groups have `hosts` too, hosts `address`.
const SETTINGS: [&str; 8] =
    ["port", "user", "logins", "identity_file", "known_hosts", "become", "zone", "vars"];

impl Inventory {
    /// Reads an inventory. Relative paths in it are meant from `folder`, `~` is `home`.
    ///
    /// # Errors
    /// When the text is not a valid inventory; the error points at the place.
    pub fn parse(source: Source, folder: &Path, home: Option<&Path>) -> Result<Self, InputError> {
        let document = document::parse(&source)?;
        let root = Table::root(&source, &document);
        root.deny_unknown(&["defaults", "groups", "hosts"], "the inventory")?;
        let reader = Reader { source: &source, folder, home };
        let mut inventory = Self::new(source.clone(), Format::Toml);
        if let Some(defaults) = root.get("defaults") {
            let table = defaults.table()?;
            table.deny_unknown(&SETTINGS, "`defaults`")?;
            inventory.push(SectionKind::Defaults, reader.settings(&table)?);
        }
        let mut tables = Vec::new();
        for name in ["groups", "hosts"] {
            if let Some(item) = root.get(name) {
                tables.extend(item.table()?.items().into_iter().map(|item| (name == "groups", item)));
            }
        }
        tables.sort_by_key(|(_, item)| item.key_span.start);
        // Hosts get their number where the file names them first, whichever way that is.
        for (is_group, item) in &tables {
            if *is_group {
                reader.group(&mut inventory, item)?;
            } else {
                reader.host(&mut inventory, item)?;
            }
        }
        inventory.attach();
        Ok(inventory)
    }
}

struct Reader<'a> {
    source: &'a Source,
    folder: &'a Path,
    home: Option<&'a Path>,
}

impl Reader<'_> {
    fn group(&self, inventory: &mut Inventory, item: &Item<'_>) -> Result<(), InputError> {
        let name = item.name;
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if name.is_empty() || !name.chars().all(allowed) || name.starts_with('-') {
            return Err(self
                .source
                .error(item.key_span.clone(), format!("`{name}` cannot be the name of a group"))
                .suggest("use letters, digits, `.`, `-` and `_`"));
        }
        if name == "all" {
            return Err(self
                .source
                .error(item.key_span.clone(), "the group `all` exists already: it is all hosts"));
        }
        let table = item.table()?;
        table.deny_unknown(&[&["hosts"][..], &SETTINGS].concat(), format_args!("`groups.{name}`"))?;
        let mut members = Vec::new();
        for field in table.need("hosts")?.strings()? {
            self.members(inventory, &field, &mut members).map_err(|error| error.in_key(&field.key))?;
        }
        members.sort_unstable();
        members.dedup();
        inventory.add(SectionKind::Group(name.to_owned()), self.settings(&table)?, members);
        Ok(())
    }

    fn members(
        &self,
        inventory: &mut Inventory,
        field: &Field,
        members: &mut Vec<usize>,
    ) -> Result<(), InputError> {
        let range = field.within(self.source, 0..field.text.len());
        if self.source.text().get(range.clone()) != Some(field.text.as_str()) {
            return Err(self.source.error(range, "write host names without escapes"));
        }
        let set = HostSet::parse_in(self.source.clone(), range.clone(), &mut Nothing)?;
        for term in set.terms() {
            match &term.atom {
                Atom::All => return Err(self.source.error(range, "a group cannot be made of all hosts")),
                Atom::Like(_) | Atom::Var(_) | Atom::Set(_) | Atom::Recorded(..) => {
                    return Err(self.chooses(range));
                }
                _ if term.op != Op::Union => return Err(self.chooses(range)),
                Atom::Groups(pattern) => {
                    members.extend(inventory.members(self.source, pattern).map_err(|error| {
                        error.suggest("a group can only name groups further up in the file")
                    })?)
                }
                Atom::Hosts(pattern) => {
                    members.extend(
                        hostset::names(self.source, pattern)?.into_iter().map(|name| inventory.declare(name)),
                    );
                }
            }
        }
        Ok(())
    }

    fn chooses(&self, range: Range<usize>) -> InputError {
        self.source.error(
            range,
            "an inventory names hosts; operators other than `,` and wildcards choose among them with -l",
        )
    }

    fn host(&self, inventory: &mut Inventory, item: &Item<'_>) -> Result<(), InputError> {
        let table = item.table()?;
        let unknown = table
            .deny_unknown(&[&["address"][..], &SETTINGS].concat(), format_args!("`hosts.{}`", item.name));
        unknown.map_err(|error| self.quote_dots(item, error))?;
        // The key as it stands in the file, within its quotes if it has some.
        let key = Field { text: item.name.to_owned(), span: item.key_span.clone(), key: String::new() };
        let range = key.within(self.source, 0..item.name.len());
        let names = if self.source.text().get(range.clone()) == Some(item.name) {
            Pattern::parse(self.source, range, Wildcards::Refused)
                .and_then(|pattern| hostset::names(self.source, &pattern))
                .map_err(|error| error.in_key(&item.path()))?
        } else {
            return Err(self.source.error(range, "write host names without escapes"));
        };
        let settings = self.settings(&table)?;
        if settings.address.is_some() && names.len() > 1 {
            let span = table.get("address").map_or(item.key_span.clone(), |address| address.span);
            return Err(self.source.error(span, format!("{} hosts cannot share one address", names.len())));
        }
        let members: Vec<usize> = names.into_iter().map(|name| inventory.declare(name)).collect();
        inventory.add(SectionKind::Hosts, settings, members);
        Ok(())
    }

    /// `[hosts.a.example.org]` is a table in a table in a table for TOML.
    fn quote_dots(&self, item: &Item<'_>, error: InputError) -> InputError {
        let nested = item.table().is_ok_and(|table| table.items().iter().any(Item::is_table_but_vars));
        if nested {
            error.suggest(format!("a name with dots needs quotes: [hosts.\"{}.…\"]", item.name))
        } else {
            error
        }
    }

    fn settings(&self, table: &Table<'_>) -> Result<Settings, InputError> {
        let mut settings = Settings::default();
        for item in table.items() {
            let key = match item.name {
                "address" => set(&mut settings.address, "address", self.word(&item)?),
                "port" => set(&mut settings.port, "port", item.port()?),
                "user" => set(&mut settings.user, "user", self.word(&item)?),
                "logins" => set(&mut settings.logins, "logins", self.logins(&item)?),
                "identity_file" => set(&mut settings.identity_files, "identity_file", self.paths(&item)?),
                "known_hosts" => set(&mut settings.known_hosts, "known_hosts", self.paths(&item)?),
                "become" => set(&mut settings.become_, "become", self.become_(&item)?),
                "zone" => set(&mut settings.zone, "zone", self.zone(&item)?),
                "vars" => {
                    settings.vars = vars(&item)?;
                    "vars"
                }
                // The hosts of a group are no setting.
                _ => continue,
            };
            settings.keys.push((key, item.key_span.start));
        }
        Ok(settings)
    }

    /// A name or address: it becomes an argument or a line of a log.
    fn word(&self, item: &Item<'_>) -> Result<String, InputError> {
        let text = item.text()?;
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if text.is_empty() || text.starts_with('-') || text.contains(odd) {
            return Err(item
                .error(format!("`{}` must not be empty, begin with '-' or hold white space", item.path())));
        }
        Ok(text.to_owned())
    }

    /// Accounts: what sshd -C takes apart (commas) or takes for a pattern is none.
    fn logins(&self, item: &Item<'_>) -> Result<Vec<String>, InputError> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || ",*?!\"'".contains(c);
        let mut logins: Vec<String> = Vec::new();
        for Field { text, span, key } in item.strings()? {
            if text.is_empty() || text.starts_with('-') || text.contains(odd) {
                return Err(self
                    .source
                    .error(span, format!("`{key}` is not the name of an account"))
                    .suggest(
                        "each is one name, as the host's passwd has it: logins = [\"deploy\", \"ops\"]",
                    ));
            }
            if logins.contains(&text) {
                return Err(self.source.error(span, format!("`{}` names {text} twice", item.path())));
            }
            logins.push(text);
        }
        Ok(logins)
    }

    fn paths(&self, item: &Item<'_>) -> Result<Vec<PathBuf>, InputError> {
        item.strings()?.iter().map(|field| self.path(field)).collect()
    }

    fn path(&self, field: &Field) -> Result<PathBuf, InputError> {
        if field.text.is_empty() || field.text.contains('\0') {
            return Err(self.source.error(field.span.clone(), format!("`{}` is not a path", field.key)));
        }
        whole_path(&field.text, self.folder, self.home)
            .map_err(|why| self.source.error(field.span.clone(), why).suggest("write the full path"))
    }

    fn become_(&self, item: &Item<'_>) -> Result<Become, InputError> {
        match item.text()? {
            "none" => Ok(Become::None),
            "sudo" => Ok(Become::Sudo),
            "doas" => Ok(Become::Doas),
            other => Err(item
                .error(format!("`{}` cannot be {other:?}", item.path()))
                .suggest_among(other, ["none", "sudo", "doas"])),
        }
    }

    fn zone(&self, item: &Item<'_>) -> Result<Tz, InputError> {
        zone_named(self.source, item.span.clone(), item.text()?)
    }
}

fn set<T>(setting: &mut Option<T>, key: &'static str, value: T) -> &'static str {
    *setting = Some(value);
    key
}

fn vars(item: &Item<'_>) -> Result<Vec<(String, Value)>, InputError> {
    item.table()?.items().iter().map(|item| Ok((item.name.to_owned(), item.value()?))).collect()
}

impl Item<'_> {
    fn is_table_but_vars(&self) -> bool {
        self.is_table() && self.name != "vars"
    }
}
