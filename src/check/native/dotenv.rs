//! Native checks of pack dotenv: lines as they are written, beside the names and values that were read from them.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use regex::Regex;

use crate::artifact::Artifact;
use crate::check::{Run, shorten};
use crate::finding::{Confidence, Location, Related, Severity};
use crate::rule::ArtifactKind;
use crate::source::{Source, Span};
use crate::syntax::{DOTENV_NO_EQUALS, DOTENV_NO_NAME, DOTENV_UNCLOSED, Node, NodeId, Style, SyntaxError};
use crate::tree::Tree;

/// Names that are written in lower case by those who read them.
const LOWERCASE: &[&str] = &["http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"];
const LOWERCASE_PREFIXES: &[&str] = &["TF_VAR_", "npm_config_", "ORG_GRADLE_PROJECT_"];

/// The rule that says more of a syntax error than that it is one.
pub(super) fn rule_of(source: &Source, error: &SyntaxError) -> Option<&'static str> {
    let text = source.slice(error.span);
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match error.message.as_str() {
        DOTENV_UNCLOSED => Some("dotenv/unclosed-quote"),
        DOTENV_NO_NAME => {
            let mut name = text.split_once('=')?.0.trim_end().chars();
            let first = name.next()?;
            let named = name.clone().any(char::is_alphanumeric) || first.is_alphanumeric();
            (named && !matches!(first, '"' | '\'' | '{' | '(' | '<') && name.all(is_part))
                .then_some("dotenv/key-starts-with-invalid-character")
        }
        DOTENV_NO_EQUALS => {
            let (rest, value) = text.split_once('=')?;
            // The last line of a text in base64 ends in equal signs.
            if rest.contains(['+', '/']) && value.trim_matches('=').is_empty() {
                return None;
            }
            let fits = !rest.is_empty() && rest.len() <= 40 && !rest.contains([' ', '\t', '"', '\'', '`', '(', '{', '<', '$']);
            fits.then_some("dotenv/key-delimiter-invalid")
        }
        _ => None,
    }
}

/// The dotenv file that the rule looks at.
pub(super) fn file<'a, 'd>(run: &Run<'a, 'd>) -> Option<&'a Artifact<'d>> {
    run.file.artifacts.iter().find(|artifact| artifact.kind == ArtifactKind::Dotenv)
}

/// Whether the file is read by Wrangler alone, by its name.
fn is_dev_vars(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(".dev.vars"))
}

/// Who reads the file: what the configuration says, else what its name says, else `any`.
fn dialect<'a>(run: &Run<'a, '_>) -> &'a str {
    match run.active.text("dialect") {
        Some(dialect) if dialect != "any" => dialect,
        _ if is_dev_vars(&run.file.source.path) => "wrangler",
        _ => "any",
    }
}

/// A name as messages may have it: the lines of a key that was pasted without quotes are read as names, too.
pub(super) fn shown(run: &Run<'_, '_>, key: Node<'_>) -> String {
    let name = key.text().unwrap_or_default();
    let mixed = name.bytes().any(|byte| byte.is_ascii_lowercase())
        && name.bytes().any(|byte| byte.is_ascii_uppercase())
        && name.bytes().any(|byte| byte.is_ascii_digit());
    if run.file.secrets.covers(key.span()) || name.len() > 60 || (mixed && name.len() >= 20) {
        return "the name".to_owned();
    }
    format!("`{}`", shorten(name))
}

/// Text that something fills in before the file is read.
fn is_template(text: &str) -> bool {
    ["{{", "{%", "<%"].iter().any(|mark| text.contains(mark))
}

fn is_plain(value: Node<'_>) -> bool {
    value.style() == Style::Plain
}

/// What is written as a value, quotes included.
fn written(value: Node<'_>) -> &str {
    value.doc.source.slice(value.span())
}

