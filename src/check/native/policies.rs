//! Native checks of pack network over policies and the pods that they select.

use std::collections::{BTreeMap, BTreeSet};

use super::availability::{has_neighbours, is_operators, makes_pods, pod_labels, related, renders_elsewhere, selecting_nothing};
use crate::project::{Detail, FactSort, Group, ObjectFacts, PeerFacts, PolicyFacts, ProjectRun, Selector, WorkloadFacts, may_be_one};

/// Label that every namespace has with its own name.
const NAME: &str = "kubernetes.io/metadata.name";

/// Pods that everybody may reach, and that may reach everybody.
pub(crate) fn network_policy_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    // A remote base may bring the policies along.
    if run.is_given("NetworkPolicy") || group.build.open && !group.name.is_empty() {
        return;
    }
    for facts in group.all(FactSort::Workload).filter(|facts| facts.complete && facts.object.kind != "PodTemplate") {
        let Detail::Workload(WorkloadFacts { labels, pod, containers, replicas, .. }) = &facts.detail else { continue };
        let declared = run.is_external("NetworkPolicy", facts.namespace());
        if pod.host_network || containers.is_empty() || *replicas == Some(0) || declared {
            continue;
        }
        let policies = group.selecting(FactSort::NetworkPolicy, facts, labels);
        if policies.iter().any(|policy| matches!(&policy.detail, Detail::NetworkPolicy(PolicyFacts { ingress: true, .. }))) {
            continue;
        }
        let name = &facts.object.name;
        let Some(policy) = policies.first() else {
            run.report(facts, facts.name_span, "metadata.name", format!("no NetworkPolicy selects the pods of `{name}`"));
            continue;
        };
        let message = format!("the policies that select the pods of `{name}` do not say who may reach them");
        let draft = run.report(facts, facts.name_span, "metadata.name", message);
        draft.confidence = draft.confidence.lower();
        draft.related.push(related(policy, policy.name_span, "a policy for egress"));
    }
}

/// A policy that protects no pod.
pub(crate) fn policy_selects_nothing(run: &mut ProjectRun<'_>) {
    for facts in selecting_nothing(run.group, FactSort::NetworkPolicy) {
        let Detail::NetworkPolicy(PolicyFacts { selector_span, everywhere: false, .. }) = &facts.detail else { continue };
        let path = if facts.object.kind == "NetworkPolicy" { "spec.podSelector" } else { "spec.endpointSelector" };
        let message = format!("{} `{}` selects no pod of its namespace", facts.object.kind, facts.object.name);
        run.report(facts, *selector_span, path, message);
    }
    in_wrong_namespace(run);
}

/// Policies in a namespace of which nothing else is known, for pods that are all in another one.
fn in_wrong_namespace(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for facts in group.all(FactSort::NetworkPolicy).filter(|facts| facts.complete) {
        let Detail::NetworkPolicy(PolicyFacts { selector, everywhere: false, .. }) = &facts.detail else { continue };
        let namespace = facts.namespace();
        if selector.labels.is_empty() || namespace.is_empty() || has_neighbours(group, facts) || renders_elsewhere(group, facts) {
            continue;
        }
        let found = group.selected_by(&facts.path, selector);
        let Some((first, _)) = found.first().filter(|_| found.iter().all(|(other, _)| !other.may_share_namespace(facts))) else {
            continue;
        };
        let (kind, name, other) = (&facts.object.kind, &facts.object.name, first.namespace());
        let message = format!("{kind} `{name}` is in namespace `{namespace}`, but the pods with its labels are in `{other}`");
        let draft = run.report(facts, facts.name_span, "metadata.namespace", message);
        draft.confidence = draft.confidence.lower();
        draft.related.push(related(first, first.name_span, "pods with these labels"));
    }
}

/// A namespace of the project: what makes it with just these labels, if that is known.
struct Known<'a> {
    made_by: Option<&'a ObjectFacts>,
    labels: BTreeMap<String, String>,
    /// Workloads of the project run there.
    used: bool,
}

fn namespaces<'a>(group: &'a Group<'a>) -> BTreeMap<&'a str, Known<'a>> {
    let mut known: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    for facts in group.all(FactSort::Namespace).filter(|facts| facts.complete) {
        let Detail::Namespace { labels, .. } = &facts.detail else { continue };
        let name = facts.object.name.as_str();
        let mut labels = labels.clone();
        labels.insert(NAME.to_owned(), name.to_owned());
        known.insert(name, Known { made_by: Some(facts), labels, used: false });
    }
    for facts in group.all(FactSort::Workload) {
        let name = facts.namespace();
        let named = || BTreeMap::from([(NAME.to_owned(), name.to_owned())]);
        known.entry(name).or_insert_with(|| Known { made_by: None, labels: named(), used: false }).used = true;
    }
    known.remove("");
    known
}

