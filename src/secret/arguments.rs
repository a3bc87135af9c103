//! Credentials among the words of commands and scripts.

use std::ops::Range;

use super::judge::{Argument, Judge, Verdict, unquoted};
use super::{Kind, Lazy, Place};

/// A word of a command text, without its quotes.
#[derive(Debug, Clone)]
pub(super) struct ShellWord {
    span: Range<usize>,
    /// First word of a command.
    first: bool,
}

/// Splits a command text as a shell would, well enough to find options and their values.
pub(super) fn shell_words(text: &str) -> Vec<ShellWord> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    let mut first = true;
    while let Some(&b) = bytes.get(at) {
        match b {
            b';' | b'\n' | b'&' | b'|' | b'(' | b')' => {
                first = true;
                at += 1;
            }
            _ if b.is_ascii_whitespace() => at += 1,
            // A continued line is the same command.
            b'\\' if bytes.get(at + 1) == Some(&b'\n') => at += 2,
            _ => {
                let start = at;
                let mut quote = None;
                while let Some(&c) = bytes.get(at) {
                    match quote {
                        Some(q) => {
                            if c == b'\\' && q == b'"' {
                                at += 1;
                            } else if c == q {
                                quote = None;
                            }
                        }
                        None if matches!(c, b'"' | b'\'') => quote = Some(c),
                        None if c == b'$' && matches!(bytes.get(at + 1), Some(b'(' | b'{')) => {
                            let close = if bytes.get(at + 1) == Some(&b'(') { b')' } else { b'}' };
                            while bytes.get(at).is_some_and(|x| *x != close && *x != b'\n') {
                                at += 1;
                            }
                        }
                        None if c.is_ascii_whitespace() || matches!(c, b';' | b'&' | b'|' | b')') => {
                            break;
                        }
                        None => {}
                    }
                    at += 1;
                }
                let end = at.min(bytes.len());
                let mut span = start..end;
                if let Some(q) = bytes.get(start).filter(|q| matches!(q, b'"' | b'\''))
                    && end > start + 1
                    && bytes.get(end - 1) == Some(q)
                {
                    span = start + 1..end - 1;
                }
                words.push(ShellWord { span, first });
                first = false;
            }
        }
    }
    words
}

