//! Native checks of pack secrets.

use std::cell::OnceCell;
use std::collections::HashSet;

use regex::Regex;

use crate::artifact::{PathScope, Placement};
use crate::check::{Formats, Run, fill};
use crate::finding::Object;
use crate::rule::ArtifactKind;
use crate::secret::{Verdict, looks_random};
use crate::source::Span;

/// Reports the tokens that match the formats of a check.
pub(crate) fn formats(run: &mut Run<'_, '_>, number: usize, formats: &Formats) {
    let file = run.file;
    let known = &file.rules.data.secrets.formats;
    for token in &file.secrets.tokens {
        let Some((rule, check, format)) = known.get(token.format) else { continue };
        if **rule != *run.rule.id || *check != number || in_comment(run, token.span) {
            continue;
        }
        let name = formats.formats.get(*format).map(|format| format.name.clone()).unwrap_or_default();
        let message = fill(&formats.message, &run.active.params, |word| (word == "name").then(|| name.clone()));
        let object = object_of(run, token.span);
        run.report(token.span, object, message);
    }
}

/// What the variable or artifact at a place is about.
fn object_of(run: &Run<'_, '_>, span: Span) -> Object {
    let artifacts = run.file.artifacts;
    let holder = |artifact: &&crate::artifact::Artifact<'_>| artifact.root.span().overlaps(span);
    let Some(artifact) = artifacts.iter().find(holder).or(artifacts.first().filter(|_| artifacts.len() == 1)) else {
        return Object::default();
    };
    match artifact.variables.iter().find(|variable| variable.span.overlaps(span)) {
        Some(variable) => artifact.object_at(variable.node, variable.container),
        None => artifact.object.clone(),
    }
}

/// Comments are masked, but nobody deploys them.
fn in_comment(run: &Run<'_, '_>, span: Span) -> bool {
    run.file.parsed.documents.iter().any(|document| document.comments.iter().any(|comment| comment.overlaps(span)))
}

/// A password in a URL, or a `user:password` pair of a command.
pub(crate) fn credential_in_url(run: &mut Run<'_, '_>) {
    let file = run.file;
    for url in &file.secrets.url_passwords {
        let Some(artifact) = file.artifacts.get(url.at.0) else { continue };
        let Some(variable) = artifact.variables.get(url.at.1) else { continue };
        let inside = artifact.kind == ArtifactKind::Compose && file_has_service(artifact, variable.value.as_ref());
        let harmless = variable.scope == PathScope::Development && (url.local || inside || url.verdict == Verdict::Default);
        if url.verdict == Verdict::Placeholder || harmless {
            continue;
        }
        let object = artifact.object_at(variable.node, variable.container);
        let name = &variable.name;
        let message = if url.verdict == Verdict::Default {
            format!("the URL in `{name}` holds a published default password")
        } else {
            format!("the URL in `{name}` holds a password")
        };
        let draft = run.report(url.span, object, message);
        // A default of a service beside it is weak, but not a leak of something secret.
        if url.verdict == Verdict::Default {
            draft.severity = draft.severity.lower();
        }
    }
    for argument in file.secrets.arguments.iter().filter(|argument| argument.pair && argument.verdict != Verdict::Placeholder) {
        let Some((artifact, command)) =
            file.artifacts.get(argument.at.0).and_then(|artifact| Some((artifact, artifact.commands.get(argument.at.1)?)))
        else {
            continue;
        };
        let Some(word) = command.words.get(argument.at.2) else { continue };
        let object = artifact.object_at(*word, command.container);
        run.report(argument.span, object, "a command passes a user and a password");
    }
}

/// Whether the host of a URL is a service of the same Compose file.
fn file_has_service(artifact: &crate::artifact::Artifact<'_>, url: &str) -> bool {
    let host = url.rsplit_once('@').map_or("", |(_, rest)| rest.split([':', '/', '?']).next().unwrap_or_default());
    artifact.places.iter().any(|place| place.object.name == host)
}

/// A private key in the text.
pub(crate) fn private_key_material(run: &mut Run<'_, '_>) {
    let file = run.file;
    // A folder called dev or local is deployed; these only serve tests.
    let in_tests = file.source.path.split('/').any(|part| matches!(part, "testdata" | "fixtures" | "test" | "tests" | "e2e" | "ci"));
    for &span in &file.secrets.private_keys {
        if in_comment(run, span) {
            continue;
        }
        // The first line says what it is; the whole key would fill the screen.
        let text = file.source.slice(span);
        let first = text.find('\n').map_or(text.len(), |end| text.get(..end).unwrap_or(text).trim_end().len());
        let object = object_of(run, span);
        let draft =
            run.report(Span::new(span.start as usize, span.start as usize + first), object, "a private key stands here in clear text");
        if in_tests {
            draft.severity = draft.severity.lower();
        }
    }
}

/// A signed JSON Web Token.
pub(crate) fn json_web_token(run: &mut Run<'_, '_>) {
    let file = run.file;
    for &span in &file.secrets.signed_tokens {
        if in_comment(run, span) {
            continue;
        }
        let object = object_of(run, span);
        run.report(span, object, "a signed JSON Web Token stands here in clear text");
    }
}

