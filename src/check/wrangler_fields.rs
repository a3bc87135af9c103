//! The table of fields that wrangler configuration files may hold.

use crate::error::SetupError;
use crate::rule::Reader;
use crate::suppress::Date;
use crate::syntax::{Node, Reading, Scalar};

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldType {
    Text,
    Bool,
    Number,
    List,
    Table,
    Any,
}

impl FieldType {
    const ALL: &'static [Self] = &[Self::Text, Self::Bool, Self::Number, Self::List, Self::Table, Self::Any];

    fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bool => "bool",
            Self::Number => "number",
            Self::List => "list",
            Self::Table => "table",
            Self::Any => "any",
        }
    }

    /// With its article, for messages.
    pub(crate) fn said(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Bool => "`true` or `false`",
            Self::Number => "a number",
            Self::List => "a list",
            Self::Table => "a table",
            Self::Any => "anything",
        }
    }

    /// Whether a value is of the type. A bare date of TOML counts as text.
    pub(crate) fn takes(self, value: Node<'_>) -> bool {
        let scalar = value.scalar(Reading::Yaml12);
        match self {
            Self::Text => matches!(scalar, Some(Scalar::Text(_))),
            Self::Bool => matches!(scalar, Some(Scalar::Bool(_))),
            // TOML writes `1_000` too.
            Self::Number => {
                let grouped = matches!(scalar, Some(Scalar::Text(text)) if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_'));
                matches!(scalar, Some(Scalar::Number(_))) || (grouped && value.style() == crate::syntax::Style::Plain)
            }
            Self::List => value.is_sequence(),
            Self::Table => value.is_mapping(),
            Self::Any => true,
        }
    }
}

/// One field of a table.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: FieldType,
    pub(crate) required: bool,
}

/// A name, or a path with dots, and what to do instead.
pub(crate) type Advice = (String, String);

/// The whole table.
#[derive(Debug)]
pub(crate) struct WranglerFields {
    /// The day on which the table was right, for scans that know no other.
    pub(crate) as_of: Option<Date>,
    pub(crate) top: Vec<Field>,
    pub(crate) environment: Vec<Field>,
    pub(crate) tables: Vec<(String, Vec<Field>)>,
    pub(crate) removed: Vec<Advice>,
    pub(crate) retired: Vec<Advice>,
    pub(crate) deprecated: Vec<Advice>,
    pub(crate) pages: Vec<String>,
    pub(crate) generated: Vec<String>,
}

fn fields(reader: Reader<'_>) -> Result<Vec<Field>, SetupError> {
    let mut fields = Vec::new();
    for (name, value) in reader.pairs(&[])? {
        let text = value.text()?;
        let (word, required) = text.strip_suffix('!').map_or((text, false), |word| (word, true));
        let known = FieldType::ALL.iter().copied().find(|kind| kind.word() == word);
        let kind = known.ok_or_else(|| value.error("unknown type").suggest(word, FieldType::ALL.iter().map(|kind| kind.word())))?;
        fields.push(Field { name: name.to_owned(), kind, required });
    }
    Ok(fields)
}

fn advice(reader: Reader<'_>) -> Result<Vec<Advice>, SetupError> {
    reader.pairs(&[])?.into_iter().map(|(name, value)| Ok((name.to_owned(), value.text()?.to_owned()))).collect()
}

impl WranglerFields {
    pub(crate) fn read(reader: Reader<'_>) -> Result<Self, SetupError> {
        let mut table = Self {
            as_of: None,
            top: Vec::new(),
            environment: Vec::new(),
            tables: Vec::new(),
            removed: Vec::new(),
            retired: Vec::new(),
            deprecated: Vec::new(),
            pages: Vec::new(),
            generated: Vec::new(),
        };
        for (key, value) in
            reader.pairs(&["as-of", "top", "environment", "tables", "removed", "retired", "deprecated", "pages", "generated"])?
        {
            match key {
                "as-of" => table.as_of = Some(value.text()?.parse().map_err(|error: String| value.error(error))?),
                "top" => table.top = fields(value)?,
                "environment" => table.environment = fields(value)?,
                "tables" => {
                    for (path, value) in value.pairs(&[])? {
                        table.tables.push((path.to_owned(), fields(value)?));
                    }
                }
                "removed" => table.removed = advice(value)?,
                "retired" => table.retired = advice(value)?,
                "deprecated" => table.deprecated = advice(value)?,
                "pages" => table.pages = value.texts()?,
                _ => table.generated = value.texts()?,
            }
        }
        Ok(table)
    }

    /// The fields of a table by its path in an environment, such as `queues.consumers`; nothing where they are free.
    pub(crate) fn table(&self, path: &str) -> Option<&[Field]> {
        self.tables.iter().find(|(known, _)| known == path).map(|(_, fields)| fields.as_slice())
    }

    /// A field of the top level or of an environment.
    pub(crate) fn outer(&self, name: &str, top: bool) -> Option<&Field> {
        let fields = if top { self.top.as_slice() } else { &[] };
        fields.iter().chain(&self.environment).find(|field| field.name == name)
    }

    /// Whether a build tool has written the configuration.
    pub(crate) fn is_generated(&self, root: Node<'_>) -> bool {
        self.generated.iter().any(|key| root.get(key).is_some())
    }
}

#[cfg(test)]
mod tests {
    use crate::rule::RuleSet;

    #[test]
    fn every_path_of_the_table_leads_somewhere() {
        let Ok(rules) = RuleSet::load(&[]) else { unreachable!("the built-in rules load") };
        let fields = &rules.data.wrangler;
        let known = |path: &str| match path.rsplit_once('.') {
            Some((table, name)) => fields.table(table).is_some_and(|table| table.iter().any(|field| field.name == name)),
            None => fields.outer(path, true).is_some(),
        };
        for path in fields.tables.iter().map(|(path, _)| path).chain(fields.deprecated.iter().map(|(path, _)| path)).chain(&fields.pages) {
            assert!(known(path), "{path}");
        }
        for (name, _) in fields.removed.iter().chain(&fields.retired) {
            assert!(!known(name), "{name} is known and no longer read");
        }
        assert!(fields.as_of.is_some());
    }
}