/// How a program takes a password by a short option.
pub(super) fn short_option(program: &str, option: &str) -> Option<Short> {
    Some(match (program, option) {
        ("redis-cli" | "valkey-cli" | "keydb-cli", "-a")
        | ("sshpass" | "mongosh" | "mongo" | "mongodump" | "mongorestore" | "mongoimport" | "mongoexport", "-p")
        | ("ldapsearch" | "ldapwhoami" | "ldapadd" | "ldapmodify", "-w")
        | ("sqlcmd", "-P") => Short::Next,
        ("curl" | "wget", "-u" | "--user") => Short::Pair,
        (
            "mysql" | "mysqladmin" | "mysqldump" | "mysqlcheck" | "mariadb" | "mariadb-admin" | "mariadb-dump" | "mariadb-check"
            | "sshpass" | "mongosh" | "mongo" | "7z",
            _,
        ) if option.starts_with("-p") && !option.starts_with("--") && option.len() > 2 => Short::Glued,
        ("curl", _) if option.starts_with("-u") && !option.starts_with("--") && option.contains(':') => Short::GluedPair,
        _ => return None,
    })
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Short {
    Next,
    Glued,
    Pair,
    GluedPair,
}

impl Judge {
    /// Credentials among the words of a command given as a list (`command`, `args`, `entrypoint`). A word that is
    /// a script itself is read as one.
    pub(crate) fn argument_secrets(&self, words: &[&str]) -> Vec<Argument> {
        let mut found = Vec::new();
        let mut program = "";
        let mut skip = false;
        for (index, word) in words.iter().enumerate() {
            if std::mem::take(&mut skip) {
                continue;
            }
            if word.contains('\n') || (word.contains(' ') && !is_header(word) && !word.starts_with('-')) {
                found.extend(self.in_command(word).into_iter().map(|a| Argument { word: index, ..a }));
                continue;
            }
            let next = words.get(index + 1).copied();
            skip = self.argument(&mut found, &mut program, index, word, next);
        }
        found
    }

    /// Credentials in the text of a command or a script; the spans are of the text.
    pub(crate) fn in_command(&self, text: &str) -> Vec<Argument> {
        let words = shell_words(text);
        let mut found = Vec::new();
        let mut program = "";
        let mut skip = false;
        for (index, word) in words.iter().enumerate() {
            if word.first {
                program = "";
                skip = false;
            }
            if std::mem::take(&mut skip) {
                continue;
            }
            let Some(content) = text.get(word.span.clone()) else {
                continue;
            };
            if content.contains(' ') && !is_header(content) && !content.starts_with('-') && content.len() < text.len() {
                let inner = self.in_command(content);
                if !inner.is_empty() {
                    let start = word.span.start;
                    found.extend(inner.into_iter().map(|a| Argument { word: index, span: a.span.start + start..a.span.end + start, ..a }));
                    continue;
                }
            }
            let next = words.get(index + 1).filter(|w| !w.first).and_then(|w| text.get(w.span.clone()));
            let known = found.len();
            skip = self.argument(&mut found, &mut program, index, content, next);
            for argument in found.iter_mut().skip(known) {
                if let Some(at) = words.get(argument.word) {
                    argument.span = argument.span.start + at.span.start..argument.span.end + at.span.start;
                }
            }
        }
        found
    }

    /// One word with the word after it; true if that one was its value.
    pub(super) fn argument<'a>(
        &self,
        found: &mut Vec<Argument>,
        program: &mut &'a str,
        index: usize,
        word: &'a str,
        next: Option<&'a str>,
    ) -> bool {
        let mut push = |word: usize, span: Range<usize>, basic: bool, verdict: Option<Verdict>| {
            if let Some(verdict) = verdict.filter(|v| *v != Verdict::Placeholder) {
                found.push(Argument { word, span, basic, verdict });
            }
        };
        if let Some((span, basic, verdict)) = self.header(word) {
            push(index, span, basic, verdict);
            return false;
        }
        if !word.starts_with('-') {
            if let Some((name, value)) = word.split_once('=') {
                if let Some(kind) = self.credential_name(name).filter(|k| !matches!(k, Kind::Identifier | Kind::Connection)) {
                    let start = name.len() + 1;
                    let span = inner_span(word, start);
                    push(index, span, false, self.judge(kind, value, Place::Direct));
                }
                return false;
            }
            let base = word.rsplit('/').next().unwrap_or(word);
            if base.bytes().any(|b| b.is_ascii_alphabetic()) && program.is_empty() || is_known_program(base) {
                *program = base;
            }
            return false;
        }
        if let Some(short) = short_option(program, word) {
            return match (short, next) {
                (Short::Glued, _) => {
                    let span = inner_span(word, 2);
                    let verdict = word.get(span.clone()).and_then(|v| self.judge(Kind::Password, v, Place::Direct));
                    push(index, span, false, verdict);
                    false
                }
                (Short::GluedPair, _) => {
                    let start = word.find(':').map_or(word.len(), |i| i + 1);
                    let verdict = word.get(start..).and_then(|v| self.judge(Kind::Password, v, Place::Direct));
                    push(index, start..word.len(), true, verdict);
                    false
                }
                (Short::Next, Some(value)) if !value.starts_with('-') => {
                    push(index + 1, 0..value.len(), false, self.judge(Kind::Password, value, Place::Direct));
                    true
                }
                (Short::Pair, Some(value)) => {
                    if let Some((user, password)) = value.split_once(':') {
                        push(
                            index + 1,
                            user.len() + 1..value.len(),
                            true,
                            self.judge_url(user, password).filter(|_| !self.is_reference(password, &password.to_ascii_lowercase())),
                        );
                    }
                    true
                }
                _ => false,
            };
        }
        let bare = word.trim_start_matches('-');
        let bare =
            if word.starts_with("-D") || word.starts_with("-e") && word.contains('=') { word.get(2..).unwrap_or(bare) } else { bare };
        let (option, given) = bare.split_once('=').map_or((bare, None), |(o, v)| (o, Some(v)));
        // `--set auth.password=x`, `--from-literal=password=x`, `-e NAME=value`: the pair is the value.
        if matches!(option, "from-literal" | "set" | "set-string" | "env" | "e" | "build-arg") {
            let pair = given.or(next).unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=')
                && let Some(kind) = self.credential_name(name).filter(|k| !matches!(k, Kind::Identifier | Kind::Connection))
            {
                let offset = if given.is_some() { word.len() - pair.len() } else { 0 } + name.len() + 1;
                let at = if given.is_some() { index } else { index + 1 };
                push(at, offset..offset + value.len(), false, self.judge(kind, value, Place::Direct));
            }
            return given.is_none();
        }
        let Some(kind) = self.credential_name(option).filter(|k| !matches!(k, Kind::Identifier | Kind::Connection)) else {
            return false;
        };
        let place = if kind == Kind::Loose { Place::Setting } else { Place::Direct };
        match (given, next) {
            (Some(value), _) => {
                let span = inner_span(word, word.len() - value.len());
                push(index, span, false, self.judge(kind, value, place));
                false
            }
            (None, Some(value)) if !value.starts_with('-') && word.len() > 2 => {
                push(index + 1, 0..value.len(), false, self.judge(kind, value, place));
                true
            }
            _ => false,
        }
    }

    /// The credential of a header given to an HTTP client.
    pub(super) fn header(&self, word: &str) -> Option<(Range<usize>, bool, Option<Verdict>)> {
        static HEADER: Lazy = Lazy::new(
            r#"(?i)^["']?(?:--header=|-H)?["']?(authorization|proxy-authorization|x-api-key|x-auth-token|x-vault-token|private-token|api-key|x-[a-z-]*(?:token|key|secret)):\s*(?:(bearer|basic|token|apikey)\s+)?([^\s"']+)"#,
        );
        let captures = HEADER.get()?.captures(word)?;
        let value = captures.get(3)?;
        let basic = captures.get(2).is_some_and(|m| m.as_str().eq_ignore_ascii_case("basic"));
        Some((value.range(), basic, self.judge(Kind::Token, value.as_str(), Place::Direct)))
    }
}

