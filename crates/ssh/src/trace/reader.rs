//! The data types of the protocol (RFC 4251, section 5).

/// Reads from a payload; `None` when it ends too early.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn uint32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.uint32()?;
        self.take(usize::try_from(length).ok()?)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        self.string().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// An `mpint`'s size in bits.
    pub(super) fn mpint_bits(&mut self) -> Option<usize> {
        let bytes = self.string()?;
        let leading = bytes.iter().take_while(|byte| **byte == 0).count();
        let first = bytes.get(leading).map_or(0, |byte| byte.leading_zeros());
        Some((bytes.len() - leading) * 8 - usize::try_from(first).ok()?)
    }
}
