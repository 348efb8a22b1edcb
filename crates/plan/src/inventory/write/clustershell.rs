//! ClusterShell's `groups.d/*.cfg`.

use std::fmt::Write as _;

use super::super::{Inventory, SectionKind};
use crate::hostset::fold;

pub(super) fn write(inventory: &Inventory) -> String {
    let all: Vec<_> = inventory.hosts().map(|host| host.name().clone()).collect();
    let mut text = format!("all: {}\n", fold(&all));
    for section in &inventory.sections {
        if let SectionKind::Group(name) = &section.kind {
            let _ = writeln!(text, "{name}: {}", fold(&inventory.names(&section.members)));
        }
    }
    text
}
