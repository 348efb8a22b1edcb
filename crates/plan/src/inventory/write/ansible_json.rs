//! What Ansible prints with `ansible-inventory --list`, and takes from scripts.

use serde_json::{Map, Value, json};

use super::super::{Inventory, SectionKind};
use super::values::as_variables;

/// All of a host's variables are told with the host: whoever reads it need not know who wins.
pub(super) fn write(inventory: &Inventory) -> String {
    let mut hostvars = Map::new();
    for host in inventory.hosts() {
        let settings = super::values::merged(host.all_settings());
        let vars: Map<String, Value> = as_variables(inventory, &settings).into_iter().collect();
        if !vars.is_empty() {
            hostvars.insert(host.name().as_str().to_owned(), Value::Object(vars));
        }
    }
    let mut groups = Map::new();
    let mut below: Vec<&str> = Vec::new();
    for section in &inventory.sections {
        let SectionKind::Group(name) = &section.kind else { continue };
        below.extend(section.lineage.children.iter().map(String::as_str));
        let names = |numbers: &[usize]| -> Vec<Value> {
            inventory.names(numbers).iter().map(|name| name.as_str().into()).collect()
        };
        let mut group = Map::new();
        let hosts = names(section.lineage.own.as_ref().unwrap_or(&section.members));
        if !hosts.is_empty() {
            group.insert("hosts".to_owned(), Value::Array(hosts));
        }
        if !section.lineage.children.is_empty() {
            group.insert("children".to_owned(), json!(section.lineage.children));
        }
        groups.insert(name.clone(), Value::Object(group));
    }
    let top: Vec<&String> = groups.keys().filter(|name| !below.contains(&name.as_str())).collect();
    let mut children: Vec<Value> = top.into_iter().map(|name| name.as_str().into()).collect();
    if !groups.contains_key("ungrouped") {
        children.insert(0, "ungrouped".into());
    }
    let mut document = Map::from_iter([
        ("_meta".to_owned(), json!({ "hostvars": hostvars })),
        ("all".to_owned(), json!({ "children": children })),
    ]);
    // Whoever is in no group at all must be named somewhere.
    let alone: Vec<Value> = inventory
        .hosts()
        .filter(|host| host.groups().next().is_none())
        .map(|host| host.name().as_str().into())
        .collect();
    if !alone.is_empty() {
        document.insert("ungrouped".to_owned(), json!({ "hosts": alone }));
    }
    document.extend(groups);
    format!("{:#}\n", Value::Object(document))
}
