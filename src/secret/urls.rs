//! Passwords in the user part of URLs.

use std::ops::Range;

use super::judge::{Judge, Verdict, is_credential_word};
use super::{Kind, Lazy, Place, split_words};

/// A `scheme://user:password@host` in text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UrlCredential {
    pub(crate) url: Range<usize>,
    pub(crate) user: Range<usize>,
    pub(crate) password: Range<usize>,
    pub(crate) host: Range<usize>,
}

/// Every literal password in the user part of a URL. References and elided passwords are dropped; what is a
/// published default or a placeholder word is for `Judge::judge_url` to say.
pub(crate) fn url_credentials(text: &str) -> Vec<UrlCredential> {
    static SEPARATOR: Lazy = Lazy::new("://");
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let Some(separator) = SEPARATOR.get() else {
        return found;
    };
    for hit in separator.find_iter(text) {
        let before = bytes.get(..hit.start()).unwrap_or_default();
        let scheme = before.iter().rev().take(40).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'-')).count();
        // A scheme begins with a letter: in `${URL:-redis://…}` the dash is no part of it.
        let scheme =
            before.get(hit.start() - scheme..).and_then(|s| s.iter().position(u8::is_ascii_alphabetic)).map_or(0, |skip| scheme - skip);
        if scheme < 2 {
            continue;
        }
        let start = hit.start() - scheme;
        let rest = bytes.get(hit.end()..).unwrap_or_default();
        // The user part ends at the last `@` before the path; quotes and blanks end the URL.
        let authority = rest
            .iter()
            .take(512)
            .take_while(|b| !matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'`' | b'\\' | b',' | b'|') && !b.is_ascii_whitespace())
            .count();
        let Some(area) = rest.get(..authority) else {
            continue;
        };
        let Some(at) = area.iter().rposition(|b| *b == b'@') else {
            continue;
        };
        let Some(colon) = area.get(..at).and_then(|a| a.iter().position(|b| *b == b':')) else {
            continue;
        };
        let host_length = area.get(at + 1..).map_or(0, |h| {
            h.iter()
                .take_while(|b| {
                    b.is_ascii_alphanumeric()
                        || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b'$' | b'{' | b'}' | b'(' | b')' | b'<' | b'>')
                })
                .count()
        });
        let base = hit.end();
        let credential = UrlCredential {
            url: start..base + authority,
            user: base..base + colon,
            password: base + colon + 1..base + at,
            host: base + at + 1..base + at + 1 + host_length,
        };
        let (Some(password), Some(host)) = (text.get(credential.password.clone()), text.get(credential.host.clone())) else {
            continue;
        };
        if !is_url_reference(password) && !host.is_empty() && !host.starts_with("sha256") {
            found.push(credential);
        }
    }
    found
}

pub(super) fn is_url_reference(password: &str) -> bool {
    password.is_empty()
        || password.contains(['$', '{', '}', '<', '>', '(', '[', '*'])
        || password.starts_with('%') && (password.ends_with('%') || password.len() <= 2)
        || password.contains("...")
        || password.contains("xxx")
        || password.contains("XXX")
        || password.contains('…')
}

impl Judge {
    /// What the password of a URL is: `user:password@` is a published default, `USER:PASSWORD@` a placeholder.
    pub(crate) fn judge_url(&self, user: &str, password: &str) -> Option<Verdict> {
        let upper = password.bytes().any(|b| b.is_ascii_uppercase())
            && password.bytes().all(|b| b.is_ascii_uppercase() || matches!(b, b'_' | b'-'));
        if upper && split_words(password).iter().any(|w| is_credential_word(w) || w == "pwd" || w == "pw") {
            return Some(Verdict::Placeholder);
        }
        let lower = password.to_ascii_lowercase();
        if matches!(lower.as_str(), "pw" | "pwd" | "passwd" | "pass" | "password") || lower == user.to_ascii_lowercase() {
            return Some(Verdict::Default);
        }
        self.judge(Kind::Password, password, Place::Direct)
            .or_else(|| password.bytes().all(|b| b.is_ascii_digit()).then_some(Verdict::Literal))
    }
}

/// Whether a URL's host is this machine.
pub(crate) fn is_local_host(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]" | "0.0.0.0" | "host.docker.internal") || host.ends_with(".localhost")
}
