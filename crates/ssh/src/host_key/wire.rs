//! Reading the protocol's data types (RFC 4251, section 5). Nothing here can go beyond the end.

/// Bytes that are read from the front; `None` everywhere means that too few are left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn uint32(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }

    pub(crate) fn uint64(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*first))
    }

    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let length = usize::try_from(ahead.uint32()?).ok()?;
        let (first, rest) = ahead.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    /// Strings up to the end.
    pub(crate) fn strings(mut self) -> Option<Vec<&'a [u8]>> {
        let mut all = Vec::new();
        while !self.is_empty() {
            all.push(self.string()?);
        }
        Some(all)
    }
}

/// Bytes as a string of the protocol.
pub(crate) fn put_string(into: &mut Vec<u8>, bytes: &[u8]) {
    // No key comes near 4 GiB; one that did would be cut, and be no key.
    into.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    into.extend(bytes);
}

/// How many bits a number has that is written in big-endian order.
pub(crate) fn bit_length(number: &[u8]) -> u32 {
    let digits = number.iter().position(|byte| *byte != 0).and_then(|first| number.get(first..));
    let Some((first, rest)) = digits.and_then(<[u8]>::split_first) else { return 0 };
    let rest = u32::try_from(rest.len()).unwrap_or(u32::MAX).saturating_mul(8);
    rest.saturating_add(8_u32.saturating_sub(first.leading_zeros()))
}
