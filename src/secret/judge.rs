//! What names and values say: credentials by whole words, literals by what they look like.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::ops::Range;

use super::formats::is_documented_example;
use super::keys::{json_web_tokens, private_keys};
use super::{Kind, Lazy, Place, Style, Words, letters_and_digits, split_words, style};

/// What a literal value of a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    /// A token whose format is known.
    Token,
    /// A value that a product or tutorial publishes.
    Default,
    /// Text that tells the reader to put a value there.
    Placeholder,
    /// A signing key that can be guessed.
    WeakKey,
    /// Any other literal.
    Literal,
}

/// A credential passed in the arguments of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Argument {
    /// Which word of the command holds it.
    pub(crate) word: usize,
    /// Where in that word (or in the text, for `in_command`) the value stands.
    pub(crate) span: Range<usize>,
    /// A `user:password` pair of curl or a Basic header, which credential-in-url reports.
    pub(crate) basic: bool,
    pub(crate) verdict: Verdict,
}

/// Judges names and values by the words it was given.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(super) words: Words,
    /// The words of `run-together` joined, longest first, with their parts.
    pub(super) joined: Vec<(String, Vec<String>)>,
    /// The least number of bytes of a signing key.
    pub(super) min_bytes: usize,
}

impl Judge {
    pub(crate) fn new(words: Words, min_bytes: usize) -> Self {
        let mut joined: Vec<(String, Vec<String>)> = words
            .run_together
            .iter()
            .map(|w| {
                let parts: Vec<String> = w.split(' ').map(str::to_owned).collect();
                (parts.concat(), parts)
            })
            .collect();
        joined.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.0.cmp(&b.0)));
        Self { words, joined, min_bytes }
    }

    /// The words of a name, those that are written together taken apart.
    pub(super) fn name_words(&self, name: &str) -> Vec<String> {
        let mut out = Vec::new();
        for word in split_words(name) {
            if word.len() < 6 || self.words.whole_words.contains(&word) {
                out.push(word);
                continue;
            }
            let found = self.joined.iter().find_map(|(joined, parts)| Some((word.strip_suffix(joined.as_str())?, parts)));
            match found {
                Some((rest, parts)) => {
                    if !rest.is_empty() {
                        out.push(rest.to_owned());
                    }
                    out.extend(parts.iter().cloned());
                }
                None => out.push(word),
            }
        }
        out
    }

    /// The name without a prefix that bundlers copy into browser code, where it has one.
    pub(crate) fn browser_name<'a>(&self, name: &'a str) -> Option<&'a str> {
        self.words
            .browser_prefixes
            .iter()
            .filter_map(|p| name.strip_prefix(p.as_str()))
            .filter(|rest| !rest.is_empty())
            .min_by_key(|rest| rest.len())
    }

    /// Whether NAME is named like a credential, by whole words.
    pub(crate) fn credential_name(&self, name: &str) -> Option<Kind> {
        if name.is_empty() || name.len() > 200 || name.contains(char::is_whitespace) {
            return None;
        }
        let name = match self.browser_name(name) {
            Some(rest) if rest.contains('_') || !name.starts_with("PUBLIC_") => rest,
            _ => name,
        };
        let flat = letters_and_digits(name);
        if self.words.public_names.contains(&flat) {
            return None;
        }
        if self.words.password_names.iter().any(|p| flat == *p || (p.len() >= 9 && flat.ends_with(p.as_str()))) {
            return Some(Kind::Password);
        }
        let mut words = self.name_words(name);
        let whole = words.len();
        // API_KEY_FOR_PLUGIN is an API key.
        if let Some(at) = words.iter().position(|w| w == "for").filter(|at| *at > 0) {
            words.truncate(at);
        }
        while words.len() > 1 && words.last().is_some_and(|w| self.says_nothing(w)) {
            words.pop();
        }
        let last = words.last()?.as_str();
        if words.ends_with(&["access".to_owned(), "key".to_owned(), "id".to_owned()]) {
            return Some(Kind::Identifier);
        }
        if self.words.setting_words.contains(last)
            || words.first().is_some_and(|w| whole > 1 && self.words.switch_first.contains(w))
            || words.iter().any(|w| self.words.switch_anywhere.contains(w))
        {
            return None;
        }
        let before = |n: usize| words.len().checked_sub(n + 1).and_then(|i| words.get(i)).map(String::as_str);
        let has = |list: &HashSet<String>, word: Option<&str>| word.is_some_and(|w| list.contains(w));
        let w = &self.words;
        let style = style(name);
        match last {
            "password" | "passwd" | "pwd" | "passphrase" | "passcode" | "passwords" => Some(Kind::Password),
            "pass" => (!has(&w.pass_exclusions, before(1))).then_some(Kind::Password),
            "pat" if style == Style::Upper => Some(Kind::Token),
            "token" => {
                let access = if before(1) == Some("access") { before(2) } else { before(1) };
                (!has(&w.token_exclusions, before(1)) && !has(&w.public_words, access)).then_some(Kind::Token)
            }
            "tokens" => has(&w.plural_qualifiers, before(1)).then_some(Kind::Token),
            "keys" => has(&w.plural_qualifiers, before(1)).then_some(Kind::Key),
            "base" if before(1) == Some("key") && before(2) == Some("secret") => Some(Kind::SigningKey),
            "string" if matches!(before(1), Some("connection" | "conn")) => Some(Kind::Connection),
            "credential" | "credentials" | "creds" | "authorization" => Some(Kind::Loose),
            "mnemonic" => Some(Kind::Key),
            "secret" => self.secret_name(style, before(1)),
            "key" => self.key_name(style, before(1), before(2)),
            _ => None,
        }
    }

    pub(super) fn says_nothing(&self, word: &str) -> bool {
        self.words.trailing_words.contains(word)
            || word.bytes().all(|b| b.is_ascii_digit())
            || (word.len() > 1 && word.strip_prefix('v').is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit())))
    }

    pub(super) fn secret_name(&self, style: Style, before: Option<&str>) -> Option<Kind> {
        let Some(word) = before else {
            return Some(if style == Style::Upper { Kind::Key } else { Kind::Loose });
        };
        if self.words.secret_reference_qualifiers.contains(word) {
            return None;
        }
        let signing = self.words.signing_qualifiers.contains(word);
        if style == Style::Other {
            return Some(match (self.words.secret_qualifiers.contains(word), signing) {
                (true, true) => Kind::SigningKey,
                (true, false) => Kind::Key,
                (false, _) => Kind::Loose,
            });
        }
        Some(if signing { Kind::SigningKey } else { Kind::Key })
    }

    pub(super) fn key_name(&self, style: Style, before: Option<&str>, second: Option<&str>) -> Option<Kind> {
        let word = before?;
        let w = &self.words;
        if w.public_words.contains(word) || second.is_some_and(|s| w.public_words.contains(s) && word != "secret") {
            return None;
        }
        match word {
            "access" => Some(match second {
                Some("secret" | "private") => Kind::Key,
                None => Kind::Identifier,
                Some(s) if w.identifier_qualifiers.contains(s) => Kind::Identifier,
                Some(_) => Kind::Key,
            }),
            "secret" => match second {
                None if style == Style::Upper => Some(Kind::SigningKey),
                // `secretKey` names a key of a Secret as often as it holds one.
                None if style == Style::Other => Some(Kind::Loose),
                Some(
                    "password" | "passwd" | "user" | "username" | "secret" | "token" | "keystore" | "truststore" | "key" | "id" | "client",
                ) if style == Style::Other => None,
                Some(s) if w.framework_words.contains(s) => Some(Kind::SigningKey),
                _ => Some(Kind::Key),
            },
            "session" | "cookie" if style == Style::Other => Some(Kind::Loose),
            "signing" | "jwt" | "session" | "cookie" => Some(Kind::SigningKey),
            // tokenKey, clientSecretKey: the name of a key inside a Secret.
            "token" if style == Style::Other => None,
            _ => w.key_qualifiers.contains(word).then_some(Kind::Key),
        }
    }

    /// What a literal value of a credential-named key is; nothing where it is no secret.
    pub(crate) fn judge(&self, kind: Kind, value: &str, place: Place) -> Option<Verdict> {
        let value = unquoted(value.trim());
        if let Some(default) = substitution_default(value) {
            return self.judge(kind, value.get(default)?, place);
        }
        let value = strip_scheme(value);
        if value.is_empty() {
            return None;
        }
        if self.words.emulator_keys.contains(value) {
            return Some(Verdict::Default);
        }
        let lower = value.to_ascii_lowercase();
        if kind == Kind::Identifier {
            return self.words.identifier_defaults.contains(&lower).then_some(Verdict::Default);
        }
        if kind == Kind::Connection {
            let span = connection_password(value)?;
            return self.judge(Kind::Password, value.get(span)?, Place::Direct);
        }
        if value.contains("-----BEGIN") {
            return (!private_keys(value).is_empty()).then_some(Verdict::Token);
        }
        if self.is_reference(value, &lower) || self.words.not_values.contains(&lower) {
            return None;
        }
        if let Some(token) = json_web_tokens(value).first().filter(|t| t.span.len() == value.len()) {
            return match (token.demo, token.public) {
                (_, true) => None,
                (true, false) => Some(Verdict::Default),
                (false, false) => Some(Verdict::Token),
            };
        }
        self.literal(kind, value, &lower, place)
    }

    pub(super) fn literal(&self, kind: Kind, value: &str, lower: &str, place: Place) -> Option<Verdict> {
        if kind == Kind::Password && self.words.password_defaults.contains(lower) {
            return Some(Verdict::Default);
        }
        // `secret_key`, `token`: a value that says only what it is.
        let words = split_words(lower);
        let says_kind = kind != Kind::Password && !words.is_empty() && words.iter().all(|w| is_credential_word(w));
        let name_of_key = place != Place::Direct && says_kind;
        if self.is_default(lower) {
            return (!name_of_key).then_some(Verdict::Default);
        }
        if says_kind && place == Place::Direct {
            return Some(Verdict::Placeholder);
        }
        if value.bytes().all(|b| b.is_ascii_digit()) {
            return (kind == Kind::Password && value.len() >= 4).then_some(Verdict::Literal);
        }
        if is_number_like(value) || is_path(value) || has_scheme(value) || is_environment_name(value) {
            return None;
        }
        if value.starts_with(['{', '[', '(', '>']) || is_call(value) {
            return None;
        }
        let example = matches!(kind, Kind::Token | Kind::Key | Kind::Loose) && value.len() >= 16 && is_documented_example(value);
        if example || self.is_placeholder(value) {
            return Some(Verdict::Placeholder);
        }
        let spaces = value.bytes().filter(|b| *b == b' ').count();
        let prose = if place == Place::Direct { 5 } else { 2 };
        if spaces >= prose && kind != Kind::SigningKey {
            return None;
        }
        match place {
            Place::Direct => {}
            Place::Values => {
                let named = is_upper_name(value) || (kind != Kind::Password && is_hump_name(value));
                let loose = kind == Kind::Loose && (named || is_identifier(value));
                if name_of_key || reads_as_name(value) || loose || (named && kind != Kind::Password) {
                    return None;
                }
            }
            Place::Setting => {
                if reads_as_name(value) || (kind != Kind::Password && (is_identifier(value) || is_hump_name(value))) {
                    return None;
                }
            }
        }
        if kind == Kind::SigningKey && self.is_weak(value) {
            return Some(Verdict::WeakKey);
        }
        Some(Verdict::Literal)
    }

    /// What the value of one key of a Secret is, base64 decoded already: the place says credential, unless
    /// the name says otherwise.
    pub(crate) fn judge_secret_data(&self, name: &str, value: &str) -> Option<Verdict> {
        if let Some(kind) = self.credential_name(name) {
            let kind = if kind == Kind::Loose { Kind::Key } else { kind };
            return self.judge(kind, value, Place::Direct);
        }
        let trimmed = value.trim();
        let mut words = self.name_words(name);
        while words.len() > 1 && words.last().is_some_and(|w| self.says_nothing(w)) {
            words.pop();
        }
        if words.last().is_none_or(|w| self.words.harmless_secret_keys.contains(w) || self.words.public_words.contains(w))
            || words.iter().rev().nth(1).is_some_and(|w| w == "public" || w == "pub")
            || trimmed.is_empty()
            || trimmed.contains("-----BEGIN CERTIFICATE")
        {
            return None;
        }
        match self.judge(Kind::Key, trimmed, Place::Direct) {
            Some(Verdict::Token) => Some(Verdict::Token),
            _ if words.iter().any(|w| w == "dockerconfigjson" || w == "dockercfg") => {
                (trimmed.contains("\"auth\"") || trimmed.contains("\"password\"")).then_some(Verdict::Literal)
            }
            // Configuration files are not known by their name: they count where they hold a credential.
            _ if trimmed.contains('\n') || trimmed.starts_with(['{', '[']) => self.holds_credential(trimmed).then_some(Verdict::Literal),
            verdict => verdict,
        }
    }

    /// Whether a configuration text gives a credential a literal that is no placeholder.
    pub(super) fn holds_credential(&self, text: &str) -> bool {
        self.redact_lines(text)
            .into_iter()
            .filter_map(|span| text.get(span))
            .any(|value| self.judge(Kind::Password, value, Place::Direct).is_some_and(|verdict| verdict != Verdict::Placeholder))
    }

    pub(super) fn is_default(&self, lower: &str) -> bool {
        if self.words.defaults.contains(lower) {
            return true;
        }
        let flat = letters_and_digits(lower);
        self.words.default_prefixes.iter().any(|p| flat.starts_with(p.as_str()))
    }

    /// A value that says where the secret is: an expansion, a template, a reference to a store, a hash or a public key.
    pub(crate) fn is_reference(&self, value: &str, lower: &str) -> bool {
        static EXPANSION: Lazy = Lazy::new(
            r"\$\{|\$\(|\{\{|\{%|<%|\}\}|#\{|^\$\$?[A-Za-z_][A-Za-z0-9_]*$|^\$\$?[A-Z_][A-Z0-9_]+|%\([A-Za-z_.]+\)|^%[A-Za-z_][A-Za-z0-9_]*%$|^@[A-Za-z_.]+@$|^__[A-Z0-9_]+__$",
        );
        let first_words = lower.get(..lower.len().min(80)).unwrap_or(lower);
        if self.words.reference_prefixes.iter().any(|p| first_words.starts_with(p.as_str())) {
            return true;
        }
        EXPANSION.is_match(value) || is_sealed(value) || is_certificate(value)
    }

    pub(super) fn is_placeholder(&self, value: &str) -> bool {
        if (value.contains('<') && value.contains('>'))
            || value.contains("...")
            || value.contains('…')
            || (value.contains(" (") && value.ends_with(')'))
        {
            return true;
        }
        let mut meaningful = value.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
        match meaningful.next() {
            None => return true,
            Some(first) if matches!(first, b'x' | b'0') && value.len() >= 3 && meaningful.clone().all(|b| b == first) => {
                return true;
            }
            Some(_) => {}
        }
        if value.bytes().any(|b| b == b'*') && value.bytes().filter(|b| *b != b'*').count() <= 4 {
            return true;
        }
        let lower = value.to_ascii_lowercase();
        if lower.contains("xxxx") {
            return true;
        }
        // A random token may hold such a word between its separators; a person's text is short and readable.
        let words = split_words(value);
        let readable = words.iter().all(|w| w.len() <= 24) && entropy(value) < 4.6;
        readable && words.iter().any(|w| self.words.placeholder_words.contains(w))
    }

    pub(super) fn is_weak(&self, value: &str) -> bool {
        if value.len() < self.min_bytes {
            return true;
        }
        let distinct: HashSet<u8> = value.bytes().collect();
        distinct.len() < 10 || entropy(value) < 3.0 || self.is_dictionary_like(value)
    }

    /// Readable words, written together or apart.
    pub(super) fn is_dictionary_like(&self, value: &str) -> bool {
        let lower = value.to_ascii_lowercase();
        if self.words.weak_words.iter().any(|w| lower.contains(w.as_str())) {
            return true;
        }
        let words: Vec<&str> = value.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
        let readable = |w: &&str| {
            let vowels = w.bytes().filter(|b| b"aeiouyAEIOUY".contains(b)).count();
            w.len() <= 4 && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                || w.bytes().all(|b| b.is_ascii_lowercase()) && w.len() <= 16 && vowels * 5 >= w.len() && vowels * 10 <= w.len() * 7
        };
        words.len() >= 4 && words.iter().all(readable)
    }
}

