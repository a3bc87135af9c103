//! `configMapGenerator` and `secretGenerator`, and the digest that goes into the names of what they make.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::object::{Object, made_key};
use super::transformers::{put, text_value};
use super::{Build, Gathered, Loss, ProblemKind, Spent, stringify};
use crate::environment::{Key, Scalar, Value};
use crate::source::Span;
use crate::syntax::Style;

/// What is generated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    ConfigMap,
    Secret,
}

impl Build<'_> {
    /// Runs the generators of a kustomization.
    pub(super) fn generate(&mut self, folder: &str, kustomization: &Value, gathered: &mut Gathered) -> Result<(), Spent> {
        let options = kustomization.get("generatorOptions");
        for (key, made) in [("configMapGenerator", Made::ConfigMap), ("secretGenerator", Made::Secret)] {
            for entry in kustomization.items_of(key) {
                self.generate_one(folder, made, entry, options, gathered)?;
            }
        }
        for key in ["helmCharts", "helmChartInflationGenerator"] {
            for chart in kustomization.items_of(key) {
                let named = ["releaseName", "name", "chartName"].iter().find_map(|key| chart.get(key)).unwrap_or(chart);
                self.lose(Loss::Objects, named.span(), format!("the chart `{}` is not rendered", named.text().unwrap_or_default()));
            }
        }
        for entry in kustomization.items_of("generators") {
            self.plugins(folder, entry, gathered, Loss::Objects, Self::run_generator)?;
        }
        Ok(())
    }

    fn run_generator(&mut self, folder: &str, plugin: &Object, gathered: &mut Gathered) -> Result<bool, Spent> {
        let made = match plugin.kind() {
            "ConfigMapGenerator" => Made::ConfigMap,
            "SecretGenerator" => Made::Secret,
            _ => return Ok(false),
        };
        let mut entry = plugin.value.clone();
        for key in ["name", "namespace"] {
            if entry.get(key).is_some() {
                continue;
            }
            if let Some(value) = plugin.value.get("metadata").and_then(|metadata| metadata.get(key)) {
                entry.set(made_key(key, value.span()), value.clone());
            }
        }
        self.generate_one(folder, made, &entry, None, gathered)?;
        Ok(true)
    }

    fn generate_one(
        &mut self,
        folder: &str,
        made: Made,
        entry: &Value,
        options: Option<&Value>,
        gathered: &mut Gathered,
    ) -> Result<(), Spent> {
        let Some(Value::Scalar(name)) = entry.get("name").filter(|name| !name.is_null()) else { return Ok(()) };
        let at = name.span;
        let mut value = Value::mapping(at);
        let text = |text: &str| Value::Scalar(Scalar::plain(text, at));
        value.set(made_key("apiVersion", at), text("v1"));
        value.set(made_key("kind", at), text(if made == Made::Secret { "Secret" } else { "ConfigMap" }));
        let mut metadata = Value::mapping(at);
        metadata.set(made_key("name", at), text_value(name));
        if let Some(Value::Scalar(namespace)) = entry.get("namespace").filter(|namespace| !namespace.is_null()) {
            metadata.set(made_key("namespace", namespace.span), text_value(namespace));
        }
        let own = entry.get("options");
        // The options of the entry win over those of the kustomization.
        for given in [options, own].into_iter().flatten() {
            for key in ["labels", "annotations"] {
                for (name, value) in given.get(key).map(Value::entries).unwrap_or_default() {
                    if let Value::Scalar(scalar) = value {
                        put(&mut metadata, key, name.clone(), text_value(scalar));
                    }
                }
            }
        }
        value.set(made_key("metadata", at), metadata);
        let is_set = |key: &str| [options, own].into_iter().flatten().find(|given| given.flag(key));
        if made == Made::Secret {
            let kind = entry.get("type").filter(|kind| kind.text().is_some_and(|text| !text.is_empty()) && !kind.is_null());
            let kind = kind.cloned().unwrap_or_else(|| text("Opaque"));
            value.set(made_key("type", kind.span()), kind);
            value.set(made_key("data", at), Value::mapping(at));
        }
        self.purse.pay(gathered.objects.len() + value.weight())?;
        let before = self.not_evaluated.len();
        for pair in self.pairs(folder, entry) {
            let known = ["data", "binaryData"].iter().filter_map(|map| value.get(map)).map(|map| map.entries().len()).sum::<usize>();
            self.purse.pay(1 + (pair.bytes.len() + known) / 64)?;
            add_pair(&mut value, made, pair);
        }
        if let Some(immutable) = is_set("immutable").and_then(|given| given.get("immutable")) {
            value.set(made_key("immutable", immutable.span()), Value::Scalar(Scalar::plain("true", immutable.span())));
        }
        let mut object = Object::new(value);
        object.hashed = is_set("disableNameSuffixHash").is_none();
        object.partial = self.not_evaluated.len() > before;
        self.absorb(object, entry.text_of("behavior").unwrap_or_default(), at, gathered)
    }

    /// Adds what is generated, or puts it in the place of what is there.
    fn absorb(&mut self, mut object: Object, behavior: &str, named: Span, gathered: &mut Gathered) -> Result<(), Spent> {
        let id = object.current();
        let known = gathered.objects.iter_mut().find(|known| known.was(object.group_version(), &id));
        let Some(known) = known else {
            if matches!(behavior, "merge" | "replace") {
                let name = object.name().to_owned();
                self.problem(ProblemKind::Target, named, &name);
            }
            gathered.objects.push(object);
            return Ok(());
        };
        let entries = |value: &Value| value.get("data").map_or(0, |data| data.entries().len());
        self.purse.pay(known.value.weight() + object.value.weight() + entries(&known.value) * entries(&object.value) / 64)?;
        // Without a behaviour kustomize refuses the second one of a name; merging shows most of what is meant.
        let merges = behavior != "replace";
        let mut metadata = known.value.get("metadata").cloned().unwrap_or_else(|| Value::mapping(named));
        if let Some(own) = object.value.get("metadata") {
            for map in ["labels", "annotations"] {
                for (key, value) in own.get(map).map(Value::entries).unwrap_or_default() {
                    put(&mut metadata, map, key.clone(), value.clone());
                }
            }
        }
        // Of the old metadata only these are kept.
        let mut kept = Value::mapping(metadata.span());
        for (key, value) in metadata.entries() {
            if matches!(&*key.text, "name" | "namespace" | "labels" | "annotations") {
                kept.set(key.clone(), value.clone());
            }
        }
        object.value.set(made_key("metadata", kept.span()), kept);
        if merges {
            for map in ["data", "binaryData"] {
                let mut all = known.value.get(map).filter(|map| matches!(map, Value::Mapping { .. })).cloned();
                for (key, value) in object.value.get(map).map(Value::entries).unwrap_or_default() {
                    all.get_or_insert_with(|| Value::mapping(key.span)).set(key.clone(), value.clone());
                }
                match all.filter(|all| !all.entries().is_empty()) {
                    Some(all) => object.value.set(made_key(map, all.span()), all),
                    None => {
                        object.value.remove(map);
                    }
                }
            }
        }
        known.hashed = known.hashed && object.hashed;
        known.partial |= object.partial;
        known.value = object.value;
        Ok(())
    }

    /// The entries that a generator reads: of env files, literals and files, in this order.
    fn pairs(&mut self, folder: &str, entry: &Value) -> Vec<Pair> {
        let mut pairs = Vec::new();
        let legacy = entry.get("env").filter(|env| env.text().is_some() && !env.is_null());
        for source in entry.items_of("envs").iter().chain(legacy) {
            if let Some(path) = self.target(folder, source, Loss::Changes) {
                match self.file(&path) {
                    Ok(file) => pairs.extend(env_pairs(&file.source.text, file.start)),
                    Err(fault) => self.lose(Loss::Changes, source.span(), format!("`{path}` {fault}")),
                }
            }
        }
        for literal in entry.items_of("literals") {
            let Value::Scalar(literal) = literal else { continue };
            let Some((key, value)) = literal.text.split_once('=').filter(|(key, _)| !key.is_empty()) else { continue };
            let (key_span, span) = self.literal_spans(literal, key, value);
            let bytes = unquoted(value).as_bytes().to_vec();
            pairs.push(Pair { key: Scalar::plain(key, key_span), bytes, span, style: literal.style });
        }
        for source in entry.items_of("files") {
            let Value::Scalar(scalar) = source else { continue };
            let (key, path) = match scalar.text.split_once('=') {
                Some((key, path)) => (key, path),
                None => (scalar.text.rsplit('/').next().unwrap_or_default(), &*scalar.text),
            };
            let target = Value::Scalar(Scalar { text: path.into(), ..scalar.clone() });
            let Some(path) = self.target(folder, &target, Loss::Changes) else { continue };
            let key = Scalar::plain(key, scalar.span);
            match self.file(&path) {
                Ok(file) => {
                    let end = file.start as usize + file.source.text.len();
                    // A byte order mark belongs to the data, and UTF-16 is no text here.
                    let raw = if file.source.bom { self.tree.read(&path).ok() } else { None };
                    let bytes = raw.unwrap_or_else(|| file.source.text.clone().into_bytes());
                    pairs.push(Pair { key, bytes, span: Span::new(file.start as usize, end), style: Style::Literal });
                }
                // What is no text has no place but where it is named.
                Err(_) => match self.tree.read(&path).ok() {
                    Some(bytes) => pairs.push(Pair { key, bytes, span: scalar.span, style: Style::Plain }),
                    None => self.lose(Loss::Changes, scalar.span, format!("`{path}` cannot be read")),
                },
            }
        }
        pairs
    }

    /// Where key and value of a literal stand; the whole literal where it is written with escapes.
    fn literal_spans(&self, literal: &Scalar, key: &str, value: &str) -> (Span, Span) {
        let raw = self.joined.slice(literal.span);
        let Some(start) = raw.find(&*literal.text) else { return (literal.span, literal.span) };
        let start = literal.span.start as usize + start;
        let from = start + key.len() + 1;
        let quote = (value.len() - unquoted(value).len()) / 2;
        (Span::new(start, start + key.len()), Span::new(from + quote, from + value.len() - quote))
    }
}