/// The text between a name and its value, and where it begins: blanks, `=` or `:`, blanks.
fn between<'d>(key: Node<'d>, value: Node<'d>) -> &'d str {
    let text = value.doc.source.text.as_str();
    let (start, end) = (key.span().end as usize, value.span().start as usize);
    // An empty value has the place of its `=`, so blanks behind it are no part of it.
    text.get(start..end.max(start)).unwrap_or_default()
}

/// A name alone, without `=`.
fn is_alone(key: Node<'_>, value: Node<'_>) -> bool {
    value.span().is_empty() && between(key, value).is_empty()
}

/// A line without its break.
struct Line<'t> {
    span: Span,
    text: &'t str,
    /// It begins inside a quoted value.
    inside: bool,
    /// It ends inside a quoted value.
    open: bool,
}

fn lines<'t>(source: &'t Source, artifact: &Artifact<'_>) -> Vec<Line<'t>> {
    let quoted: Vec<Span> = artifact
        .root
        .pairs()
        .map(|(_, value)| value)
        .filter(|value| !is_plain(*value) && written(*value).contains(['\n', '\r']))
        .map(Node::span)
        .collect();
    let within = |offset: usize| {
        let next = quoted.partition_point(|span| (span.start as usize) < offset);
        next.checked_sub(1).and_then(|last| quoted.get(last)).is_some_and(|span| offset < span.end as usize)
    };
    let mut lines = Vec::new();
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let text = line.trim_end_matches(['\n', '\r']);
        let end = start + text.len();
        lines.push(Line { span: Span::new(start, end), text, inside: within(start), open: within(end) });
        start += line.len();
    }
    lines
}

/// Reports a key that the file defines again.
pub(crate) fn duplicate_key(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    let path = &run.file.source.path;
    let values: HashMap<NodeId, Node<'_>> = artifact.root.pairs().map(|(key, value)| (key.id, value)).collect();
    for &(later, earlier) in &artifact.root.doc.duplicates {
        let (later, earlier) = (artifact.root.doc.node(later), artifact.root.doc.node(earlier));
        let (Some(&new), Some(&old)) = (values.get(&later.id), values.get(&earlier.id)) else { continue };
        let name = later.text().unwrap_or_default();
        let text = new.text().unwrap_or_default();
        // `LIST=${LIST},more` continues what stands before; a name alone sets nothing.
        let continues = new.style() != Style::SingleQuoted && (text.contains(&format!("${{{name}")) || text.contains(&format!("${name}")));
        if continues || is_alone(later, new) || is_alone(earlier, old) {
            continue;
        }
        let same = new.text() == old.text();
        let message = format!("{} is defined already{}", shown(run, later), if same { ", with the same value" } else { "" });
        let location = Location { path: path.clone(), span: earlier.span() };
        let draft = run.report(later.span(), artifact.object_at(later, ""), message);
        draft.related.push(Related { location, label: "defined here before".to_owned() });
        if same {
            draft.severity = Severity::Low;
        }
    }
}

/// Reports blanks around the equal sign.
pub(crate) fn space_around_equals(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    // The others strip it.
    if !matches!(dialect(run), "any" | "bash") {
        return;
    }
    for (key, value) in artifact.root.pairs() {
        let sign = between(key, value);
        let Some((before, behind)) = sign.split_once('=') else { continue };
        let place = match (before.is_empty(), behind.is_empty()) {
            (true, true) => continue,
            (false, false) => "on both sides of",
            (false, true) => "before",
            (true, false) => "behind",
        };
        let start = key.span().end as usize;
        let message = format!("white space stands {place} the equal sign of {}", shown(run, key));
        run.report(Span::new(start, start + sign.len()), artifact.object_at(key, ""), message);
    }
}