/// Values with a header's scheme in front.
pub(super) fn strip_scheme(value: &str) -> &str {
    let lower = value.get(..7.min(value.len())).unwrap_or_default().to_ascii_lowercase();
    let cut = if lower.starts_with("bearer ") {
        7
    } else if lower.starts_with("basic ") || lower.starts_with("token ") {
        6
    } else {
        return value;
    };
    value.get(cut..).unwrap_or(value).trim_start()
}

/// A value without the quotes around it.
pub(crate) fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

/// The literal default of a value that is one substitution as a whole: `${NAME:-default}` or `${NAME-default}`.
pub(crate) fn substitution_default(value: &str) -> Option<Range<usize>> {
    let inner = value.strip_prefix("${")?.strip_suffix('}')?;
    let name = inner.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let rest = inner.get(name..)?;
    let operator = if rest.starts_with(":-") {
        2
    } else if rest.starts_with('-') {
        1
    } else {
        return None;
    };
    if name == 0 {
        return None;
    }
    let start = 2 + name + operator;
    let default = value.get(start..value.len() - 1)?;
    (!default.contains("${")).then_some(start..value.len() - 1)
}

pub(super) fn is_credential_word(word: &str) -> bool {
    matches!(
        word,
        "secret"
            | "secrets"
            | "password"
            | "passwords"
            | "passwd"
            | "pass"
            | "token"
            | "tokens"
            | "key"
            | "keys"
            | "credential"
            | "credentials"
            | "creds"
            | "apikey"
            | "passphrase"
            | "auth"
            | "cert"
            | "certs"
            | "tls"
            | "access"
            | "api"
            | "client"
    )
}

