//! How a trace looks: indented lines, or JSON lines.

use std::collections::HashMap;
use std::time::Duration;

use pipedown_report::printable;
use pipedown_ssh::trace::{Detail, Direction, Entry, Layer, Message};
use serde_json::{Map, Value, json};

/// Where a detail begins.
const MARGIN: &str = "                      ";
/// The width of a message's name with its indentation.
const NAME: usize = 38;
/// Lists are broken to stay below this.
const WIDTH: usize = 100;
/// NEWKEYS.
const NEWKEYS: u8 = 21;

/// Something that happened on a connection, some time after it was opened.
pub struct Said<'a> {
    pub connection: u64,
    pub at: Duration,
    pub entry: &'a Entry,
}

/// The page that a trace is written on.
#[derive(Debug)]
pub enum Page {
    /// For people.
    Text {
        /// The connections that are open: their labels, and the layers that were entered.
        open: HashMap<u64, (String, Vec<Layer>)>,
        /// The connection that spoke last.
        last: u64,
    },
    /// For programs.
    Json,
}

impl Page {
    /// Begins an empty page.
    pub fn new(json: bool) -> Self {
        if json { Self::Json } else { Self::Text { open: HashMap::new(), last: 0 } }
    }

    /// What stands above everything.
    pub fn head(&self) -> String {
        match self {
            Self::Text { .. } => {
                "> sent, < received; sequence numbers are counted in each direction\n    time      no. name                                   bytes  seq. defined in\n".to_owned()
            }
            Self::Json => String::new(),
        }
    }

    pub fn opened(&mut self, connection: u64, label: String) -> String {
        match self {
            Self::Text { open, last } => {
                *last = connection;
                let text = heading(connection, &label);
                open.insert(connection, (label, Vec::new()));
                text
            }
            Self::Json => line(&json!({ "kind": "opened", "connection": connection, "label": label })),
        }
    }

    pub fn closed(&mut self, connection: u64, at: Duration, sent: u64, received: u64) -> String {
        match self {
            Self::Text { open, last } => {
                let mut text = turn(open, last, connection);
                open.remove(&connection);
                text.push_str(&format!(
                    "{} ms   closed; {sent} bytes sent, {received} received\n",
                    clock(at)
                ));
                text
            }
            Self::Json => line(&json!({
                "kind": "closed", "connection": connection, "ms": millis(at),
                "bytes_sent": sent, "bytes_received": received,
            })),
        }
    }

    pub fn note(&self, text: &str) -> String {
        match self {
            Self::Text { .. } => format!("# {}\n", printable(text)),
            Self::Json => line(&json!({ "kind": "note", "text": text })),
        }
    }

    pub fn entry(&mut self, said: &Said<'_>) -> String {
        match self {
            Self::Text { open, last } => {
                let mut text = turn(open, last, said.connection);
                let entered = open.get_mut(&said.connection).map(|(_, layers)| layers);
                if let (Some(entered), Some(layer)) = (entered, layer(said.entry))
                    && !entered.contains(&layer)
                {
                    entered.push(layer);
                    text.push_str(&format!("{:14}{} layer, {}\n", "", layer.name(), layer.reference()));
                }
                text.push_str(&shown(said));
                text
            }
            Self::Json => line(&row(said)),
        }
    }
}

fn layer(entry: &Entry) -> Option<Layer> {
    match entry {
        Entry::Line { .. } => Some(Layer::Transport),
        Entry::Message(message) => Some(message.layer).filter(|layer| *layer != Layer::Local),
        Entry::Detail { .. } | Entry::Agreed(_) | Entry::Garbage { .. } => None,
    }
}

fn heading(connection: u64, label: &str) -> String {
    format!("connection {connection}: {}\n", printable(label))
}

/// Says who speaks, when that is not who spoke last.
fn turn(open: &HashMap<u64, (String, Vec<Layer>)>, last: &mut u64, connection: u64) -> String {
    if *last == connection {
        return String::new();
    }
    *last = connection;
    heading(connection, open.get(&connection).map_or("", |(label, _)| label))
}

fn millis(at: Duration) -> f64 {
    (at.as_secs_f64() * 1e6).round() / 1e3
}

fn clock(at: Duration) -> String {
    format!("{:>8.1}", at.as_secs_f64() * 1e3)
}

fn arrow(direction: Direction) -> char {
    match direction {
        Direction::Sent => '>',
        Direction::Received => '<',
    }
}

fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Sent => "sent",
        Direction::Received => "received",
    }
}

/// Inner layers stand further in.
fn indent(layer: Layer) -> usize {
    match layer {
        Layer::Transport | Layer::Local => 0,
        Layer::Authentication => 2,
        Layer::Connection => 4,
    }
}

fn shown(said: &Said<'_>) -> String {
    let at = clock(said.at);
    match said.entry {
        Entry::Line { direction, text, version } => {
            let what = if *version { "version" } else { "line" };
            format!("{at} ms {} {what}: {}\n", arrow(*direction), printable(text))
        }
        Entry::Message(message) => shown_message(&at, message),
        Entry::Detail { number, detail, .. } => shown_detail(indent(Layer::of(*number)), detail),
        Entry::Agreed(agreement) => {
            let details = agreement.details();
            let lines: String = details.iter().map(|detail| shown_detail(2, detail)).collect();
            format!("{MARGIN}together that comes to\n{lines}")
        }
        Entry::Garbage { direction, reason } => {
            format!("{at} ms {} not SSH: {}\n", arrow(*direction), printable(reason))
        }
    }
}

