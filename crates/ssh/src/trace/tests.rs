use proptest::prelude::*;

use super::*;

/// A packet without MAC around a payload (RFC 4253, section 6).
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 8 - (payload.len() + 5) % 8 + 4;
    let length = u32::try_from(1 + payload.len() + padding).unwrap();
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.push(u8::try_from(padding).unwrap());
    bytes.extend(payload);
    bytes.extend(vec![0; padding]);
    bytes
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut all = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    all.extend(bytes);
    all
}

fn kexinit(exchanges: &str, cipher: &str, to_client: &str) -> Vec<u8> {
    let mut payload = vec![20];
    payload.extend([7; 16]);
    let mac = "hmac-sha2-256";
    for list in [exchanges, "ssh-ed25519", cipher, to_client, mac, mac, "none", "none", "", ""] {
        payload.extend(string(list.as_bytes()));
    }
    payload.extend([0; 5]);
    packet(&payload)
}

fn reply() -> Vec<u8> {
    let mut key = string(b"ssh-ed25519");
    key.extend(string(&[1; 32]));
    let mut signature = string(b"ssh-ed25519");
    signature.extend(string(&[2; 64]));
    let mut payload = vec![31];
    payload.extend([string(&key), string(&[3; 32]), string(&signature)].concat());
    packet(&payload)
}

const OURS: &str = "mlkem768x25519-sha256,curve25519-sha256,ext-info-c,kex-strict-c-v00@openssh.com";
const THEIRS: &str = "curve25519-sha256,kex-strict-s-v00@openssh.com";

/// What a client sees up to both NEWKEYS.
fn beginning() -> Vec<(Direction, Vec<u8>)> {
    use Direction::{Received, Sent};
    let mut half = vec![30];
    half.extend(string(&[9; 32]));
    vec![
        (Sent, b"SSH-2.0-ours\r\n".to_vec()),
        (Received, b"please wait\r\nSSH-2.0-theirs here\r\n".to_vec()),
        (Sent, kexinit(OURS, "chacha20-poly1305@openssh.com", "aes256-ctr")),
        (Received, kexinit(THEIRS, "chacha20-poly1305@openssh.com,aes256-ctr", "aes256-ctr")),
        (Sent, packet(&half)),
        (Received, [reply(), packet(&[21]), b"encrypted".to_vec()].concat()),
        (Sent, [packet(&[21]), b"encrypted".to_vec()].concat()),
    ]
}

fn shown(entries: &[Entry]) -> String {
    let arrow = |direction: &Direction| if *direction == Direction::Sent { '>' } else { '<' };
    let line = |entry: &Entry| match entry {
        Entry::Line { direction, text, version } => format!("{} line {text} {version}\n", arrow(direction)),
        Entry::Message(m) => format!(
            "{} {} {} #{} {:?} {} {}\n",
            arrow(&m.direction),
            m.number,
            m.name,
            m.sequence,
            m.length,
            m.reference,
            m.layer.name()
        ),
        Entry::Detail { direction, number, detail } => {
            format!("{}   {number} {}: {}\n", arrow(direction), detail.name, detail.value)
        }
        Entry::Agreed(agreement) => {
            agreement.details().iter().map(|d| format!("=   {}: {}\n", d.name, d.value)).collect()
        }
        Entry::Garbage { direction, reason } => format!("{} garbage {reason}\n", arrow(direction)),
    };
    entries.iter().map(line).collect()
}

/// Reads the beginning, in pieces of this many bytes.
fn read(pieces: usize) -> Vec<Entry> {
    let mut clear = ClearText::new(Role::Client);
    let mut conversation = Conversation::new();
    let mut entries = Vec::new();
    for (direction, bytes) in beginning() {
        for piece in bytes.chunks(pieces) {
            entries.extend(clear.feed(direction, piece));
        }
    }
    assert!(clear.is_over());
    entries.into_iter().flat_map(|entry| conversation.clear(entry)).collect()
}

#[test]
fn the_beginning_is_read_whole() {
    insta::assert_snapshot!(shown(&read(usize::MAX)));
}

#[test]
fn it_does_not_matter_in_which_pieces_bytes_come() {
    for pieces in [1, 2, 5, 64] {
        assert_eq!(read(pieces), read(usize::MAX));
    }
}

