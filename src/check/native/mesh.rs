//! Native checks of pack tls about what a service mesh encrypts.

use super::availability::renders_elsewhere;
use crate::artifact::TargetKind;
use crate::check::Run;
use crate::finding::Confidence;
use crate::project::{FactSort, MeshFacts, ProjectRun, Traffic};
use crate::syntax::Node;

/// Settings of Istio that let plain text through.
pub(crate) fn mesh_plaintext_allowed(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let Some(place) = artifact.targets(TargetKind::Object).next() else { continue };
        let (name, spec) = (&place.object.name, artifact.root.get("spec"));
        match (place.object.kind.as_str(), place.group) {
            ("PeerAuthentication", "security.istio.io") => {
                let mode = spec.and_then(|spec| spec.at_path(&["mtls", "mode"]));
                let Some((node, word)) = mode.and_then(|mode| Some((mode, mode.text()?))) else { continue };
                if matches!(word, "PERMISSIVE" | "DISABLE") {
                    let what = if word == "DISABLE" { "switches mutual TLS off" } else { "accepts plain text beside mutual TLS" };
                    run.report_at(place, node, format!("PeerAuthentication `{name}` {what}"));
                }
            }
            ("DestinationRule", "networking.istio.io") => {
                let host = spec.and_then(|spec| spec.text_of("host")).unwrap_or_default();
                // What is outside of the mesh has no mutual TLS.
                let inside = !host.contains('.') || host.ends_with(".svc.cluster.local") || host.ends_with(".svc") || host == "*.local";
                let policies = spec.into_iter().flat_map(|spec| {
                    let subsets = spec.get("subsets").into_iter().flat_map(Node::items).filter_map(|subset| subset.get("trafficPolicy"));
                    spec.get("trafficPolicy").into_iter().chain(subsets)
                });
                let modes = policies.filter_map(|policy| policy.at_path(&["tls", "mode"]));
                for mode in modes.filter(|mode| inside && mode.text() == Some("DISABLE")) {
                    run.report_at(place, mode, format!("DestinationRule `{name}` sends plain text to `{host}`"));
                }
            }
            _ => {}
        }
    }
}

/// Namespaces of a mesh in which nothing refuses plain text.
pub(crate) fn mesh_not_strict(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for namespace in group.all(FactSort::Mesh).filter(|facts| facts.complete) {
        let Some(Traffic::Mesh(MeshFacts::Namespace { injected: Some(label) })) = &namespace.traffic else { continue };
        let name = &namespace.object.name;
        let mut authentications = group.all(FactSort::Mesh).filter(|facts| match &facts.traffic {
            Some(Traffic::Mesh(MeshFacts::Authentication { whole })) => {
                let of = facts.namespace();
                // One of the root namespace holds for all of them.
                *whole && (of == name || of.is_empty() || of == "istio-system" || of.contains("istio"))
            }
            _ => false,
        });
        // One that is not strict is reported by itself.
        let runs = group.workloads(&namespace.path).any(|(facts, _)| facts.namespace() == name);
        if !runs
            || authentications.next().is_some()
            || renders_elsewhere(group, namespace)
            || run.is_external("PeerAuthentication", "default")
        {
            continue;
        }
        let message = format!("nothing makes mutual TLS strict in namespace `{name}` of the mesh, so its pods accept plain text");
        run.report(namespace, label.at.span, &label.path, message).confidence = Confidence::Low;
    }
}