/// Reports quotes that open and never close.
pub(crate) fn unclosed_quote(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    for error in run.file.parsed.errors.iter().filter(|error| error.message == DOTENV_UNCLOSED) {
        let value = artifact.root.pairs().find(|(_, value)| value.span().start == error.span.start);
        let object = value.map_or_else(|| artifact.object.clone(), |(key, _)| artifact.object_at(key, ""));
        let name = value.map_or_else(|| "a value".to_owned(), |(key, _)| format!("the value of {}", shown(run, key)));
        let quote = Span { start: error.span.start, end: error.span.start + 1 };
        run.report(quote, object, format!("the quote that opens {name} is never closed"));
    }
    for (key, value) in artifact.root.pairs().filter(|(_, value)| is_plain(*value)) {
        let text = written(value);
        // The parser has reported a quote at the start.
        if text.starts_with(['"', '\'', '`']) || is_template(text) {
            continue;
        }
        let lone = ['\'', '"'].into_iter().find_map(|quote| {
            let bare = |(at, _): &(usize, &str)| text.get(..*at).is_none_or(|before| !before.ends_with('\\'));
            let mut found = text.match_indices(quote).filter(bare);
            let first = found.next()?;
            (found.count() % 2 == 0).then_some(first.0)
        });
        if let Some(at) = lone {
            let start = value.span().start as usize + at;
            let message =
                format!("the unquoted value of {} holds a lone quote, which a shell takes for the start of a text", shown(run, key));
            let draft = run.report(Span::new(start, start + 1), artifact.object_at(key, ""), message);
            draft.severity = Severity::Low;
            draft.confidence = Confidence::Medium;
        }
    }
}

/// Reports names that begin with what loaders refuse.
pub(crate) fn key_starts_with_invalid_character(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    let source = run.file.source;
    for error in &run.file.parsed.errors {
        if rule_of(source, error) != Some("dotenv/key-starts-with-invalid-character") {
            continue;
        }
        let first = source.slice(error.span).chars().next().unwrap_or_default();
        let span = Span { start: error.span.start, end: error.span.start + first.len_utf8() as u32 };
        let what = if first.is_control() || !first.is_ascii() {
            format!("the character U+{:04X}", u32::from(first))
        } else {
            format!("`{first}`")
        };
        run.report(span, artifact.object.clone(), format!("the name begins with {what}, not with a letter or `_`"));
    }
    for (key, _) in artifact.root.pairs() {
        let start = key.span().start as usize;
        let line = source.text.get(..start).and_then(|before| before.rfind(['\n', '\r'])).map_or(0, |at| at + 1);
        let lead = source.text.get(line..start).unwrap_or_default();
        let blanks = lead.len() - lead.trim_start_matches([' ', '\t']).len();
        if blanks > 0 {
            let message = format!("white space stands before {}", shown(run, key));
            let draft = run.report(Span::new(line, line + blanks), artifact.object_at(key, ""), message);
            // Most loaders strip it.
            draft.severity = Severity::Low;
        }
    }
}

/// Reports names with other characters than letters, digits and `_`.
pub(crate) fn key_delimiter_invalid(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    let source = run.file.source;
    let allowed = run.active.text("allow").unwrap_or_default();
    for error in &run.file.parsed.errors {
        if rule_of(source, error) == Some("dotenv/key-delimiter-invalid") {
            let before = source.text.get(..error.span.start as usize).unwrap_or_default();
            let first = source.slice(error.span).chars().next().unwrap_or_default();
            let blank = before.ends_with([' ', '\t']);
            let length = if blank { 1 } else { first.len_utf8() as u32 };
            let start = if blank { error.span.start - 1 } else { error.span.start };
            let what = if blank { "a blank".to_owned() } else { format!("`{first}`") };
            let span = Span { start, end: start + length };
            run.report(span, artifact.object.clone(), format!("{what} stands in the name of a variable"));
        }
    }
    for (key, _) in artifact.root.pairs() {
        let name = key.text().unwrap_or_default();
        let other = |c: char| !c.is_ascii_alphanumeric() && c != '_' && !allowed.contains(c);
        if let Some((at, sign)) = name.char_indices().find(|(_, c)| other(*c)) {
            let start = key.span().start as usize + at;
            let message = format!("{} has `{sign}` in its name", shown(run, key));
            run.report(Span::new(start, start + sign.len_utf8()), artifact.object_at(key, ""), message);
        }
    }
}