#[test]
fn what_the_library_says_follows_in_order_and_with_names() {
    let mut clear = ClearText::new(Role::Client);
    let mut conversation = Conversation::new();
    let said = |conversation: &mut Conversation, text: &str| -> Vec<Entry> {
        let heard = Overheard::parse("russh::client", text);
        heard.into_iter().flat_map(|heard| conversation.heard(heard)).collect()
    };
    // The library names NEWKEYS and what follows it before the bytes have gone.
    for text in
        ["> msg type 20, len 1", "> msg type 30, len 1", "> msg type 21, len 1", "> msg type 5, len 17"]
    {
        assert_eq!(said(&mut conversation, text), []);
    }
    let mut entries = Vec::new();
    for (direction, bytes) in beginning() {
        for entry in clear.feed(direction, &bytes) {
            entries.extend(conversation.clear(entry));
        }
    }
    let last = entries.pop().unwrap();
    assert_eq!(shown(&[last]), "> 5 SSH_MSG_SERVICE_REQUEST #0 Some(17) RFC 4253 10 transport\n");
    let mut rest = Vec::new();
    for text in [
        "< msg type 20, seqn 1, len 9",
        "< msg type 21, seqn 3, len 1",
        "< msg type 6, seqn 1, len 17",
        "Keyboard interactive",
        "> msg type 50, len 50",
        "< msg type 60, seqn 2, len 60",
        "userauth_pk_ok",
        "> msg type 50, len 100",
        "< msg type 60, seqn 2, len 60",
        "< msg type 98, seqn 3, len 30",
        "channel_request: ChannelId(0) \"exit-status\"",
        "< msg type 21, seqn 9, len 1",
        "received disconnect",
    ] {
        rest.extend(said(&mut conversation, text));
    }
    insta::assert_snapshot!(shown(&rest));
}

#[test]
fn our_own_notes_name_the_method() {
    let mut conversation = Conversation::new();
    let notes = ["50\tuser\tops", "50\tmethod\tpublickey", "98\trequest\tpty-req", "98\trequest\tshell"];
    for heard in notes.iter().flat_map(|note| Overheard::parse("pipedown_ssh::trace", note)) {
        assert_eq!(conversation.heard(heard), []);
    }
    let newkeys = |direction| Overheard::Message { direction, number: 21, length: Some(1) };
    for direction in [Direction::Sent, Direction::Received] {
        conversation.heard(newkeys(direction));
        let mut clear = ClearText::new(Role::Client);
        for entry in clear.feed(direction, &[b"SSH-2.0-x\n".to_vec(), packet(&[21])].concat()) {
            conversation.clear(entry);
        }
    }
    let request = Overheard::Message { direction: Direction::Sent, number: 50, length: Some(9) };
    let answer = Overheard::Message { direction: Direction::Received, number: 60, length: Some(9) };
    let channel = || Overheard::Message { direction: Direction::Sent, number: 98, length: Some(9) };
    let mut said = [conversation.heard(request.clone()), conversation.heard(answer)].concat();
    for heard in [channel(), request, channel(), channel()] {
        said.extend(conversation.heard(heard));
    }
    insta::assert_snapshot!(shown(&said));
}

#[test]
fn what_could_be_secret_is_not_understood() {
    for text in [
        "msg = AuthInfoResponse { responses: [\"hunter2\"] }",
        "pubkey_key: b\"…\"",
        "* \"x\" (unknown, data: [1])",
        "name: \"alice",
    ] {
        for target in ["russh::client", "russh::server::encrypted"] {
            assert_eq!(Overheard::parse(target, text), [], "{text}");
        }
    }
    assert!(Overheard::concerns("russh::client::encrypted") && !Overheard::concerns("rusqlite"));
}