fn shown_message(at: &str, message: &Message) -> String {
    let Message { direction, number, name, layer, reference, sequence, length, encrypted } = message;
    let width = NAME - indent(*layer);
    let indented = format!("{:1$}{number:>3}", "", indent(*layer));
    let length = length.map_or_else(|| "?".to_owned(), |length| length.to_string());
    let mut text = format!(
        "{at} ms {} {indented} {name:<width$} {length:>5} {sequence:>5} {reference}\n",
        arrow(*direction)
    );
    if *number == NEWKEYS && !encrypted {
        text.push_str(&format!("{MARGIN}what follows {} is encrypted\n", arrow(*direction)));
    }
    text
}

fn shown_detail(indent: usize, detail: &Detail) -> String {
    let value = printable(&detail.value);
    let mut text = format!("{MARGIN}{:indent$}{}: ", "", detail.name);
    let mut column = text.chars().count();
    // Lists of algorithms are long: they go on below, after a comma.
    for name in value.split_inclusive(',') {
        let width = name.chars().count();
        if column + width > WIDTH && name.len() < value.len() {
            text.push_str(&format!("\n{MARGIN}{:indent$}  ", ""));
            column = MARGIN.len() + indent + 2;
        }
        text.push_str(name);
        column += width;
    }
    text.push('\n');
    text
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

fn row(said: &Said<'_>) -> Value {
    let (connection, ms) = (said.connection, millis(said.at));
    match said.entry {
        Entry::Line { direction, text, version } => json!({
            "kind": if *version { "version" } else { "line" }, "connection": connection, "ms": ms,
            "direction": way(*direction), "text": text,
        }),
        Entry::Message(m) => json!({
            "kind": "message", "connection": connection, "ms": ms, "direction": way(m.direction),
            "layer": m.layer.name(), "number": m.number, "name": m.name, "bytes": m.length,
            "sequence": m.sequence, "encrypted": m.encrypted, "reference": m.reference,
        }),
        Entry::Detail { direction, number, detail } => json!({
            "kind": "detail", "connection": connection, "ms": ms, "direction": way(*direction),
            "number": number, "name": detail.name, "value": detail.value,
        }),
        Entry::Agreed(agreement) => {
            let details = agreement.details().into_iter();
            let details: Map<String, Value> =
                details.map(|detail| (detail.name.into_owned(), Value::String(detail.value))).collect();
            json!({ "kind": "agreed", "connection": connection, "ms": ms, "algorithms": details })
        }
        Entry::Garbage { direction, reason } => json!({
            "kind": "garbage", "connection": connection, "ms": ms, "direction": way(*direction),
            "reason": reason,
        }),
    }
}

#[cfg(test)]
mod tests {
    use pipedown_ssh::trace::Agreement;

    use super::*;

    fn message(direction: Direction, number: u8, encrypted: bool) -> Entry {
        let meaning = pipedown_ssh::trace::meaning(number, None, None);
        Entry::Message(Message {
            direction,
            number,
            name: meaning.name,
            layer: Layer::of(number),
            reference: meaning.reference,
            sequence: 3,
            length: (number != 1).then_some(112),
            encrypted,
        })
    }

    fn detail(number: u8, name: &'static str, value: &str) -> Entry {
        let detail = Detail { name: name.into(), value: value.to_owned() };
        Entry::Detail { direction: Direction::Received, number, detail }
    }

    fn story() -> Vec<Entry> {
        use Direction::{Received, Sent};
        let agreement = Agreement {
            key_exchange: Some("curve25519-sha256".to_owned()),
            host_key: None,
            cipher: [Some("aes256-ctr".to_owned()), Some("aes128-gcm@openssh.com".to_owned())],
            mac: [Some("hmac-sha2-256".to_owned()), Some("implicit".to_owned())],
            compression: [Some("none".to_owned()), Some("none".to_owned())],
            strict: false,
        };
        let line = |text: &str, version| Entry::Line { direction: Received, text: text.to_owned(), version };
        let many = ["ecdh-sha2-nistp256"; 8].join(",");
        vec![
            line("wait\u{1b}[2J", false),
            line("SSH-2.0-theirs", true),
            message(Received, 20, false),
            detail(20, "key exchange", &many),
            detail(20, "host key", &"x".repeat(120)),
            Entry::Agreed(agreement),
            message(Sent, 21, false),
            message(Sent, 50, true),
            message(Received, 91, true),
            detail(91, "request", "exit-status"),
            message(Received, 192, true),
            message(Received, 1, true),
            Entry::Garbage { direction: Received, reason: "a packet".to_owned() },
        ]
    }

    fn told(mut page: Page) -> String {
        let mut text = page.head();
        text.push_str(&page.opened(1, "web1".to_owned()));
        for (n, entry) in (0..).zip(&story()) {
            let at = Duration::from_micros(n * 1250);
            text.push_str(&page.entry(&Said { connection: 1, at, entry }));
        }
        text.push_str(&page.opened(2, "web2".to_owned()));
        text.push_str(&page.closed(1, Duration::from_secs(1), 10, 20));
        text.push_str(&page.note("who is\nthis"));
        text
    }

    #[test]
    fn for_people() {
        insta::assert_snapshot!(told(Page::new(false)));
    }

    #[test]
    fn for_programs() {
        insta::assert_snapshot!(told(Page::new(true)));
    }
}
