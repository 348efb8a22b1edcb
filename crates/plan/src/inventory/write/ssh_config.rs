//! ssh_config(5): a `Host` block for each host.

use std::fmt::Write as _;

use super::super::Inventory;

pub(super) fn write(inventory: &Inventory) -> String {
    let mut text = String::new();
    for host in inventory.hosts() {
        let named = host.named();
        let _ = writeln!(text, "Host {}", host.name());
        let mut put = |keyword: &str, value: &str| {
            let quotes = if value.contains(char::is_whitespace) { "\"" } else { "" };
            let _ = writeln!(text, "    {keyword} {quotes}{value}{quotes}");
        };
        if let Some(address) = named.address {
            put("HostName", address);
        }
        if let Some(port) = named.port {
            put("Port", &port.to_string());
        }
        if let Some(user) = named.user {
            put("User", user);
        }
        for file in named.identity_files.unwrap_or_default() {
            put("IdentityFile", &file.display().to_string());
        }
    }
    text
}