/// A word that stands in names people give: letters, or a short name with a digit (`s3`, `n8n`, `oauth2`).
pub(super) fn is_name_word(word: &str) -> bool {
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let upper = word.bytes().filter(u8::is_ascii_uppercase).count();
    let capital = word.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
    let evenly = upper == 0 || upper == letters || (upper == 1 && capital);
    evenly && word.len() <= 24 && (letters == word.len() || (word.len() <= 6 && letters >= 1) || (letters == 0 && word.len() <= 2))
}

/// A kebab, snake or dotted name made of words.
pub(super) fn is_identifier(value: &str) -> bool {
    value.len() <= 63
        && value.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && value.split(['-', '_', '.']).filter(|w| !w.is_empty()).all(is_name_word)
}

/// A name such as `db-credentials` or `admin-password`: it names a Secret or one of its keys.
pub(crate) fn reads_as_name(value: &str) -> bool {
    let parts: Vec<&str> = value.split(['-', '_', '.']).filter(|w| !w.is_empty()).collect();
    parts.len() >= 2 && is_identifier(value) && parts.iter().any(|w| is_credential_word(&w.to_ascii_lowercase()))
}

/// `DB_USERNAME`: the name of a variable, or of a key that is named like one.
pub(super) fn is_upper_name(value: &str) -> bool {
    value.contains('_') && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') && is_identifier(value)
}