/// A random value of a credential-named key where no other rule looks.
pub(crate) fn high_entropy_value(run: &mut Run<'_, '_>) {
    let file = run.file;
    let least = run.active.number("min-entropy").unwrap_or(3.5);
    let length = run.active.number("min-length").unwrap_or(20.0);
    for artifact in file.artifacts {
        for variable in &artifact.variables {
            let open = matches!(variable.placement, Placement::Annotation | Placement::Setting | Placement::Embedded | Placement::Argument);
            let verdict = variable.verdict.get().copied().flatten();
            let secret = matches!(verdict, Some(Verdict::Literal | Verdict::WeakKey | Verdict::Token));
            if open && secret && variable.value.len() as f64 >= length && looks_random(&variable.value, least, 0) {
                let object = artifact.object_at(variable.node, variable.container);
                run.report(variable.span, object, format!("`{}` is named like a credential and holds a random value", variable.name));
            }
        }
    }
}

/// A credential among the arguments of a command.
pub(crate) fn literal_in_args(run: &mut Run<'_, '_>) {
    let file = run.file;
    for argument in file.secrets.arguments.iter().filter(|argument| !argument.pair && argument.verdict != Verdict::Placeholder) {
        let Some(artifact) = file.artifacts.get(argument.at.0) else { continue };
        if !run.judges(artifact) {
            continue;
        }
        let Some(command) = artifact.commands.get(argument.at.1) else { continue };
        let Some(word) = command.words.get(argument.at.2) else { continue };
        let object = artifact.object_at(*word, command.container);
        run.report(argument.span, object, "a command is given a credential as a literal argument");
    }
}

/// Text that something fills in before it is used.
fn is_filled_later(value: &str) -> bool {
    ["{{", "${", "$(", "{%", "<%"].iter().any(|mark| value.contains(mark))
}

/// A pattern of placeholders as a regular expression: `*` stands for anything, `x+` for a run of one letter, and `_`, `-` and
/// nothing for each other. A single word has its own case: TODO is a note, and todo the name of many an application.
fn placeholder_pattern(pattern: &str) -> Option<Regex> {
    let single = pattern.bytes().all(|byte| byte.is_ascii_uppercase());
    let mut text = String::from(if single { "" } else { "(?i)" });
    if pattern.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        text.push_str("(?:^|[^A-Za-z0-9])");
    }
    for c in pattern.chars() {
        match c {
            '*' => text.push_str("[^<>]*"),
            '+' => text.push('+'),
            '_' => text.push_str("[-_ ]?"),
            c => text.push_str(&regex::escape(&c.to_string())),
        }
    }
    if pattern.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '+') {
        text.push_str("(?:$|[^A-Za-z0-9])");
    }
    Regex::new(&text).ok()
}

/// Placeholders that reach production.
pub(crate) fn placeholder_value(run: &mut Run<'_, '_>) {
    // Few files have a value to ask about, and patterns are dear.
    let patterns: OnceCell<Vec<Regex>> = OnceCell::new();
    let wanted = run.active.texts("patterns");
    let patterns = || patterns.get_or_init(|| wanted.iter().filter_map(|pattern| placeholder_pattern(pattern)).collect());
    let tokens = run.active.texts("tokens");
    for artifact in run.file.artifacts {
        for variable in &artifact.variables {
            let (scope, placement) = (variable.scope, variable.placement);
            let deployed = scope == PathScope::Production || (placement == Placement::SecretData && scope == PathScope::Unscoped);
            let written = !matches!(placement, Placement::Annotation | Placement::Setting | Placement::Argument);
            let judged = placement == Placement::Embedded || run.judges(artifact);
            let value = variable.value.trim();
            // Longer texts are prose or files.
            let short = value.len() <= 200 && !value.contains('\n') && value.split(' ').count() <= 4;
            if !deployed || !written || !judged || !short || value.is_empty() || is_filled_later(value) {
                continue;
            }
            let substituted = tokens.iter().any(|token| !token.is_empty() && value.contains(token.as_str()));
            if !substituted && patterns().iter().any(|pattern| pattern.is_match(value)) {
                let object = artifact.object_at(variable.node, variable.container);
                run.report(variable.span, object, format!("`{}` still holds a placeholder", variable.name));
            }
        }
    }
}

/// Data about a person among the keys of a `ConfigMap`.
pub(crate) fn personal_data_in_configmap(run: &mut Run<'_, '_>) {
    let words: Vec<String> = run.active.texts("words").iter().map(|word| word.to_ascii_lowercase()).collect();
    for artifact in run.artifacts() {
        for variable in artifact.variables.iter().filter(|variable| variable.placement == Placement::Configmap) {
            let value = variable.value.trim();
            let personal = name_words(&variable.name).iter().any(|word| words.contains(word));
            if personal && !value.contains('\n') && is_personal(value) {
                let object = artifact.object_at(variable.node, variable.container);
                run.report(variable.span, object, format!("`{}` is named like personal data and has a literal value", variable.name));
            }
        }
    }
}