/// Reports names without an equal sign.
pub(crate) fn key_without_value(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    // A file of names alone is a list of what is passed through, or no dotenv file.
    if dialect(run) == "compose" || artifact.root.pairs().all(|(key, value)| is_alone(key, value)) {
        return;
    }
    for (key, value) in artifact.root.pairs().filter(|(key, value)| is_alone(*key, *value)) {
        let start = key.span().start as usize;
        let exported = run.file.source.text.get(..start).is_some_and(|before| before.trim_end_matches([' ', '\t']).ends_with("export"));
        if !exported {
            run.report(key.span(), artifact.object_at(value, ""), format!("{} has no `=` and no value", shown(run, key)));
        }
    }
}

/// A name written in a substitution, and where its `$` stands.
struct Substitution<'t> {
    at: usize,
    /// What stands between the braces; nothing where the brace is never closed.
    inside: Option<&'t str>,
}

/// Every `${…}` of a value, nested ones too, but for escaped ones.
fn substitutions(text: &str) -> Vec<Substitution<'_>> {
    let mut found: Vec<Substitution<'_>> = Vec::new();
    // The braces that are open: those of substitutions with their number.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut before = [' ', ' '];
    for (at, c) in text.char_indices() {
        match c {
            '{' if before[1] == '$' => {
                // `$$` is a dollar for Compose, `\$` for everyone; `${{` belongs to a template.
                let literal = matches!(before[0], '\\' | '$') || text.get(at + 1..).is_some_and(|rest| rest.starts_with('{'));
                open.push((!literal).then_some(found.len()));
                if !literal {
                    found.push(Substitution { at: at - 1, inside: None });
                }
            }
            '{' => open.push(None),
            '}' => {
                if let Some(one) = open.pop().flatten().and_then(|number| found.get_mut(number)) {
                    one.inside = text.get(one.at + 2..at);
                }
            }
            _ => {}
        }
        before = [before[1], c];
    }
    found
}

/// The name at the start of a substitution, and what follows it.
fn named(inside: &str) -> (&str, &str) {
    let inside = inside.strip_prefix('!').unwrap_or(inside);
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
    inside.split_at_checked(end).unwrap_or((inside, ""))
}

fn substitutes(value: Node<'_>) -> bool {
    value.style() != Style::SingleQuoted && !is_template(written(value))
}

/// Reports `${VAR` that no loader can read.
pub(crate) fn malformed_substitution(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    for (key, value) in artifact.root.pairs().filter(|(_, value)| substitutes(*value)) {
        let text = written(value);
        let mut faults = Vec::new();
        for one in substitutions(text) {
            match one.inside {
                None => faults.push((one.at, 2, "is never closed")),
                Some(inside) => {
                    let (name, rest) = named(inside);
                    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
                    let operator = rest.is_empty() || rest.starts_with([':', '-', '?', '+', '=', '%', '#', '/', '^', ',', '@', '[']);
                    if !starts || !operator {
                        faults.push((one.at, inside.len() + 3, "has no valid name"));
                    }
                }
            }
        }
        if !text.contains('{')
            && let Some(at) = lost_brace(text)
        {
            faults.push((at, 1, "is never opened: write `${NAME}`"));
        }
        for (at, length, what) in faults {
            let start = value.span().start as usize + at;
            let subject = if length == 1 { "the brace of a substitution" } else { "a substitution" };
            let message = format!("{subject} in the value of {} {what}", shown(run, key));
            run.report(Span::new(start, start + length), artifact.object_at(key, ""), message);
        }
    }
}

/// Where the brace of `$NAME}` stands.
fn lost_brace(text: &str) -> Option<usize> {
    static LOST: OnceLock<Option<Regex>> = OnceLock::new();
    let found = LOST.get_or_init(|| Regex::new(r"(?:^|[^\\$])\$[A-Za-z_][A-Za-z0-9_]*(\})").ok()).as_ref()?.captures(text)?;
    found.get(1).map(|brace| brace.start())
}

