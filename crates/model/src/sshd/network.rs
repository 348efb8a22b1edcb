//! Addresses and networks as sshd_config(5) writes them.

use std::net::IpAddr;

/// A network in CIDR notation, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SshdNetwork {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SshdNetworkError {
    /// It is no address at all; sshd takes it as a pattern for names.
    #[error("no address")]
    NoAddress,
    /// The mask is too long, or bits are set behind it; sshd refuses it.
    #[error("a mask that does not fit its address")]
    Mask,
}

impl SshdNetwork {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, `192.0.2.7`.
    ///
    /// # Errors
    /// See [`SshdNetworkError`].
    pub fn parse(text: &str) -> Result<Self, SshdNetworkError> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, bits)| (a, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| SshdNetworkError::NoAddress)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => longest,
            Some(bits) => bits.parse().map_err(|_| SshdNetworkError::Mask)?,
        };
        let network = Self { address, bits };
        if bits > longest || network.masked(address) != network.masked_bits(address, longest) {
            return Err(SshdNetworkError::Mask);
        }
        Ok(network)
    }

    /// Whether an address lies in it; an IPv4 address inside IPv6 (`::ffff:192.0.2.1`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == self.masked(self.address)
    }

    fn masked(&self, address: IpAddr) -> u128 {
        self.masked_bits(address, self.bits)
    }

    fn masked_bits(&self, address: IpAddr, bits: u8) -> u128 {
        let (number, longest) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32_u8),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let cut = u32::from(longest).saturating_sub(u32::from(bits));
        number.checked_shr(cut).and_then(|n| n.checked_shl(cut)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_as_sshd_reads_them() {
        use SshdNetworkError::{Mask, NoAddress};
        let ok = |text: &str| SshdNetwork::parse(text).unwrap();
        assert!(ok("192.0.2.0/24").contains("192.0.2.9".parse().unwrap()));
        assert!(ok("192.0.2.0/24").contains("::ffff:192.0.2.9".parse().unwrap()));
        assert!(!ok("192.0.2.0/24").contains("192.0.3.9".parse().unwrap()));
        assert!(ok("0.0.0.0/0").contains("192.0.3.9".parse().unwrap()));
        assert!(!ok("0.0.0.0/0").contains("2001:db8::1".parse().unwrap()));
        assert!(ok("::/0").contains("2001:db8::1".parse().unwrap()));
        assert!(ok("2001:db8::/32").contains("2001:db8::1".parse().unwrap()));
        assert!(ok("192.0.2.7").contains("192.0.2.7".parse().unwrap()));
        for (text, error) in [
            ("192.0.2.0/33", Mask),
            ("192.0.2.0/8", Mask),
            ("192.0.2.0/x", Mask),
            ("fe80::1/10", Mask),
            ("host", NoAddress),
            ("192.0.2.*", NoAddress),
            ("", NoAddress),
        ] {
            assert_eq!(SshdNetwork::parse(text), Err(error), "{text}");
        }
    }
}
