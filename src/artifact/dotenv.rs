//! `.env` files and `.dev.vars`: one variable a line.

use super::{Artifact, Context, Placement, Variable, interpolated};
use crate::finding::Object;
use crate::rule::ArtifactKind;
use crate::syntax::Node;

pub(super) fn artifact<'d>(root: Node<'d>, context: &Context) -> Artifact<'d> {
    let object = Object { kind: "variable".to_owned(), ..Object::default() };
    let mut artifact = Artifact::new(ArtifactKind::Dotenv, root, object, context);
    for (key, value) in root.pairs() {
        let (Some(name), Some(text)) = (key.text(), value.text()) else { continue };
        let (text, span) = interpolated(text, value.value_span());
        let mut variable = Variable::new(name, text, span, Placement::Dotenv, value, context.scope);
        variable.block = 0;
        artifact.variables.push(variable);
    }
    artifact
}
