//! The table of deprecated and removed API versions, and Kubernetes versions.

use std::str::FromStr;

use crate::error::SetupError;
use crate::rule::Reader;

/// A Kubernetes (or other product's) minor version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl FromStr for Version {
    type Err = String;

    /// Reads `1.34`, `v1.34` or `1.34.2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.trim_start_matches('v').split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self { major, minor }),
            _ => Err(format!("`{text}` is no version; write it as 1.34")),
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// One row: kinds of an API version that are gone from a version on.
#[derive(Debug)]
pub(crate) struct ApiVersion {
    /// Product, `kubernetes`, `cert-manager` or `istio`.
    pub(crate) product: String,
    pub(crate) api: String,
    /// Empty: every kind.
    pub(crate) kinds: Vec<String>,
    pub(crate) deprecated: Option<Version>,
    pub(crate) removed: Option<Version>,
    pub(crate) instead: String,
}

/// All rows.
#[derive(Debug)]
pub(crate) struct ApiVersions {
    /// The newest Kubernetes version that the table knows.
    pub(crate) newest: Version,
    rows: Vec<ApiVersion>,
}

impl ApiVersions {
    pub(crate) fn read(reader: Reader<'_>) -> Result<Self, SetupError> {
        let mut table = Self { newest: Version::default(), rows: Vec::new() };
        let version = |value: Reader<'_>| value.text()?.parse().map_err(|error: String| value.error(error));
        for (key, value) in reader.pairs(&[])? {
            if key == "newest" {
                table.newest = version(value)?;
                continue;
            }
            for row in value.items()? {
                let mut read = ApiVersion {
                    product: key.to_owned(),
                    api: String::new(),
                    kinds: Vec::new(),
                    deprecated: None,
                    removed: None,
                    instead: String::new(),
                };
                for (field, value) in row.pairs(&["api", "kinds", "deprecated", "removed", "use"])? {
                    match field {
                        "api" => value.text()?.clone_into(&mut read.api),
                        "kinds" => read.kinds = value.texts()?,
                        "deprecated" => read.deprecated = Some(version(value)?),
                        "removed" => read.removed = Some(version(value)?),
                        _ => value.text()?.clone_into(&mut read.instead),
                    }
                }
                table.rows.push(read);
            }
        }
        Ok(table)
    }

    /// The row of an object's version, where it has one.
    pub(crate) fn row(&self, api: &str, kind: &str) -> Option<&ApiVersion> {
        self.rows.iter().find(|row| row.api == api && (row.kinds.is_empty() || row.kinds.iter().any(|known| known == kind)))
    }
}