/// An entry of what is generated.
#[derive(Debug)]
struct Pair {
    key: Key,
    bytes: Vec<u8>,
    span: Span,
    style: Style,
}

/// The text within quotes.
fn unquoted(value: &str) -> &str {
    ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(value)
}

/// The lines of an env file, which have no quotes and no escapes.
fn env_pairs(text: &str, start: u32) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut at = start as usize;
    for line in text.split_inclusive('\n') {
        let body = line.strip_suffix('\n').unwrap_or(line);
        let body = body.strip_suffix('\r').unwrap_or(body);
        let trimmed = body.trim_start();
        let from = at + body.len() - trimmed.len();
        at += line.len();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let (key, value) = trimmed.split_once('=').unwrap_or((trimmed, ""));
        let end = from + trimmed.len();
        let key_span = Span::new(from, from + key.len());
        let span = if key.len() == trimmed.len() { key_span } else { Span::new(end - value.len(), end) };
        pairs.push(Pair { key: Scalar::plain(key, key_span), bytes: value.as_bytes().to_vec(), span, style: Style::Plain });
    }
    pairs
}

fn add_pair(value: &mut Value, made: Made, pair: Pair) {
    let Pair { key, bytes, span, style } = pair;
    let (map, text) = match (made, String::from_utf8(bytes)) {
        (Made::ConfigMap, Ok(text)) => ("data", text),
        (Made::ConfigMap, Err(error)) => ("binaryData", base64(error.as_bytes())),
        (Made::Secret, Ok(text)) => ("data", base64(text.as_bytes())),
        (Made::Secret, Err(error)) => ("data", base64(error.as_bytes())),
    };
    // Whatever it looks like, an entry is a text.
    let mut scalar = Scalar { style, ..Scalar::plain(text, span) };
    stringify(&mut scalar);
    put(value, map, key, Value::Scalar(scalar));
}

