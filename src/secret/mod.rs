//! What a secret looks like: the names of credentials, their values, the formats of tokens, and the
//! places in plain text that hold one. Pure functions over text; the words are data
//! (`rules/credentials.yaml`), so that a product's new default needs no code.

mod arguments;
mod formats;
mod judge;
mod keys;
mod lines;
#[cfg(test)]
mod tests;
mod urls;

pub(crate) use formats::{Detector, Format};
pub(crate) use judge::{Argument, Judge, Verdict, looks_random, unquoted};
pub(crate) use keys::{decode_base64, json_web_tokens, private_keys};
pub(crate) use urls::{is_local_host, url_credentials};

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

/// A regular expression compiled at its first use.
struct Lazy(&'static str, OnceLock<Option<Regex>>);

impl Lazy {
    const fn new(pattern: &'static str) -> Self {
        Self(pattern, OnceLock::new())
    }

    fn get(&self) -> Option<&Regex> {
        self.1.get_or_init(|| compile(self.0)).as_ref()
    }

    fn is_match(&self, text: &str) -> bool {
        self.get().is_some_and(|r| r.is_match(text))
    }
}

/// Compiles without Unicode classes where the pattern allows it: they double the work on non-ASCII text.
fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).unicode(false).build().or_else(|_| Regex::new(pattern)).ok()
}

macro_rules! words {
    ($($(#[$doc:meta])* $field:ident = $key:literal,)*) => {
        /// The lists of `rules/credentials.yaml`, in lower case but for `emulator_keys` and `browser_prefixes`.
        #[derive(Debug, Default, Clone)]
        pub(crate) struct Words { $($(#[$doc])* $field: HashSet<String>,)* }

        impl Words {
            /// Takes the lists by their key; a missing or an unknown key is an error that names it.
            pub(crate) fn from_lists(lists: &BTreeMap<String, Vec<String>>) -> Result<Self, String> {
                const KEYS: &[&str] = &[$($key),*];
                if let Some(key) = lists.keys().find(|k| !KEYS.contains(&k.as_str())) {
                    return Err(format!("unknown list `{key}`"));
                }
                $(let $field = {
                    let list = lists.get($key).ok_or_else(|| format!("missing list `{}`", $key))?;
                    let exact = matches!($key, "emulator-keys" | "browser-prefixes");
                    list.iter()
                        .map(|w| if exact { w.clone() } else { w.to_ascii_lowercase() })
                        .collect::<HashSet<String>>()
                };)*
                Ok(Self { $($field,)* })
            }
        }
    };
}

words! {
    defaults = "defaults",
    password_defaults = "password-defaults",
    identifier_defaults = "identifier-defaults",
    default_prefixes = "default-prefixes",
    emulator_keys = "emulator-keys",
    placeholder_words = "placeholder-words",
    not_values = "not-values",
    reference_prefixes = "reference-prefixes",
    browser_prefixes = "browser-prefixes",
    password_names = "password-names",
    public_names = "public-names",
    setting_words = "setting-words",
    switch_first = "switch-first",
    switch_anywhere = "switch-anywhere",
    public_words = "public-words",
    trailing_words = "trailing-words",
    key_qualifiers = "key-qualifiers",
    plural_qualifiers = "plural-qualifiers",
    identifier_qualifiers = "identifier-qualifiers",
    secret_qualifiers = "secret-qualifiers",
    secret_reference_qualifiers = "secret-reference-qualifiers",
    signing_qualifiers = "signing-qualifiers",
    framework_words = "framework-words",
    token_exclusions = "token-exclusions",
    pass_exclusions = "pass-exclusions",
    run_together = "run-together",
    whole_words = "whole-words",
    weak_words = "weak-words",
    harmless_secret_keys = "harmless-secret-keys",
}

/// What a name says its value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A password, passphrase or passcode.
    Password,
    /// A bearer token.
    Token,
    /// An API key, an encryption key, a client secret.
    Key,
    /// A key that signs tokens, cookies or sessions.
    SigningKey,
    /// A connection string of `Name=value` pairs (URLs are judged by `url_credentials`).
    Connection,
    /// The public half of a pair, an access key id: only a published default counts.
    Identifier,
    /// A name that may as well hold the name of a Secret (`secret`, `fooSecret`, `credentials`).
    Loose,
}

/// How a value reaches the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// As it is: environment, dotenv, vars, arguments, the data of a Secret.
    Direct,
    /// A Helm value or a key of configuration text: it may be the name of a Secret or of its key.
    Values,
    /// Any other setting, annotation or field of a custom resource: it may be any identifier.
    Setting,
}

/// The style in which a name is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Upper,
    Snake,
    Other,
}

fn style(name: &str) -> Style {
    let lower = name.bytes().any(|b| b.is_ascii_lowercase());
    let upper = name.bytes().any(|b| b.is_ascii_uppercase());
    match (lower, upper) {
        (false, true) => Style::Upper,
        (true, false) if name.contains('_') => Style::Snake,
        _ => Style::Other,
    }
}

/// Splits a name into words, in lower case: at anything that is no letter or digit, and at the humps of camelCase.
fn split_words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let chars: Vec<char> = name.chars().collect();
    for (i, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        let before = i.checked_sub(1).and_then(|j| chars.get(j)).copied();
        let after = chars.get(i + 1).copied();
        let hump = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase()
                    || (b.is_ascii_digit() && after.is_some_and(char::is_lowercase))
                    || (b.is_uppercase()
                        && after.is_some_and(char::is_lowercase)
                        // The plural of an acronym: APIs, IDs.
                        && (after != Some('s') || chars.get(i + 2).is_some_and(|x| x.is_lowercase())))
            });
        if hump && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        word.extend(c.to_lowercase());
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn letters_and_digits(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
