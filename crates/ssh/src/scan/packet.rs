//! Unencrypted binary packets (RFC 4253, section 6) and the values in them (RFC 4251, section 5).

/// Larger packets are nothing that a key exchange needs (RFC 4253, section 6.1).
const MAX_PACKET: usize = 35_000;
/// Unencrypted packets are padded to this.
const BLOCK: usize = 8;
/// The least padding.
const MIN_PADDING: usize = 4;

/// Why bytes are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Takes the first packet off `buffer` and gives its payload; `None` as long as it is not complete.
pub(super) fn take_packet(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Malformed> {
    let Some((length, rest)) = buffer.split_first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Malformed)?;
    if !(MIN_PADDING.saturating_add(2)..=MAX_PACKET).contains(&length) {
        return Err(Malformed);
    }
    let Some(packet) = rest.get(..length) else { return Ok(None) };
    let (padding, content) = packet.split_first().ok_or(Malformed)?;
    let end = content.len().checked_sub(usize::from(*padding)).ok_or(Malformed)?;
    let payload = content.get(..end).ok_or(Malformed)?.to_vec();
    buffer.drain(..length.saturating_add(4));
    Ok(Some(payload))
}

/// Appends a packet.
pub(super) fn put_packet(out: &mut Vec<u8>, payload: &[u8]) {
    let unpadded = payload.len().saturating_add(5);
    let mut padding = BLOCK.saturating_sub(unpadded % BLOCK);
    if padding < MIN_PADDING {
        padding = padding.saturating_add(BLOCK);
    }
    let length = payload.len().saturating_add(padding).saturating_add(1);
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    out.push(u8::try_from(padding).unwrap_or(u8::MAX));
    out.extend(payload);
    out.extend(std::iter::repeat_n(0, padding));
}

/// Appends a string.
pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}

/// Reads values one after the other.
pub(super) struct Values<'a>(pub(super) &'a [u8]);

impl<'a> Values<'a> {
    /// So many bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A string.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_be_bytes(*self.bytes(4)?.first_chunk::<4>()?);
        self.bytes(usize::try_from(length).ok()?)
    }
}