#[test]
fn a_stranger_is_garbage_and_costs_no_memory() {
    let mut clear = ClearText::new(Role::Client);
    let entries = clear.feed(Direction::Received, &[b'x'; 10_000]);
    insta::assert_snapshot!(shown(&entries), @"< garbage a line of more than 8192 bytes");
    assert_eq!(clear.feed(Direction::Received, b"SSH-2.0-late\r\n"), []);
    let mut clear = ClearText::new(Role::Client);
    let entries = clear.feed(Direction::Received, b"SSH-2.0-x\r\n\x7f\xff\xff\xff");
    insta::assert_snapshot!(shown(&entries), @r"
    < line SSH-2.0-x true
    < garbage a packet that says it has 2147483647 bytes
    ");
    let mut clear = ClearText::new(Role::Client);
    let entries = clear.feed(Direction::Received, b"SSH-2.0-x\r\n\0\0\0\x0c\x0b...........");
    assert_eq!(shown(&entries[1..]), "< garbage a packet with more padding than it has bytes\n");
}

#[test]
fn what_is_said_before_encryption_is_read() {
    let mut goodbye = vec![1, 0, 0, 0, 3];
    goodbye.extend([string(b"no common algorithm"), string(b"")].concat());
    let short = packet(&[1, 0]);
    let text = [b"SSH-2.0-x\r\n".to_vec(), packet(&[2, 0, 0, 0, 0]), packet(&goodbye), short].concat();
    let entries = ClearText::new(Role::Client).feed(Direction::Received, &text);
    insta::assert_snapshot!(shown(&entries));
}

#[test]
fn groups_are_told_apart_from_replies() {
    let group = "diffie-hellman-group-exchange-sha256";
    let mut clear = ClearText::new(Role::Server);
    let version = b"SSH-2.0-x\n".to_vec();
    clear.feed(Direction::Received, &[version.clone(), kexinit(group, "aes256-ctr", "aes256-ctr")].concat());
    clear.feed(Direction::Sent, &[version, kexinit(group, "aes128-ctr", "aes256-ctr")].concat());
    let mut prime = vec![0];
    prime.extend([0xff; 256]);
    let mut offer = vec![31];
    offer.extend([string(&prime), string(&[2])].concat());
    let ask = [34, 0, 0, 8, 0, 0, 0, 12, 0, 0, 0, 32, 0];
    let mut entries = clear.feed(Direction::Received, &packet(&ask));
    entries.extend(clear.feed(Direction::Sent, &packet(&offer)));
    insta::assert_snapshot!(shown(&entries));
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Sent), Just(Direction::Received)]
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_are_read(pieces in prop::collection::vec((direction(), prop::collection::vec(any::<u8>(), 0..80)), 0..40)) {
        let mut clear = ClearText::new(Role::Server);
        clear.feed(Direction::Sent, b"SSH-2.0-a\r\n");
        clear.feed(Direction::Received, b"SSH-2.0-b\r\n");
        let mut conversation = Conversation::new();
        for (direction, bytes) in pieces {
            for entry in clear.feed(direction, &bytes) {
                prop_assert!(!conversation.clear(entry).is_empty());
            }
        }
    }

    #[test]
    fn any_payload_is_read(
        exchange in prop::sample::select(vec!["curve25519-sha256", "diffie-hellman-group-exchange-sha256", "gss-gex-x", "moon"]),
        payloads in prop::collection::vec((direction(), prop::collection::vec(any::<u8>(), 1..60)), 0..40),
    ) {
        let mut clear = ClearText::new(Role::Client);
        for direction in [Direction::Sent, Direction::Received] {
            clear.feed(direction, &[b"SSH-2.0-a\r\n".to_vec(), kexinit(exchange, "a", "b")].concat());
        }
        for (direction, payload) in payloads {
            let entries = clear.feed(direction, &packet(&payload));
            let garbage = entries.iter().any(|entry| matches!(entry, Entry::Garbage { .. }));
            prop_assert!(!garbage, "{}", shown(&entries));
        }
    }

    #[test]
    fn any_sequence_of_messages_has_names(numbers in prop::collection::vec((direction(), any::<u8>()), 0..200)) {
        let mut conversation = Conversation::new();
        for direction in [Direction::Sent, Direction::Received] {
            conversation.heard(Overheard::Message { direction, number: 21, length: None });
            let mut clear = ClearText::new(Role::Client);
            for entry in clear.feed(direction, &[b"SSH-2.0-x\n".to_vec(), packet(&[21])].concat()) {
                conversation.clear(entry);
            }
        }
        for (direction, number) in numbers {
            let entries = conversation.heard(Overheard::Message { direction, number, length: Some(1) });
            prop_assert!(matches!(entries.first(), Some(Entry::Message(m)) if m.number == number && !m.name.is_empty()));
        }
    }

    #[test]
    fn any_line_of_a_log_is_taken(target in "(russh::client|russh::server::encrypted|pipedown_ssh::trace)", text in "(name: |request: |handler\\.|[<>] msg type |remaining methods )?\\PC{0,60}") {
        let mut conversation = Conversation::new();
        for heard in Overheard::parse(&target, &text) {
            conversation.heard(heard);
        }
    }
}