/// Base64 as kustomize writes it: in lines, where there is more than one.
fn base64(bytes: &[u8]) -> String {
    const LINE: usize = 70;
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4_usize {
            let sign = SIGNS.get((bits >> (18 - 6 * at)) as usize & 63).copied().unwrap_or(b'=');
            text.push(if at > chunk.len() { '=' } else { char::from(sign) });
        }
    }
    if text.len() >= LINE {
        let mut lines = String::with_capacity(text.len() + text.len() / LINE + 1);
        let mut rest = &*text;
        while !rest.is_empty() {
            let (line, tail) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
            lines.push_str(line);
            lines.push('\n');
            rest = tail;
        }
        return lines;
    }
    text
}

/// The digest of what a `ConfigMap` or Secret holds, as kustomize writes it behind the name. The name itself is left
/// open in it, whatever it is.
pub(super) fn digest(object: &Value) -> String {
    let text = |value: Option<&Value>| json_text(value.and_then(Value::text).unwrap_or_default());
    let map = |key: &str| object.get(key).filter(|map| matches!(map, Value::Mapping { .. })).map(json_map);
    let data = map("data").unwrap_or_else(|| "\"\"".to_owned());
    let kind = object.text_of("kind").unwrap_or_default();
    let mut json = String::from("{");
    if kind == "Secret" {
        let _ = write!(json, "\"data\":{data},\"kind\":\"Secret\",\"name\":\"\"");
        if let Some(string_data) = map("stringData") {
            let _ = write!(json, ",\"stringData\":{string_data}");
        }
        let _ = write!(json, ",\"type\":{}", text(object.get("type")));
    } else {
        if let Some(binary_data) = map("binaryData") {
            let _ = write!(json, "\"binaryData\":{binary_data},");
        }
        let _ = write!(json, "\"data\":{data},\"kind\":\"ConfigMap\",\"name\":\"\"");
    }
    json.push('}');
    let mut signs = String::new();
    for byte in Sha256::digest(json.as_bytes()).iter().take(5) {
        let _ = write!(signs, "{byte:02x}");
    }
    // No vowels and no digits that look like them, so that no word comes of it.
    signs
        .chars()
        .map(|sign| match sign {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            sign => sign,
        })
        .collect()
}

fn json_map(map: &Value) -> String {
    let mut entries: Vec<(&str, &str)> = map.entries().iter().map(|(key, value)| (&*key.text, value.text().unwrap_or_default())).collect();
    entries.sort_unstable();
    let parts: Vec<String> = entries.into_iter().map(|(key, value)| format!("{}:{}", json_text(key), json_text(value))).collect();
    format!("{{{}}}", parts.join(","))
}

/// A text in JSON as Go writes it, which also escapes what HTML takes for signs.
fn json_text(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            character => json.push(character),
        }
    }
    json.push('"');
    json
}
