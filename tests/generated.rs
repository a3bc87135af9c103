//! Generated pages are current. `UPDATE=1 cargo test --test generated` writes them.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;

use preflint::{RuleSet, config_schema};

#[test]
fn rule_pages_are_current() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("docs/rules");
    let pages = RuleSet::load(&[])?.pages();
    let update = std::env::var_os("UPDATE").is_some();
    let wanted: BTreeSet<String> = pages.iter().map(|(name, _)| name.clone()).collect();
    let there: BTreeSet<String> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    if update {
        fs::create_dir_all(folder)?;
        for stale in there.difference(&wanted) {
            fs::remove_file(folder.join(stale))?;
        }
        for (name, text) in &pages {
            fs::write(folder.join(name), text)?;
        }
        return Ok(());
    }
    assert_eq!(there, wanted, "run UPDATE=1 cargo test --test generated");
    for (name, text) in pages {
        assert!(
            fs::read_to_string(folder.join(&name))? == text,
            "docs/rules/{name} is not current: run UPDATE=1 cargo test --test generated"
        );
    }
    Ok(())
}

#[test]
fn the_schema_of_the_configuration_is_current() -> Result<(), Box<dyn Error>> {
    let path = Path::new("schemas/config.json");
    let schema = config_schema(&RuleSet::load(&[])?);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, schema)?;
        return Ok(());
    }
    assert!(fs::read_to_string(path)? == schema, "schemas/config.json is not current: run UPDATE=1 cargo test --test generated");
    Ok(())
}
