//! What russh says in its debug log.
//!
//! The texts are those of russh 0.65; the tests against real connections fail when they change.

use super::entry::{Detail, Direction};

/// Something that the SSH library said about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overheard {
    /// A message passed.
    Message {
        /// Which way.
        direction: Direction,
        /// Its number.
        number: u8,
        /// Bytes of its payload, where they were said.
        length: Option<usize>,
    },
    /// Something that the last message of a direction says.
    Detail {
        /// Which way.
        direction: Direction,
        /// What it says.
        detail: Detail,
    },
    /// The authentication method of the last request, which gives 60 to 79 their names.
    Method(String),
    /// Something that the next message of a number will say that we send.
    Ahead {
        /// The number.
        number: u8,
        /// What it says.
        detail: Detail,
    },
}

/// Where our own notes go.
pub(super) const NOTES: &str = "pipedown_ssh::trace";

impl Overheard {
    /// How much of a log line has to be read at most, in bytes. More may hold what is secret.
    pub const ENOUGH: usize = 200;

    /// Whether a log line with this target may be about a connection.
    pub fn concerns(target: &str) -> bool {
        target.starts_with("russh::") || target == NOTES
    }

    /// Understands a line of the log; what is not about messages, and what could be secret, is left out.
    pub fn parse(target: &str, text: &str) -> Vec<Self> {
        if target == NOTES {
            return note(text);
        }
        if let Some(rest) = text.strip_prefix("> msg type ") {
            return message(Direction::Sent, rest);
        }
        if let Some(rest) = text.strip_prefix("< msg type ") {
            return message(Direction::Received, rest);
        }
        if target.starts_with("russh::server") {
            return server(target, text);
        }
        client(text)
    }
}

fn message(direction: Direction, rest: &str) -> Vec<Overheard> {
    let mut fields = rest.split(", ");
    let number = fields.next().and_then(|number| number.parse().ok());
    let length = fields.find_map(|field| field.strip_prefix("len ")?.parse().ok());
    number.map(|number| Overheard::Message { direction, number, length }).into_iter().collect()
}

fn received(name: &'static str, value: &str) -> Vec<Overheard> {
    vec![Overheard::Detail { direction: Direction::Received, detail: Detail::new(name, value) }]
}

fn disconnect() -> Vec<Overheard> {
    vec![Overheard::Message { direction: Direction::Received, number: 1, length: None }]
}

/// A string as `{:?}` prints it; not meant to be exact where the peer sends something odd.
fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

fn note(text: &str) -> Vec<Overheard> {
    let mut fields = text.splitn(3, '\t');
    let (Some(number), Some(name), Some(value)) = (fields.next(), fields.next(), fields.next()) else {
        return Vec::new();
    };
    let Ok(number) = number.parse() else { return Vec::new() };
    let mut heard = vec![Overheard::Ahead { number, detail: Detail::new(name.to_owned(), value) }];
    if name == "method" {
        heard.push(Overheard::Method(value.to_owned()));
    }
    heard
}

fn client(text: &str) -> Vec<Overheard> {
    let method = |name: &str| vec![Overheard::Method(name.to_owned())];
    match text {
        "received disconnect" => return disconnect(),
        "userauth_pk_ok" => return method("publickey"),
        "keyboard_interactive" | "Keyboard interactive" => return method("keyboard-interactive"),
        "userauth_gssapi_response" => return method("gssapi-with-mic"),
        _ => {}
    }
    if text.starts_with("write_auth_request: ") {
        return method("publickey");
    }
    if let Some(rest) = text.strip_prefix("remaining methods ") {
        let Some((_, partial)) = rest.rsplit_once("partial success ") else { return Vec::new() };
        return received("partial success", partial);
    }
    if let Some(rest) = text.strip_prefix("channel_request: ") {
        let name = rest.split_once(' ').and_then(|(_, name)| quoted(name));
        return name.map(|name| received("request", name)).unwrap_or_default();
    }
    if let Some(rest) = text.strip_prefix("Received EXT_INFO, ") {
        return received("extensions", rest.trim_end_matches(" extensions"));
    }
    if let Some(amount) = text.strip_prefix("channel_window_adjust amount: ") {
        return received("bytes", amount);
    }
    Vec::new()
}

fn server(target: &str, text: &str) -> Vec<Overheard> {
    if target == "russh::server::session" && text == "break" {
        return disconnect();
    }
    match text {
        "is_real = 0" => return received("signature", "none: asks whether the key would do"),
        "is_real = 1" => return received("signature", "yes"),
        "signature verified" => return received("signature", "is right"),
        "signature wrong" => return received("signature", "is WRONG"),
        _ => {}
    }
    if let Some(rest) = text.strip_prefix("name: ") {
        return request(rest).unwrap_or_default();
    }
    if let Some(service) = text.strip_prefix("request: ").and_then(quoted) {
        return received("service", service);
    }
    if let Some(kind) = text.strip_prefix("unknown channel type: ") {
        return received("channel type", kind);
    }
    let Some(handler) = text.strip_prefix("handler.").and_then(|rest| rest.split(' ').next()) else {
        return Vec::new();
    };
    let name = match handler {
        "pty_request" => "pty-req",
        "x11_request" => "x11-req",
        "env_request" => "env",
        "shell_request" => "shell",
        "agent_request" => "auth-agent-req@openssh.com",
        "exec_request" => "exec",
        "subsystem_request" => "subsystem",
        "window_change" => "window-change",
        "signal" => "signal",
        "tcpip_forward" => "tcpip-forward",
        "cancel_tcpip_forward" => "cancel-tcpip-forward",
        "streamlocal_forward" => "streamlocal-forward@openssh.com",
        "cancel_streamlocal_forward" => "cancel-streamlocal-forward@openssh.com",
        _ => return Vec::new(),
    };
    received("request", name)
}

/// `"user" "ssh-connection" "method"`; a user's name may hold quotes, the other two end the line.
fn request(rest: &str) -> Option<Vec<Overheard>> {
    let (rest, method) = rest.rsplit_once(' ')?;
    let (user, _service) = rest.rsplit_once(' ')?;
    let (method, user) = (quoted(method)?, quoted(user)?);
    let mut heard = vec![Overheard::Method(method.to_owned())];
    heard.extend(received("user", user));
    heard.extend(received("method", method));
    Some(heard)
}