/// `vllmApiKey`: words in camelCase, one of them a credential's.
pub(super) fn is_hump_name(value: &str) -> bool {
    let words = split_words(value);
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    words.len() >= 2
        && letters >= words.len() * 3
        && value.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_' | b'.'))
        && words.iter().any(|w| is_credential_word(w) && w.len() > 3 || w == "key" || w == "api")
}

/// `GITHUB_TOKEN`: the name of a variable.
pub(super) fn is_environment_name(value: &str) -> bool {
    let parts: Vec<&str> = value.split('_').filter(|w| !w.is_empty()).collect();
    parts.len() >= 2
        && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && parts.iter().all(|w| is_name_word(w))
        && parts.iter().any(|w| is_credential_word(&w.to_ascii_lowercase()))
}

pub(super) fn is_number_like(value: &str) -> bool {
    static NUMBER: Lazy =
        Lazy::new(r"^[+-]?\d+(\.\d+)?(e\d+)?(ms|s|m|h|d|w|y|%|k|K|M|G|Ki|Mi|Gi|KB|MB|GB|B)?$|^\d{4}-\d\d-\d\d|^v?\d+\.\d+(\.\d+)?$");
    NUMBER.is_match(value)
}

pub(super) fn is_path(value: &str) -> bool {
    static FILE: Lazy = Lazy::new(
        r"^[\w.@/~-]*[\w-]\.(pem|key|crt|cer|json|ya?ml|txt|p12|pfx|jks|keystore|truststore|env|conf|cfg|ini|toml|properties|pub|gpg|asc|kdbx|sock|log|sh)$",
    );
    static SEGMENTS: Lazy = Lazy::new(r"^(~|\.{1,2})?(/[\w.@:%-]*)+$|^[A-Za-z]:\\");
    if FILE.is_match(value) || value.starts_with("./") || value.starts_with("../") || value.starts_with("~/") {
        return true;
    }
    // Base64 may begin with a slash: a path's segments are words.
    SEGMENTS.is_match(value) && value.split('/').all(|s| s.len() < 20 || is_identifier(s) || is_uuid(s))
}