pub(super) fn is_header(word: &str) -> bool {
    static NAME: Lazy = Lazy::new(r#"^["']?(-H|--header=)?["']?[A-Za-z][A-Za-z-]*:\s"#);
    NAME.is_match(word)
}

/// The span from `start` to the end of a word, without quotes around it.
pub(super) fn inner_span(word: &str, start: usize) -> Range<usize> {
    let value = word.get(start..).unwrap_or_default();
    let inner = unquoted(value);
    let lead = usize::from(inner.len() < value.len());
    start + lead..start + lead + inner.len()
}

pub(super) fn is_known_program(base: &str) -> bool {
    matches!(
        base,
        "redis-cli"
            | "valkey-cli"
            | "keydb-cli"
            | "sshpass"
            | "mongosh"
            | "mongo"
            | "mongodump"
            | "mongorestore"
            | "mongoimport"
            | "mongoexport"
            | "ldapsearch"
            | "ldapwhoami"
            | "ldapadd"
            | "ldapmodify"
            | "sqlcmd"
            | "curl"
            | "wget"
            | "mysql"
            | "mysqladmin"
            | "mysqldump"
            | "mysqlcheck"
            | "mariadb"
            | "mariadb-admin"
            | "mariadb-dump"
            | "mariadb-check"
    )
}
