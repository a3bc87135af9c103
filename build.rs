//! Embeds every file of `rules/` as its text and its parsed nodes, so that no second list of rules exists and a run
//! does not parse what never changes. `src/syntax/compiled.rs` reads what is written here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=rules");
    println!("cargo::rerun-if-changed=build.rs");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut files = Vec::new();
    list(&root.join("rules"), &mut files)?;
    files.sort();
    let mut table = String::from("/// Every file below `rules/`: path, text, nodes.\nstatic BUILTIN: &[Builtin] = &[\n");
    for (number, file) in files.into_iter().enumerate() {
        let name = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        let mut nodes = Vec::new();
        compile(&fs::read_to_string(&file)?, &mut nodes).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        let compiled = out.join(format!("{number}.nodes"));
        fs::write(&compiled, nodes)?;
        let (text, nodes) = (file.to_string_lossy(), compiled.to_string_lossy());
        let _ = writeln!(table, "    Builtin {{ path: {name:?}, text: include_str!({text:?}), nodes: include_bytes!({nodes:?}) }},");
    }
    table.push_str("];\n");
    fs::write(out.join("builtin.rs"), table)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

/// Writes the nodes of one document: for each a tag, and for all but the end of a collection its span in the text.
/// Rule files have neither anchors nor tags.
fn compile(text: &str, nodes: &mut Vec<u8>) -> Result<(), String> {
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let range = span.byte_range().unwrap_or_default();
        let mut put = |tag: u8| {
            nodes.push(tag);
            if tag != b'<' {
                nodes.extend((range.start as u32).to_le_bytes());
                nodes.extend((range.end as u32).to_le_bytes());
            }
        };
        match event {
            Event::Scalar(value, style, 0, None) => {
                let value = if range.is_empty() { "" } else { &*value };
                put(match style {
                    ScalarStyle::Plain => b'p',
                    ScalarStyle::SingleQuoted => b's',
                    ScalarStyle::DoubleQuoted => b'd',
                    ScalarStyle::Literal => b'l',
                    ScalarStyle::Folded => b'f',
                });
                // The text of most scalars stands in the file, with or without quotes around it.
                let raw = text.get(range.clone()).unwrap_or_default();
                let inner = |trim: &u8| raw.get(usize::from(*trim)..raw.len().saturating_sub(usize::from(*trim)));
                let trim = [0, 1].into_iter().find(|trim| inner(trim) == Some(value));
                if let Some(trim) = trim {
                    nodes.push(trim);
                } else {
                    nodes.push(u8::MAX);
                    nodes.extend((value.len() as u32).to_le_bytes());
                    nodes.extend(value.as_bytes());
                }
            }
            Event::SequenceStart(style, 0, None) => put(if style == StructureStyle::Block { b'-' } else { b'[' }),
            Event::MappingStart(style, 0, None) => put(if style == StructureStyle::Block { b':' } else { b'{' }),
            Event::SequenceEnd | Event::MappingEnd => {
                put(b'<');
                nodes.extend((range.end as u32).to_le_bytes());
            }
            Event::DocumentStart(..) => documents += 1,
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(..) => {
                return Err(format!("byte {}: anchors, aliases and tags are not for rule files", range.start));
            }
            _ => {}
        }
    }
    if documents == 1 { Ok(()) } else { Err(format!("one document is expected, this file holds {documents}")) }
}
