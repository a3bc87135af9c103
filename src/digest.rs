//! Keyed digests of what findings point at, short enough to confirm nothing about a secret.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The first 32 bits of HMAC-SHA-256 of a text, blanks at line ends and indentation aside: two texts that differ have
/// the same digest once in four thousand million times, and so does every fourth thousand-millionth guess at a secret.
/// No text at all is 0.
pub(crate) fn digest(key: &[u8], text: &str) -> u32 {
    if text.trim().is_empty() {
        return 0;
    }
    // HMAC takes keys of any length; there is no error to report.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return 0 };
    for line in text.lines() {
        mac.update(line.trim().as_bytes());
        mac.update(b"\n");
    }
    mac.finalize().into_bytes().iter().take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// Random bytes from the system, or the reason why there are none.
pub(crate) fn salt<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system has no random bytes: {error}"))?;
    Ok(bytes)
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of hex digits, two for each.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit)).collect())
}

/// Which secret a suppression speaks of: four bytes of salt and the digest with them, sixteen hex digits in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    salt: [u8; 4],
    digest: u32,
}

impl Binding {
    pub(crate) fn new(salt: [u8; 4], secret: &str) -> Self {
        Self { salt, digest: digest(&salt, secret) }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 8] = from_hex(text)?.try_into().ok()?;
        let (salt, digest) = bytes.split_at(4);
        Some(Self { salt: salt.try_into().ok()?, digest: u32::from_be_bytes(digest.try_into().ok()?) })
    }

    pub(crate) fn binds(self, secret: &str) -> bool {
        digest(&self.salt, secret) == self.digest
    }
}

impl std::fmt::Display for Binding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}{:08x}", hex(&self.salt), self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_start_of_hmac_sha_256() {
        // The key and text of RFC 4231's second case, the text ended with a line break; Python's hmac gives this.
        assert_eq!(digest(b"Jefe", "what do ya want for nothing?"), 0x8cc1_a973);
        assert_eq!(digest(b"Jefe", "  what do ya want for nothing?\r\n"), 0x8cc1_a973);
        assert_ne!(digest(b"Jefe", "a"), digest(b"jefe", "a"));
        assert_ne!(digest(b"Jefe", "a\nb"), digest(b"Jefe", "ab"));
    }

    #[test]
    fn bindings_keep_their_text() {
        let binding = Binding::new([1, 2, 0xab, 255], "hunter2");
        let text = binding.to_string();
        assert!(text.starts_with("0102abff") && text.len() == 16);
        assert_eq!(Binding::parse(&text), Some(binding));
        assert!(binding.binds("hunter2") && !binding.binds("hunter3"));
        for wrong in ["", "12", "0102abff0102abf", "0102abff0102abfg", "0102abff0102abff00"] {
            assert_eq!(Binding::parse(wrong), None, "{wrong}");
        }
    }
}