pub(super) fn has_scheme(value: &str) -> bool {
    static SCHEME: Lazy = Lazy::new(r"^[A-Za-z][A-Za-z0-9+.-]*://|^(https?|tcp|jdbc|mailto|data|urn):[A-Za-z/]");
    SCHEME.is_match(value)
}

/// Code: `get_secret("x")`, `ref(x).y`.
pub(super) fn is_call(value: &str) -> bool {
    static CALL: Lazy = Lazy::new(r"^[A-Za-z_][\w.:]*\(.*\)");
    CALL.is_match(value)
}

pub(super) fn is_uuid(value: &str) -> bool {
    static UUID: Lazy = Lazy::new(r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$");
    value.len() == 36 && UUID.is_match(value)
}

/// Text that kubeseal wrote.
pub(super) fn is_sealed(value: &str) -> bool {
    value.len() >= 200 && value.starts_with("Ag") && value.bytes().all(is_base64)
}

/// A certificate or a public key, also in base64.
pub(super) fn is_certificate(value: &str) -> bool {
    ["LS0tLS1CRUdJTiBDRVJUSUZJ", "LS0tLS1CRUdJTiBQVUJMSUMg", "LS0tLS1CRUdJTiBUUlVTVEVE"].iter().any(|p| value.starts_with(p))
        || (value.len() > 300
            && (value.starts_with("MIID") || value.starts_with("MIIF") || value.starts_with("MIIE"))
            && !value.contains('.'))
}

pub(super) fn is_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')
}