/// The words of a name in lower case, whatever joins them; `user_name` and `userName` count as `username`, too.
fn name_words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut lower = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() {
            words.push(String::new());
        } else if c.is_ascii_uppercase() && lower || words.is_empty() {
            words.push(c.to_ascii_lowercase().to_string());
        } else if let Some(last) = words.last_mut() {
            last.push(c.to_ascii_lowercase());
        }
        lower = c.is_ascii_lowercase();
    }
    words.retain(|word| !word.is_empty());
    let joined: Vec<String> = words.iter().zip(words.iter().skip(1)).map(|(first, second)| format!("{first}{second}")).collect();
    words.extend(joined);
    words
}

/// Whether a value may speak of a person: no placeholder, no switch, no number but a telephone's, no address of a service.
fn is_personal(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let address = lower.split_once('@');
    let service = address.is_some_and(|(user, host)| {
        let user = user.replace(['-', '_', '.', '+'], "");
        let names =
            ["noreply", "donotreply", "info", "support", "admin", "alerts", "postmaster", "hello", "contact", "security", "ops", "devops"];
        names.contains(&user.as_str())
            || ["example.com", "example.org", "example.net", ".example", ".local", ".invalid", ".test"]
                .iter()
                .any(|end| host.ends_with(end))
    });
    let accounts = [
        "admin", "root", "postgres", "user", "username", "guest", "default", "app", "test", "none", "null", "true", "false", "yes", "no",
        "on", "off", "email", "phone",
    ];
    let number = !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && lower.len() < 7;
    let held = is_filled_later(&lower)
        || lower.contains(['<', '/', '%', '{', '$'])
        || ["changeme", "your", "xxx", "placeholder", "todo"].iter().any(|word| lower.contains(word));
    !lower.is_empty() && !service && !accounts.contains(&lower.as_str()) && !number && !held
}

/// Credentials that SOPS left readable.
pub(crate) fn sops_partial_encryption(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let Some(sops) = Sops::read(artifact) else { continue };
        let mut seen = HashSet::new();
        for variable in &artifact.variables {
            let verdict = variable.verdict.get().copied().flatten();
            let readable = matches!(verdict, Some(Verdict::Token | Verdict::Default | Verdict::WeakKey | Verdict::Literal));
            if readable && !variable.value.starts_with("ENC[") && !sops.excepts(&variable.node.path()) && seen.insert(variable.span.start) {
                let object = artifact.object_at(variable.node, variable.container);
                run.report(variable.span, object, format!("SOPS left `{}` readable in a file that it encrypts", variable.name));
            }
        }
    }
}

/// What the metadata of SOPS says of values that stay readable.
pub(super) struct Sops {
    suffix: String,
    pattern: Option<Regex>,
}

impl Sops {
    pub(super) fn read(artifact: &crate::artifact::Artifact<'_>) -> Option<Self> {
        let dotenv = artifact.kind == ArtifactKind::Dotenv;
        let text = |key: &str| {
            let text = if dotenv {
                artifact.root.text_of(&format!("sops_{key}"))
            } else {
                artifact.root.get("sops").and_then(|sops| sops.text_of(key))
            };
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        text("mac")?;
        Some(Self {
            suffix: text("unencrypted_suffix").unwrap_or_else(|| "_unencrypted".to_owned()),
            pattern: text("unencrypted_regex").and_then(|pattern| Regex::new(&pattern).ok()),
        })
    }

    /// Whether any key on a path is meant to be readable, or describes the object or SOPS itself.
    fn excepts(&self, path: &str) -> bool {
        let mut keys = path.split('.').map(|key| key.trim_end_matches(|c: char| c == ']' || c.is_ascii_digit()).trim_end_matches('['));
        let first = path.split(['.', '[']).next().unwrap_or_default();
        matches!(first, "sops" | "metadata" | "kind" | "apiVersion")
            || first.starts_with("sops_")
            || keys.any(|key| key.ends_with(&self.suffix) || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_whole_words() {
        let matches = |pattern: &str, value: &str| placeholder_pattern(pattern).is_some_and(|regex| regex.is_match(value));
        assert!(matches("CHANGE_ME", "changeme") && matches("CHANGE_ME", "postgres://app:change-me@db/app"));
        assert!(!matches("CHANGE_ME", "exchangemedia") && !matches("TODO", "todo-app") && matches("TODO", "TODO: set"));
        assert!(matches("<your-*>", "<your-key>") && matches("your-*-here", "YOUR-API-KEY-HERE"));
        assert!(matches("xxx+", "xxxxx") && !matches("xxx+", "sexxxx9") && !matches("xxx+", "xx"));
    }

    #[test]
    fn names_are_read_by_words() {
        let named = |name: &str, word: &str| name_words(name).iter().any(|one| one == word);
        assert!(named("ADMIN_EMAIL", "email") && named("userName", "username") && named("user.phone", "phone"));
        assert!(!named("emailed", "email") && !named("microphone", "phone"));
    }
}
