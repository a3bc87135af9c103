//! Relative paths start from the folder of the file that says them; in a composed document, from that of the environment.

use super::super::{Scalar, Value};

/// Rewrites the relative paths of a document that starts from one folder so that they start from another.
pub(super) fn rebase(root: &mut Value, from: &str, to: &str) {
    if from == to {
        return;
    }
    let path = |value: &mut Value| move_path(value, from, to);
    each(root.get_mut("services"), |service| rebase_service(service, &path));
    for key in ["configs", "secrets"] {
        each(root.get_mut(key), |resource| {
            resource.get_mut("file").map(path);
        });
    }
    each(root.get_mut("volumes"), |volume| {
        let Some(options) = volume.get_mut("driver_opts") else { return };
        if options.get("o").and_then(Value::text) == Some("bind") {
            options.get_mut("device").map(path);
        }
    });
}

/// Writes out the context of builds that have none, which is the folder of the project that is included.
pub(super) fn state_contexts(root: &mut Value, from: &str, to: &str) {
    each(root.get_mut("services"), |service| {
        let Some(build) = service.get_mut("build").filter(|build| build.get("context").is_none() && build.text().is_none()) else { return };
        let place = build.span();
        let mut context = Value::Scalar(Scalar::plain(".", place));
        move_path(&mut context, from, to);
        build.set(Scalar::plain("context", place), context);
    });
}

fn rebase_service(service: &mut Value, path: &impl Fn(&mut Value)) {
    if let Some(build) = service.get_mut("build") {
        if build.text().is_some() {
            path(build);
        } else {
            build.get_mut("context").map(path);
            each(build.get_mut("additional_contexts"), |context| match context {
                // In a list, the name stands before the path.
                Value::Scalar(scalar) if scalar.text.contains('=') => {
                    let (name, place) = scalar.text.split_once('=').unwrap_or_default();
                    let mut moved = Value::Scalar(Scalar::plain(place, scalar.span));
                    path(&mut moved);
                    scalar.text = format!("{name}={}", moved.text().unwrap_or_default()).into();
                }
                context => path(context),
            });
        }
    }
    for key in ["env_file", "label_file"] {
        match service.get_mut(key) {
            Some(list @ Value::Sequence { .. }) => each(Some(list), |entry| match entry.get_mut("path") {
                Some(file) => path(file),
                None => path(entry),
            }),
            Some(one) => path(one),
            None => {}
        }
    }
    each(service.get_mut("volumes"), |volume| {
        if volume.get("type").and_then(Value::text) == Some("bind") {
            volume.get_mut("source").map(path);
        } else if volume.text().is_some_and(|text| text.starts_with('.')) {
            path(volume);
        }
    });
    each(service.get_mut("develop").and_then(|develop| develop.get_mut("watch")), |watch| {
        watch.get_mut("path").map(path);
    });
}

/// Every item or value of a collection.
fn each(collection: Option<&mut Value>, mut act: impl FnMut(&mut Value)) {
    let Some(collection) = collection else { return };
    match collection {
        Value::Sequence { items, .. } => items.iter_mut().for_each(act),
        Value::Mapping { entries, .. } => entries.iter_mut().for_each(|(_, value)| act(value)),
        Value::Scalar(_) => {}
    }
}

fn move_path(value: &mut Value, from: &str, to: &str) {
    let Value::Scalar(scalar) = value else { return };
    // The source of a volume ends at its colon.
    let (path, rest) = match scalar.text.find(':') {
        Some(colon) => scalar.text.split_at_checked(colon).unwrap_or((&scalar.text, "")),
        None => (&*scalar.text, ""),
    };
    let scheme = rest.starts_with("://") || rest.starts_with(":\\") || path == "service";
    if path.is_empty() || path.starts_with(['/', '~', '$', '\\']) || scheme || path.starts_with("git@") || path.starts_with("github.com/") {
        return;
    }
    scalar.text = format!("{}{rest}", moved(path, from, to)).into();
}

/// A path that starts from one folder as it reads from another.
fn moved(path: &str, from: &str, to: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let home: Vec<&str> = to.split('/').filter(|part| !part.is_empty()).collect();
    let shared = parts.iter().zip(&home).take_while(|(part, home)| part == home).count();
    let up = home.len() - shared;
    let down = parts.get(shared..).unwrap_or_default().join("/");
    match (up, down.as_str()) {
        (0, "") => ".".to_owned(),
        (0, down) => format!("./{down}"),
        (up, "") => vec![".."; up].join("/"),
        (up, down) => format!("{}{down}", "../".repeat(up)),
    }
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn paths_are_read_from_another_folder() {
        for (path, from, to, expected) in [
            ("./data", "db", "", "./db/data"),
            ("data", "a/b", "a", "./b/data"),
            ("../shared", "a/b", "a", "./shared"),
            (".", "a", "b", "../a"),
            ("..", "a/b", "a", "."),
            ("../../x", "a", "a/b", "../../../x"),
        ] {
            assert_eq!(moved(path, from, to), expected, "{path} of {from} from {to}");
        }
    }
}