/// The password of a connection string of `Name=value;` pairs.
pub(super) fn connection_password(value: &str) -> Option<Range<usize>> {
    static PAIR: Lazy = Lazy::new(r"(?i)\b(?:password|pwd|accountkey|sharedaccesskey|sharedsecret|accesskey)\s*=\s*([^;\s&]+)");
    PAIR.get()?.captures(value)?.get(1).map(|m| m.range())
}

/// Shannon entropy in bits per character.
pub(crate) fn entropy(value: &str) -> f64 {
    let mut counts: BTreeMap<char, u32> = BTreeMap::new();
    let mut total = 0_u32;
    for c in value.chars() {
        *counts.entry(c).or_default() += 1;
        total += 1;
    }
    let total = f64::from(total);
    counts
        .values()
        .map(|n| {
            let p = f64::from(*n) / total;
            -p * p.log2()
        })
        .sum()
}

/// Whether a value looks drawn at random: long, mixed and of high entropy, and none of the things that look so
/// without being a secret (digests, UUIDs, certificates, references, paths, names).
pub(crate) fn looks_random(value: &str, min_entropy: f64, min_length: usize) -> bool {
    static DIGEST: Lazy = Lazy::new(r"(?i)\b(sha(1|224|256|384|512)|md5)[:=-]|@sha256:|^[0-9a-f]{32}$|^[0-9a-f]{40}$");
    let value = unquoted(value.trim());
    if value.len() < min_length || value.len() > 2000 || value.contains(char::is_whitespace) || !value.is_ascii() {
        return false;
    }
    if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-.~!@#%^&*".contains(&b)) {
        return false;
    }
    if DIGEST.is_match(value)
        || is_uuid(value)
        || is_certificate(value)
        || is_sealed(value)
        || value.starts_with('$')
        || value.starts_with("ENC[")
        || is_path(value)
        || has_scheme(value)
        || is_identifier(value)
        || is_documented_example(value)
    {
        return false;
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    // Prose in kebab or camelCase has long runs without digits; a drawn value of this length has digits.
    digits >= 2 && letters >= 2 && entropy(value) >= min_entropy
}