/// Reports `${VAR}` of a name that nothing defines, in files that no other one is loaded before.
pub(crate) fn substitution_undefined(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    let name = run.file.source.path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let first = matches!(name.strip_prefix(".env"), Some("" | ".example" | ".sample" | ".template" | ".dist" | ".defaults"));
    if !first {
        return;
    }
    let declared = run.active.texts("declared");
    let mut known: HashSet<&str> = artifact.root.pairs().filter_map(|(key, _)| key.text()).collect();
    known.extend(declared.iter().map(String::as_str));
    for (key, value) in artifact.root.pairs().filter(|(_, value)| substitutes(*value)) {
        for one in substitutions(written(value)) {
            let Some(inside) = one.inside else { continue };
            let (name, rest) = named(inside);
            if rest.is_empty() && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !known.contains(name) {
                let start = value.span().start as usize + one.at;
                let message = format!("{} refers to `{}`, which this file does not define", shown(run, key), shorten(name));
                run.report(Span::new(start, start + inside.len() + 3), artifact.object_at(key, ""), message);
            }
        }
    }
}

/// Reports white space in unquoted values.
pub(crate) fn unquoted_value_with_space(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    // These read it as it stands.
    if matches!(dialect(run), "compose" | "node" | "wrangler") {
        return;
    }
    for (key, value) in artifact.root.pairs().filter(|(_, value)| is_plain(*value)) {
        let text = written(value);
        let open = text.starts_with(['"', '\'', '`']) || text.starts_with("$(") || is_template(text);
        if text.replace("\\ ", "").contains([' ', '\t']) && !open && !between(key, value).contains(':') {
            run.report(
                value.span(),
                artifact.object_at(key, ""),
                format!("the value of {} holds white space and no quotes", shown(run, key)),
            );
        }
    }
}

