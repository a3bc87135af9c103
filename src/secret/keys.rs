//! Private keys, signed tokens, and the base64 they come in.

use std::collections::HashSet;
use std::ops::Range;

use super::Lazy;
use super::formats::{BLOCK, floor_boundary, is_documented_example};
use super::judge::is_base64;

pub(super) fn decode_bytes(value: &str, url: bool) -> Option<Vec<u8>> {
    let body = value.trim_end_matches('=');
    let padding = value.len() - body.len();
    if body.is_empty() || body.len() % 4 == 1 {
        return None;
    }
    let exact = (body.len() + padding).is_multiple_of(4) && padding <= 2;
    if !exact && (!url || padding != 0) {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for b in body.bytes() {
        let sextet = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' if !url => 62,
            b'/' if !url => 63,
            b'-' if url => 62,
            b'_' if url => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(sextet);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from((bits >> held) & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    // Left-over bits that are set mean that nothing encoded this.
    (bits == 0).then_some(out)
}

/// The text that a value holds in standard base64 (line breaks allowed); nothing where it is no readable text.
pub(crate) fn decode_base64(value: &str) -> Option<String> {
    let compact: String;
    let value = value.trim();
    let value = if value.contains(char::is_whitespace) {
        compact = value.split_whitespace().collect();
        compact.as_str()
    } else {
        value
    };
    let text = String::from_utf8(decode_bytes(value, false)?).ok()?;
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')).then_some(text)
}

/// Every private key in the text: PEM blocks with a body (line breaks or `\n` escapes), age keys, PKCS#12 blobs,
/// and PEM blocks inside one base64 encoding. The range is the whole block.
pub(crate) fn private_keys(text: &str) -> Vec<Range<usize>> {
    static BEGIN: Lazy = Lazy::new("-----BEGIN ");
    static AGE: Lazy = Lazy::new("AGE-SECRET-KEY-1");
    static ENCODED: Lazy = Lazy::new("LS0tLS1CRUdJTi");
    static PKCS12: Lazy = Lazy::new(r"MII[A-Za-z0-9+/]{2}[AQgw]IBAzCC[A-Za-z0-9+/\s]{300,}={0,2}");
    let mut found = Vec::new();
    let mut from = 0;
    if let Some(begin) = BEGIN.get() {
        while let Some(hit) = begin.find_at(text, from) {
            from = hit.end();
            if let Some(end) = pem_private_key(text, hit.start()) {
                found.push(hit.start()..end);
                from = end;
            }
        }
    }
    if let Some(age) = AGE.get() {
        for hit in age.find_iter(text) {
            let rest = text.get(hit.end()..).unwrap_or_default();
            let length = rest.bytes().take_while(|b| b.is_ascii_uppercase() || b.is_ascii_digit()).count();
            if length == 58 && !is_documented_example(rest.get(..length).unwrap_or_default()) {
                found.push(hit.start()..hit.end() + length);
            }
        }
    }
    if let Some(encoded) = ENCODED.get() {
        for hit in encoded.find_iter(text) {
            let rest = text.get(hit.start()..).unwrap_or_default();
            let length = rest.bytes().take_while(|b| is_base64(*b)).count();
            let block = rest.get(..length).unwrap_or_default();
            if length > 100 && decode_base64(block).is_some_and(|pem| pem_private_key(&pem, 0).is_some()) {
                found.push(hit.start()..hit.start() + length);
            }
        }
    }
    if text.contains("IBAzCC") {
        found.extend(
            PKCS12
                .get()
                .into_iter()
                .flat_map(|r| r.find_iter(text))
                .filter(|m| {
                    let head: String = m.as_str().bytes().filter(|b| !b.is_ascii_whitespace()).take(40).map(char::from).collect();
                    // The object identifier of PKCS#7 data follows.
                    decode_bytes(&head, false)
                        .is_some_and(|b| b.windows(9).any(|w| w == [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01]))
                })
                .map(|m| m.range()),
        );
    }
    found.sort_by_key(|r| r.start);
    found
}

/// The end of a PEM private key that begins here and has a body.
pub(super) fn pem_private_key(text: &str, start: usize) -> Option<usize> {
    static LABEL: Lazy = Lazy::new(r"^-----BEGIN ([A-Z0-9]{2,20} )*PRIVATE KEY( BLOCK)?-----");
    let rest = text.get(start..floor_boundary(text, text.len().min(start + BLOCK)))?;
    let header = LABEL.get()?.find(rest)?.end();
    let body = rest.get(header..)?;
    let stop = body.find("-----END").or_else(|| body.find("-----BEGIN"));
    let content = body.get(..stop.unwrap_or(body.len()))?;
    let (mut long, mut total, mut seen) = (0_usize, 0_usize, HashSet::new());
    for line in content.split('\n').flat_map(|l| l.split("\\n")) {
        let line = line
            .trim()
            .trim_start_matches(['#', '/', '*', '|', '>', '"', '\'', '+', '-', ' '])
            .trim_end_matches(['"', '\'', ',', '\\', ' ']);
        if line.is_empty() || line.contains(": ") {
            continue;
        }
        if !line.bytes().all(is_base64) {
            // Without an end line the body lasts as long as it is base64; elided text ends it too.
            if stop.is_none() {
                break;
            }
            continue;
        }
        seen.extend(line.bytes());
        total += line.len();
        long += usize::from(line.len() >= 40);
    }
    let real = (total >= 100 || (long >= 3 && total >= 80)) && seen.len() >= 16;
    let end = match stop {
        Some(i) => {
            let tail = body.get(i..)?;
            let close = tail.get(5..).and_then(|t| t.find("-----")).map_or(tail.len().min(8), |j| j + 10);
            header + i + if tail.starts_with("-----END") { close } else { 0 }
        }
        None => header + content.len(),
    };
    real.then_some(start + end)
}

/// A signed JSON Web Token in text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonWebToken {
    pub(crate) span: Range<usize>,
    /// A documented sample (jwt.io, the Supabase demo issuer) or expired before 2020.
    pub(crate) demo: bool,
    /// Meant to be public: an anon role.
    pub(crate) public: bool,
}

/// Every token of three base64url parts whose header decodes to JSON with `alg` (other than none).
pub(crate) fn json_web_tokens(text: &str) -> Vec<JsonWebToken> {
    static TOKEN: Lazy = Lazy::new(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}");
    static START: Lazy = Lazy::new("eyJ");
    static EXPIRY: Lazy = Lazy::new(r#""exp"\s*:\s*(\d{1,10})\b"#);
    static ANON: Lazy = Lazy::new(r#""role"\s*:\s*"(anon|public)""#);
    static NONE: Lazy = Lazy::new(r#"(?i)"alg"\s*:\s*"none""#);
    let Some(token) = TOKEN.get() else {
        return Vec::new();
    };
    if !START.is_match(text) {
        return Vec::new();
    }
    let decode = |part: &str| decode_bytes(part, true).and_then(|b| String::from_utf8(b).ok());
    token
        .find_iter(text)
        .filter_map(|hit| {
            let mut parts = hit.as_str().split('.');
            let header = decode(parts.next()?)?;
            if !header.contains("\"alg\"") || !header.trim_end().ends_with('}') || NONE.is_match(&header) {
                return None;
            }
            let payload = parts.next().and_then(decode).unwrap_or_default();
            let signature = parts.next().unwrap_or_default();
            let expired = EXPIRY
                .get()
                .and_then(|r| r.captures(&payload))
                .and_then(|c| c.get(1)?.as_str().parse::<u64>().ok())
                .is_some_and(|exp| exp < 1_577_836_800);
            let demo = expired
                || ["\"supabase-demo\"", "\"John Doe\"", "\"1234567890\"", "example.com"].iter().any(|w| payload.contains(w))
                || is_documented_example(signature);
            Some(JsonWebToken { span: hit.range(), demo, public: ANON.is_match(&payload) })
        })
        .collect()
}
