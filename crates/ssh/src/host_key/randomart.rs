//! Fingerprints as pictures: the drunken bishop (`ssh-keygen -lv`).

use super::HostKey;
use super::fingerprint::FingerprintHash;

const WIDTH: usize = 17;
const HEIGHT: usize = 9;
/// What a field looks like after so many visits; the last two are the start and the end.
const LOOKS: &[u8] = b" .o+=*BOX@%&#/^SE";
const MOST: u8 = 14;
const START: u8 = 15;
const END: u8 = 16;
/// A title that fills the whole edge is too long for OpenSSH.
const LONGEST: usize = WIDTH - 1;

impl HostKey {
    /// The picture of a fingerprint, eleven lines without a newline at the end.
    pub fn randomart(&self, hash: FingerprintHash) -> String {
        let field = walk(&self.digest(hash));
        let with_bits = format!("[{} {}]", self.kind(), self.bits());
        let title = if with_bits.len() > LONGEST { format!("[{}]", self.kind()) } else { with_bits };
        let mut lines = vec![edge(&title)];
        for row in field {
            let row: String = row
                .iter()
                .map(|visits| LOOKS.get(usize::from(*visits)).map_or(' ', |byte| char::from(*byte)))
                .collect();
            lines.push(format!("|{row}|"));
        }
        lines.push(edge(&format!("[{}]", hash.name())));
        lines.join("\n")
    }
}

fn edge(title: &str) -> String {
    let title: String = title.chars().take(LONGEST).collect();
    let left = WIDTH.saturating_sub(title.len()) / 2;
    let right = WIDTH.saturating_sub(title.len()).saturating_sub(left);
    format!("+{}{title}{}+", "-".repeat(left), "-".repeat(right))
}

/// Each byte is four moves of two bits, the low ones first: one bit for left or right, one for up or down.
fn walk(digest: &[u8]) -> [[u8; WIDTH]; HEIGHT] {
    let mut field = [[0_u8; WIDTH]; HEIGHT];
    let (mut x, mut y) = (WIDTH / 2, HEIGHT / 2);
    let mark = |field: &mut [[u8; WIDTH]; HEIGHT], x: usize, y: usize, value: fn(u8) -> u8| {
        if let Some(at) = field.get_mut(y).and_then(|row| row.get_mut(x)) {
            *at = value(*at);
        }
    };
    for byte in digest {
        for shift in [0, 2, 4, 6] {
            let way = byte >> shift;
            x = if way & 1 == 0 { x.saturating_sub(1) } else { (x + 1).min(WIDTH - 1) };
            y = if way & 2 == 0 { y.saturating_sub(1) } else { (y + 1).min(HEIGHT - 1) };
            mark(&mut field, x, y, |visits| visits.saturating_add(1).min(MOST));
        }
    }
    mark(&mut field, WIDTH / 2, HEIGHT / 2, |_| START);
    mark(&mut field, x, y, |_| END);
    field
}