/// Reports lines that common loaders read differently.
pub(crate) fn dialect_dependent_line(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    let dialect = dialect(run);
    let text = run.file.source.text.as_str();
    for (key, value) in artifact.root.pairs() {
        let (plain, raw) = (is_plain(value), written(value));
        if is_template(raw) || plain && raw.starts_with(['"', '\'', '`']) {
            continue;
        }
        let start = key.span().start as usize;
        let head = text.get(..start).unwrap_or_default();
        let lead = head.get(head.rfind(['\n', '\r']).map_or(0, |at| at + 1)..).unwrap_or_default();
        let behind = text.get(value.span().end as usize..).unwrap_or_default();
        let rest = behind.get(..behind.find(['\n', '\r']).unwrap_or(behind.len())).unwrap_or_default();
        let sign = between(key, value);
        let at = value.span().start as usize;
        let place = |offset: usize, length: usize| Span::new(at + offset, at + offset + length);
        let dollar = || {
            raw.char_indices().find(|(index, c)| {
                *c == '$'
                    && !raw.get(..*index).is_some_and(|before| before.ends_with(['\\', '$']))
                    && raw
                        .get(index + 1..)
                        .is_some_and(|next| next.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{' | '(')))
            })
        };
        let found = if sign.contains(':') && matches!(dialect, "any" | "bash") {
            let offset = start + (key.span().end as usize - start) + sign.find(':').unwrap_or_default();
            Some((Span::new(offset, offset + 1), "is set with a colon, which a shell and Docker do not read"))
        } else if dialect == "bash" {
            // A shell reads everything else, but drops the backslashes of unquoted text.
            raw.find('\\').filter(|_| plain).map(|offset| (place(offset, 1), "holds a backslash, which a shell drops outside quotes"))
        } else if let Some(offset) = raw.find('#').filter(|_| plain && matches!(dialect, "any" | "node" | "wrangler")) {
            Some((place(offset, 1), "holds an unquoted `#`, at which some loaders end the value"))
        } else if dialect != "any" {
            None
        } else if lead.trim_start().starts_with("export") {
            let offset = start - lead.trim_start().len();
            Some((Span::new(offset, offset + "export".len()), "has the prefix `export`, which Docker does not read"))
        } else if plain && !raw.is_empty() && rest.trim_start().starts_with('#') {
            let offset = value.span().end as usize + (rest.len() - rest.trim_start().len());
            Some((Span::new(offset, offset + 1), "is followed by a comment, which Docker takes for a part of the value"))
        } else if let Some((offset, _)) = dollar().filter(|_| plain) {
            Some((place(offset, 1), "holds an unquoted `$`, which some loaders replace and others keep"))
        } else {
            raw.find('\\')
                .filter(|_| value.style() != Style::SingleQuoted)
                .map(|offset| (place(offset, 1), "holds a backslash, which some loaders read as an escape and others keep"))
        };
        if let Some((span, what)) = found {
            run.report(span, artifact.object_at(key, ""), format!("{} {what}", shown(run, key)));
        }
    }
}

/// Reports line ends of Windows, once a file.
pub(crate) fn crlf_line_ending(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    let text = run.file.source.text.as_str();
    let count = text.matches("\r\n").count();
    if let Some(at) = text.find("\r\n").filter(|_| !is_converted(run.file.tree, &run.file.source.path)) {
        let lines = if count == 1 { "1 line ends".to_owned() } else { format!("{count} lines end") };
        run.report(Span::new(at, at + 1), artifact.object.clone(), format!("{lines} in CRLF"));
    }
}

/// Reports blank lines behind blank lines.
pub(crate) fn extra_blank_line(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    let mut blank = 0;
    for line in lines(run.file.source, artifact) {
        let empty = line.text.trim().is_empty() && !line.inside;
        blank = if empty { blank + 1 } else { 0 };
        if blank == 2 {
            let end = (line.span.end as usize + 1).min(run.file.source.text.len());
            run.report(Span::new(line.span.start as usize, end), artifact.object.clone(), "a blank line follows a blank line");
        }
    }
}

/// Reports a last line without a line break.
pub(crate) fn final_newline_missing(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    let text = run.file.source.text.as_str();
    let swallowed = run.file.parsed.errors.iter().any(|error| error.message == DOTENV_UNCLOSED);
    let Some(last) = text.chars().next_back().filter(|last| !matches!(last, '\n' | '\r') && !swallowed) else { return };
    run.report(Span::new(text.len() - last.len_utf8(), text.len()), artifact.object.clone(), "the last line does not end in a newline");
}

/// Reports white space at line ends.
pub(crate) fn trailing_whitespace(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    for line in lines(run.file.source, artifact) {
        let body = line.text.trim_end_matches([' ', '\t']);
        if !body.is_empty() && body.len() < line.text.len() && !line.open {
            let start = line.span.start as usize + body.len();
            run.report(Span::new(start, line.span.end as usize), artifact.object.clone(), "the line ends in white space");
        }
    }
}

/// Reports names in lower case.
pub(crate) fn lowercase_key(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    let allowed = run.active.texts("allow");
    for (key, value) in artifact.root.pairs() {
        let name = key.text().unwrap_or_default();
        // Names with dots and double underscores are keys of a configuration that has them in its own case.
        let foreign = name.contains('.') || name.contains("__") || LOWERCASE_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let known = LOWERCASE.contains(&name) || allowed.iter().any(|one| one == name);
        if name.bytes().any(|byte| byte.is_ascii_lowercase()) && !foreign && !known && !is_alone(key, value) {
            run.report(key.span(), artifact.object_at(key, ""), format!("{} has lower-case letters", shown(run, key)));
        }
    }
}

/// Reports quotes around values that mean the same without them.
pub(crate) fn unneeded_quotes(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    for (key, value) in artifact.root.pairs().filter(|(_, value)| !is_plain(*value)) {
        let raw = written(value);
        let behind = value.doc.source.text.get(value.span().end as usize..).unwrap_or_default();
        if !behind.is_empty() && !behind.starts_with(char::is_whitespace) {
            continue;
        }
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        if inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./:@%+,=-".contains(&byte)) {
            let start = value.span().start as usize;
            let message = format!("the value of {} needs no quotes", shown(run, key));
            run.report(Span::new(start, start + 1), artifact.object_at(key, ""), message);
        }
    }
}

/// Reports names that stand behind a later one of their block.
pub(crate) fn unsorted_keys(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run) else { return };
    let source = run.file.source;
    let mut blocks: Vec<Vec<(Node<'_>, Node<'_>)>> = Vec::new();
    for (key, value) in artifact.root.pairs() {
        let adjacent = blocks.last().and_then(|block| block.last()).is_some_and(|(_, last): &(Node<'_>, Node<'_>)| {
            let gap = source.slice(Span { start: last.span().end, end: key.span().start });
            // A comment behind the value is on the same line; one on a line of its own ends the block.
            gap.matches('\n').count() <= 1 && !gap.split_once('\n').is_some_and(|(_, line)| line.contains('#'))
        });
        match blocks.last_mut().filter(|_| adjacent) {
            Some(block) => block.push((key, value)),
            None => blocks.push(vec![(key, value)]),
        }
    }
    for block in blocks {
        let text = |key: Node<'_>| key.text().unwrap_or_default().to_owned();
        let names: HashSet<String> = block.iter().map(|(key, _)| text(*key)).collect();
        let refers = block.iter().filter(|(_, value)| substitutes(*value)).any(|(_, value)| {
            written(*value).split('$').skip(1).any(|rest| names.contains(named(rest.strip_prefix('{').unwrap_or(rest)).0))
        });
        if refers {
            continue;
        }
        let without_signs = |name: &str| name.replace('_', "!").to_ascii_uppercase();
        for (before, after) in block.iter().zip(block.iter().skip(1)) {
            let (first, second) = (text(before.0), text(after.0));
            // Whether `_` stands before letters or behind them is a matter of taste.
            if second < first && without_signs(&second) < without_signs(&first) {
                let message = format!("{} stands behind {}", shown(run, after.0), shown(run, before.0));
                run.report(after.0.span(), artifact.object_at(after.0, ""), message);
            }
        }
    }
}

/// Whether git attributes say that line ends are converted on checkout. The nearest file that speaks of the path decides, in it
/// the last line.
fn is_converted(tree: &Tree, path: &str) -> bool {
    let mut inner = path;
    let mut folder = path;
    loop {
        folder = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
        inner = path.get(if folder.is_empty() { 0 } else { folder.len() + 1 }..).unwrap_or(inner);
        let attributes = if folder.is_empty() { ".gitattributes".to_owned() } else { format!("{folder}/.gitattributes") };
        let text = tree.read(&attributes).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let said = text.lines().rev().find_map(|line| converts(line, inner));
        if said.is_some() || folder.is_empty() {
            return said == Some(true);
        }
    }
}

/// What a line of git attributes says of the line ends of a path.
fn converts(line: &str, path: &str) -> Option<bool> {
    let mut words = line.split_whitespace();
    let pattern = words.next().filter(|pattern| !pattern.starts_with('#'))?;
    let anchored = pattern.trim_start_matches('/');
    let name = if pattern.contains('/') { path } else { path.rsplit('/').next()? };
    let glob = globset::GlobBuilder::new(anchored).literal_separator(true).build().ok()?.compile_matcher();
    let said = words.rev().find_map(|word| match word {
        "-text" | "binary" => Some(false),
        "text" | "text=auto" | "eol=lf" | "eol=crlf" => Some(true),
        _ => None,
    });
    said.filter(|_| glob.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substitutions_are_found_with_their_ends() {
        let inside = |text: &'static str| substitutions(text).iter().map(|one| one.inside).collect::<Vec<_>>();
        assert_eq!(inside("a${B}c${D:-${E}}"), [Some("B"), Some("D:-${E}"), Some("E")]);
        assert_eq!(inside("${A"), [None]);
        assert!(inside("\\${A $${B ${{ C }}").is_empty());
        assert_eq!(named("A:-b"), ("A", ":-b"));
        assert_eq!(lost_brace("x$A}"), Some(3));
        assert_eq!(lost_brace("\\$A} $$B}"), None);
    }
}