/// Rules that let nobody in or out, since nobody has the labels.
pub(crate) fn policy_peer_selects_nothing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let mut policies = group.all(FactSort::NetworkPolicy).filter(|facts| facts.complete).peekable();
    if policies.peek().is_none() {
        return;
    }
    let labels = pod_labels(group);
    let namespaces = namespaces(group);
    for facts in policies {
        let Detail::NetworkPolicy(PolicyFacts { peers, .. }) = &facts.detail else { continue };
        for peer in peers {
            match &peer.namespaces {
                None => own_pods(run, facts, peer, &labels),
                Some((selector, _)) if selector.is_empty() => {}
                Some(_) => other_pods(run, facts, peer, &labels, &namespaces),
            }
        }
    }
}

/// A peer of the namespace of the policy.
fn own_pods(run: &mut ProjectRun<'_>, facts: &ObjectFacts, peer: &PeerFacts, labels: &BTreeSet<&str>) {
    let group = run.group;
    let Some((selector, span)) = peer.pods.as_ref().filter(|(selector, _)| !selector.is_empty()) else { return };
    let found = group.selected_by(&facts.path, selector).into_iter().any(|(other, _)| other.may_share_namespace(facts));
    let unknown = renders_elsewhere(group, facts) || !has_neighbours(group, facts);
    if found || unknown || is_operators(selector, labels) || makes_pods(group, facts, selector) {
        return;
    }
    let message = format!("no pod of its namespace has the labels of this peer of NetworkPolicy `{}`", facts.object.name);
    run.report(facts, *span, &format!("{}.podSelector", peer.path), message);
}

/// The values that a selector asks for.
fn values(selector: &Selector) -> impl Iterator<Item = &str> {
    let listed = selector.expressions.iter().filter(|(_, operator, _)| operator == "In").flat_map(|(.., values)| values);
    selector.labels.values().chain(listed).map(String::as_str)
}

/// A peer of other namespaces.
fn other_pods(
    run: &mut ProjectRun<'_>,
    facts: &ObjectFacts,
    peer: &PeerFacts,
    labels: &BTreeSet<&str>,
    namespaces: &BTreeMap<&str, Known<'_>>,
) {
    let group = run.group;
    let Some((wanted, span)) = &peer.namespaces else { return };
    let name = &facts.object.name;
    let found: Vec<&str> = namespaces.iter().filter(|(_, known)| wanted.selects(&known.labels)).map(|(name, _)| *name).collect();
    if found.is_empty() {
        // Only a namespace of the project that is meant by its name can be known to lack the label.
        let meant = values(wanted).find_map(|value| Some((value, namespaces.get(value)?.made_by?)));
        if let Some((value, namespace)) = meant.filter(|(value, _)| !run.is_external("Namespace", value)) {
            let message = format!("Namespace `{value}` does not have the labels that NetworkPolicy `{name}` asks for");
            let draft = run.report(facts, *span, &format!("{}.namespaceSelector", peer.path), message);
            draft.related.push(related(namespace, namespace.name_span, "the Namespace"));
        }
        return;
    }
    let Some((selector, span)) = peer.pods.as_ref().filter(|(selector, _)| !selector.is_empty()) else { return };
    // Labels of a namespace that nothing makes here are not known, so it may be selected as well.
    let all_known = wanted.labels.contains_key(NAME) || wanted.expressions.iter().any(|(key, ..)| key == NAME);
    let unknown = !all_known || found.iter().any(|name| group.is_open(facts, name) || namespaces.get(name).is_none_or(|known| !known.used));
    let selects = group.selected_by(&facts.path, selector).into_iter();
    let mut selected = selects.filter(|(other, _)| found.iter().any(|name| may_be_one(name, other.namespace())));
    if unknown || selected.next().is_some() || is_operators(selector, labels) || makes_pods(group, facts, selector) {
        return;
    }
    let message = format!("no pod of namespace `{}` has the labels of this peer of NetworkPolicy `{name}`", found.join("`, `"));
    run.report(facts, *span, &format!("{}.podSelector", peer.path), message);
}
