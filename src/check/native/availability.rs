//! Native checks of pack availability.

use std::collections::{BTreeMap, BTreeSet};

use crate::artifact::kubernetes::pod_template;
use crate::artifact::{Artifact, PathScope, Role, TargetKind};
use crate::check::{Run, Version};
use crate::finding::Related;
use crate::project::{Detail, Excuse, FactSort, Group, ObjectFacts, ProjectRun, Selector, Spanned, WorkloadFacts, location};
use crate::rule::ArtifactKind;
use crate::source::Span;
use crate::syntax::Node;

pub(super) fn related(facts: &ObjectFacts, span: Span, label: impl Into<String>) -> Related {
    Related { location: location(facts, span), label: label.into() }
}

/// Whether a text is filled in later.
pub(super) fn is_open(text: &str) -> bool {
    text.contains(['$', '{'])
}

/// `3 pods`, `1 pod`.
fn pods(count: i64) -> String {
    if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") }
}

/// Whether workloads of an object's namespace may come from elsewhere than the files of the group: then nothing is
/// missing for sure.
pub(super) fn renders_elsewhere(group: &Group<'_>, of: &ObjectFacts) -> bool {
    group.is_open(of, of.namespace())
}

/// Whether a selector selects pods of a file that may be deployed with an object, though they hold variants of the same.
pub(super) fn variant_matches(group: &Group<'_>, of: &ObjectFacts, selector: &Selector) -> bool {
    group.workloads_everywhere().any(|(facts, workload)| {
        selector.selects(&workload.labels)
            && facts.may_share_namespace(of)
            && !group.is_together(facts, of)
            && group.may_be_together(&facts.path, &of.path)
    })
}

/// Whether a workload of an object's namespace is in the group, so that the others should be, too.
pub(super) fn has_neighbours(group: &Group<'_>, of: &ObjectFacts) -> bool {
    group.workloads(&of.path).any(|(facts, _)| facts.shares_namespace(of))
}

/// An HPA whose target is nowhere in its namespace.
pub(crate) fn hpa_target_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for hpa in group.all(FactSort::Autoscaler).filter(|hpa| hpa.complete) {
        let Detail::Autoscaler { keda: false, target_group, target_kind: kind, target_name: Some(target), .. } = &hpa.detail else {
            continue;
        };
        let name = &target.text;
        let built_in = match kind.as_str() {
            "Deployment" | "StatefulSet" | "ReplicaSet" => matches!(target_group.as_str(), "" | "apps" | "extensions"),
            "ReplicationController" => target_group.is_empty(),
            _ => false,
        };
        if !built_in || is_open(name) || run.is_external(kind, name) {
            continue;
        }
        let path = "spec.scaleTargetRef.name";
        if let Some((found, _)) = group.named(hpa, kind, name).next() {
            // The group is looked up as written; without one it is the core group.
            if target_group.is_empty() && kind != "ReplicationController" {
                let message = format!(
                    "autoscaler `{}` finds no {kind} `{name}`: its `scaleTargetRef` does not say `apiVersion: apps/v1`",
                    hpa.object.name
                );
                run.report(hpa, target.span, path, message).related.push(related(
                    found,
                    found.name_span,
                    format!("the {kind} that is meant"),
                ));
            }
            continue;
        }
        if renders_elsewhere(group, hpa) || !has_neighbours(group, hpa) {
            continue;
        }
        let near = group.workloads(&hpa.path).find(|(facts, _)| facts.object.name == *name);
        let draft = run.report(
            hpa,
            target.span,
            path,
            format!("autoscaler `{}` targets {kind} `{name}`, which is not in its namespace", hpa.object.name),
        );
        if let Some((other, _)) = near {
            let place = if other.object.kind == *kind { "in another namespace" } else { "of another kind" };
            draft.related.push(related(other, other.name_span, format!("the same name, but {place}")));
        }
    }
}

/// A count that both an autoscaler and every apply of the manifest write.
pub(crate) fn hpa_with_fixed_replicas(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for facts in group.all(FactSort::Workload).filter(|facts| facts.complete) {
        let Detail::Workload(WorkloadFacts { replicas, replicas_span: Some(span), .. }) = &facts.detail else { continue };
        // At zero an HPA does nothing: that is how one is switched off.
        if *replicas == Some(0) {
            continue;
        }
        let Some((scaler, _)) = group.autoscalers(facts).find(|(scaler, _)| scaler.shares_namespace(facts)) else { continue };
        let object = &facts.object;
        let left_alone = run
            .scaled_elsewhere
            .iter()
            .any(|(kind, name)| (kind.is_empty() || *kind == object.kind) && (name.is_empty() || *name == object.name));
        if left_alone {
            continue;
        }
        let message = format!("every apply resets the replicas of `{}`, which autoscaler `{}` sets", object.name, scaler.object.name);
        run.report(facts, *span, "spec.replicas", message).related.push(related(scaler, scaler.name_span, "the autoscaler"));
    }
}

/// What identifies an object within a group.
pub(super) fn key(facts: &ObjectFacts) -> (&str, Span) {
    (&facts.path, facts.name_span)
}

/// Several budgets for the same pods.
pub(crate) fn overlapping_pdbs(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let mut reported = BTreeSet::new();
    for facts in group.all(FactSort::Workload) {
        let Detail::Workload(workload) = &facts.detail else { continue };
        let budgets = group.budgets(facts, workload);
        let mut sure = budgets.into_iter().filter(|budget| budget.shares_namespace(facts));
        let Some(first) = sure.next() else { continue };
        // The same name is the same budget, seen twice.
        for second in sure.filter(|second| second.object.name != first.object.name) {
            if reported.insert(key(second)) {
                let message = format!(
                    "budgets `{}` and `{}` both select the pods of `{}`, so none of them can be evicted",
                    first.object.name, second.object.name, facts.object.name
                );
                let draft = run.report(second, second.name_span, "metadata.name", message);
                draft.related.push(related(first, first.name_span, "the other budget"));
                draft.related.push(related(facts, facts.name_span, "the pods that both select"));
            }
        }
    }
}

pub(super) type Workload<'a> = (&'a ObjectFacts, &'a WorkloadFacts);

/// The workloads that each object of a sort may select.
pub(super) fn selected<'a>(group: &Group<'a>, sort: FactSort) -> BTreeMap<(&'a str, Span), Vec<Workload<'a>>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for facts in group.all(FactSort::Workload) {
        let Detail::Workload(workload) = &facts.detail else { continue };
        for selecting in group.selecting(sort, facts, &workload.labels) {
            found.entry(key(selecting)).or_default().push((facts, workload));
        }
    }
    found
}

/// The pods that a bound means, of so many; percentages are rounded up.
fn bound(text: &str, of: i64) -> Option<i64> {
    match text.trim().strip_suffix('%') {
        Some(percent) => percent.parse::<i64>().ok().map(|percent| (percent.saturating_mul(of).saturating_add(99)).div_euclid(100)),
        None => text.trim().parse().ok(),
    }
}

fn percent(text: &str) -> Option<i64> {
    text.trim().strip_suffix('%')?.parse().ok()
}

/// Budgets that never let a pod go.
pub(crate) fn pdb_blocks_eviction(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let selected = selected(group, FactSort::DisruptionBudget);
    for budget in group.all(FactSort::DisruptionBudget) {
        let Detail::DisruptionBudget { min_available, max_unavailable, .. } = &budget.detail else { continue };
        let workloads = selected.get(&key(budget)).map(Vec::as_slice).unwrap_or_default();
        let counts: Option<Vec<i64>> = workloads.iter().map(|(facts, workload)| group.effective_replicas(facts, workload)).collect();
        let total: Option<i64> = counts.filter(|counts| !counts.is_empty()).map(|counts| counts.iter().sum());
        if total == Some(0) {
            continue;
        }
        let whose = match workloads {
            [] => "its pods".to_owned(),
            [(one, _)] => format!("the pods of `{}`", one.object.name),
            [(one, _), rest @ ..] => format!("the pods of `{}` and {} more", one.object.name, rest.len()),
        };
        let (limit, path, message) = match (min_available, max_unavailable) {
            (None, Some(max)) if bound(&max.text, 100) == Some(0) => {
                (max, "spec.maxUnavailable", format!("`maxUnavailable: {}` lets none of {whose} be evicted", max.text))
            }
            (Some(min), None) if percent(&min.text).is_some_and(|percent| percent >= 100) => {
                (min, "spec.minAvailable", format!("`minAvailable: {}` lets none of {whose} be evicted", min.text))
            }
            (Some(min), None) => {
                // Which pods there are must be known, and that all of them are meant.
                let sure = budget.complete && workloads.iter().all(|(facts, _)| facts.shares_namespace(budget));
                let Some(total) = total.filter(|total| sure && bound(&min.text, *total).is_some_and(|least| least >= *total)) else {
                    continue;
                };
                (min, "spec.minAvailable", blocks(min, total, workloads))
            }
            _ => continue,
        };
        let draft = run.report(budget, limit.span, path, message);
        for (facts, workload) in workloads.iter().take(5) {
            let scaler = group.autoscalers(facts).next();
            draft.related.push(match (scaler, workload.replicas_span) {
                (Some((scaler, _)), _) => related(scaler, scaler.name_span, format!("autoscaler of `{}`", facts.object.name)),
                (None, Some(span)) => related(facts, span, format!("replicas of `{}`", facts.object.name)),
                (None, None) => {
                    related(facts, facts.name_span, format!("`{}` has one replica unless it says otherwise", facts.object.name))
                }
            });
        }
    }
}

fn blocks(min: &Spanned, total: i64, workloads: &[Workload<'_>]) -> String {
    let names: Vec<String> = workloads.iter().take(3).map(|(facts, _)| format!("`{}`", facts.object.name)).collect();
    let more = if workloads.len() > 3 { ", …" } else { "" };
    let (text, names) = (&min.text, names.join(", "));
    if total == 1 {
        return format!("`minAvailable: {text}` never lets the only pod of {names}{more} be evicted");
    }
    format!("`minAvailable: {text}` never lets one of the {} of {names}{more} be evicted", pods(total))
}

/// Several replicas without a budget.
pub(crate) fn pdb_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for facts in
        group.all(FactSort::Workload).filter(|facts| facts.complete && matches!(facts.object.kind.as_str(), "Deployment" | "StatefulSet"))
    {
        let Detail::Workload(workload) = &facts.detail else { continue };
        let Some(replicas) = group.effective_replicas(facts, workload).filter(|replicas| *replicas >= 2) else { continue };
        if group.budgets(facts, workload).is_empty() {
            let message = format!("no disruption budget selects the {} of `{}`", pods(replicas), facts.object.name);
            run.report(facts, facts.name_span, "metadata.name", message);
        }
    }
}

/// A budget that protects no pod.
pub(crate) fn pdb_selects_nothing(run: &mut ProjectRun<'_>) {
    for budget in selecting_nothing(run.group, FactSort::DisruptionBudget) {
        let Detail::DisruptionBudget { selector_span, .. } = &budget.detail else { continue };
        run.report(budget, *selector_span, "spec.selector", format!("budget `{}` selects no pod of its namespace", budget.object.name));
    }
}

/// The objects of a sort that select no pod of their namespace, although its pods are known.
pub(super) fn selecting_nothing<'a>(group: &Group<'a>, sort: FactSort) -> Vec<&'a ObjectFacts> {
    let selected = selected(group, sort);
    let mut known: Option<BTreeSet<&str>> = None;
    let mut found = Vec::new();
    for facts in group.all(sort) {
        if !facts.complete || selected.contains_key(&key(facts)) || renders_elsewhere(group, facts) || !has_neighbours(group, facts) {
            continue;
        }
        let labels = known.get_or_insert_with(|| pod_labels(group));
        let others = |selector: &Selector| {
            selector.is_empty()
                || is_operators(selector, labels)
                || makes_pods(group, facts, selector)
                || variant_matches(group, facts, selector)
        };
        if !facts.detail.selector().is_some_and(others) {
            found.push(facts);
        }
    }
    found
}

/// Keys of the labels that pods of the group have.
pub(super) fn pod_labels<'a>(group: &Group<'a>) -> BTreeSet<&'a str> {
    let workloads = group
        .all(FactSort::Workload)
        .filter_map(|facts| if let Detail::Workload(workload) = &facts.detail { Some(workload) } else { None });
    workloads.flat_map(|workload| workload.labels.keys()).map(String::as_str).collect()
}

/// Whether a selector asks for labels that no pod template of the group has and that an operator puts on its pods.
pub(super) fn is_operators(selector: &Selector, known: &BTreeSet<&str>) -> bool {
    let keys = selector.labels.keys().chain(selector.expressions.iter().map(|(key, _, _)| key));
    keys.into_iter().any(|key| {
        let own = key.split_once('/').is_some_and(|(prefix, _)| prefix != "app.kubernetes.io" && prefix != "helm.sh")
            || key == "app.kubernetes.io/managed-by";
        own && !known.contains(key.as_str())
    }) || selector.labels.values().any(|value| is_open(value))
}

/// Whether a custom resource of the namespace may make the pods: its name or its kind is a value that the selector asks for.
pub(super) fn makes_pods(group: &Group<'_>, budget: &ObjectFacts, selector: &Selector) -> bool {
    group.near(&budget.path, FactSort::Other).any(|facts| {
        let custom = facts.group.contains('.') && !facts.group.ends_with(".k8s.io");
        let asked = |value: &String| *value == facts.object.name || value.eq_ignore_ascii_case(&facts.object.kind);
        custom
            && (selector.labels.values().any(asked) || selector.expressions.iter().any(|(_, _, values)| values.iter().any(asked)))
            && facts.may_share_namespace(budget)
    })
}

/// Workloads that one lost pod stops.
pub(crate) fn single_replica(run: &mut Run<'_, '_>) {
    let min = run.active.number("min").unwrap_or(2.0) as i64;
    let few = |replicas: i64| replicas > 0 && replicas < min;
    for artifact in run.artifacts() {
        match artifact.kind {
            // The chart's own values are defaults; an environment's are a decision.
            ArtifactKind::HelmValues if artifact.scope == PathScope::Production => replica_counts(run, artifact, few),
            ArtifactKind::HelmValues => {}
            _ => workload_replicas(run, artifact, few),
        }
    }
}

fn workload_replicas(run: &mut Run<'_, '_>, artifact: &Artifact<'_>, few: impl Fn(i64) -> bool) {
    if artifact.scope == PathScope::Development || !matches!(artifact.object.kind.as_str(), "Deployment" | "StatefulSet") {
        return;
    }
    for place in artifact.targets(TargetKind::Workload) {
        let Some(replicas) = place.replicas.filter(|replicas| few(*replicas)) else { continue };
        if !place.complete || is_singleton(artifact) {
            continue;
        }
        let written = place.node.at_path(&["spec", "replicas"]).filter(|node| !node.is_null());
        let name = place.node.at_path(&["metadata", "name"]);
        let span = written.or(name).unwrap_or(place.node).place();
        let mut object = artifact.object.clone();
        "spec.replicas".clone_into(&mut object.path);
        let message = format!("`{}` runs {} only", object.name, pods(replicas));
        run.report(span, object, message).unless = vec![Excuse::new("autoscaled", artifact)];
    }
}

/// Whether one pod at a time is meant: it owns a volume and is recreated, waits for a lead, controls without serving
/// anybody, or only waits.
fn is_singleton(artifact: &Artifact<'_>) -> bool {
    let recreated = artifact.root.at_path(&["spec", "strategy", "type"]).and_then(Node::text) == Some("Recreate");
    let claims = || {
        let volumes = artifact.targets(TargetKind::Pod).filter_map(|pod| pod.node.get("volumes")).flat_map(Node::items);
        volumes.into_iter().any(|volume| volume.get("persistentVolumeClaim").is_some())
    };
    let elects = || {
        artifact.targets(TargetKind::Container).any(|container| {
            let words = ["command", "args"].iter().filter_map(|key| container.node.get(key)).flat_map(Node::values);
            words.filter_map(Node::text).any(|word| {
                let (option, value) = word.split_once('=').unwrap_or((word, "true"));
                option.starts_with('-') && (option.contains("leader-elect") || option.contains("leaderElect")) && value != "false"
            })
        })
    };
    let main = || artifact.targets(TargetKind::Container).filter(|container| container.role == Role::Main);
    let idle = main().next().is_some() && main().all(|container| container.idle);
    (recreated && claims()) || elects() || is_controller(artifact) || idle
}

/// Whether a workload reconciles objects: it catches up after a restart, and a second one would have to elect a leader.
/// One that takes the traffic of users, such as an ingress controller, has a port for it.
fn is_controller(artifact: &Artifact<'_>) -> bool {
    let named = artifact.object.name.rsplit('-').next().is_some_and(|word| matches!(word, "controller" | "operator"));
    let serves = || {
        artifact.targets(TargetKind::Container).flat_map(|container| container.node.get("ports").into_iter().flat_map(Node::items)).any(
            |port| {
                port.get("containerPort").and_then(Node::as_int).is_some_and(|number| matches!(number, 80 | 443))
                    || port.text_of("name").is_some_and(|name| matches!(name, "http" | "https" | "web"))
            },
        )
    };
    named && !serves()
}

/// Counts of the components in an environment's values.
fn replica_counts(run: &mut Run<'_, '_>, artifact: &Artifact<'_>, few: impl Fn(i64) -> bool) {
    for count in artifact.root.values().into_iter().filter(|node| node.key_text() == Some("replicaCount")) {
        let (Some(replicas), Some(component)) = (count.as_int().filter(|replicas| few(*replicas)), count.parent()) else { continue };
        let keys = component.keys();
        let autoscaling = ["autoscaling", "enabled"];
        // What the environment does not say, the chart's own values may.
        let enabled = component.at_path(&autoscaling).or_else(|| artifact.base?.at_path(&keys)?.at_path(&autoscaling));
        if enabled.and_then(Node::as_bool) == Some(true) {
            continue;
        }
        let name = keys.last().map_or_else(String::new, |name| format!("`{name}` runs "));
        let message = format!("{name}{} only", pods(replicas));
        let object = artifact.object_at(count, "");
        run.report(count.place(), object, message);
    }
}

/// An autoscaler's `spec` with numbers that are written out.
fn autoscalers<'a, 'd>(run: &Run<'a, 'd>) -> impl Iterator<Item = (&'a Artifact<'d>, Node<'d>)> + use<'a, 'd> {
    run.artifacts().filter_map(|artifact| {
        let group = artifact.targets(TargetKind::Object).next().map_or("", |place| place.group);
        let spec = artifact.root.get("spec")?;
        (artifact.object.kind == "HorizontalPodAutoscaler" && group == "autoscaling").then_some((artifact, spec))
    })
}

/// Autoscalers whose bounds leave nothing to choose.
pub(crate) fn hpa_cannot_scale(run: &mut Run<'_, '_>) {
    for (artifact, spec) in autoscalers(run).filter(|(artifact, _)| artifact.complete) {
        let Some((most, max)) = spec.get("maxReplicas").and_then(|max| Some((max.as_int()?, max))) else { continue };
        let written = spec.get("minReplicas").filter(|min| !min.is_null());
        let Some(least) = written.map_or(Some(1), Node::as_int).filter(|least| *least >= most) else { continue };
        let min = if written.is_some() { format!("minReplicas {least}") } else { "the default minReplicas of 1".to_owned() };
        let verdict = if least > most { "the API server refuses that" } else { "nothing is ever scaled" };
        let message = format!("maxReplicas {most} leaves no room above {min}; {verdict}");
        run.report(max.place(), artifact.object_at(max, ""), message);
    }
}

/// Autoscalers that react too early, too late, or never back.
pub(crate) fn hpa_threshold_extreme(run: &mut Run<'_, '_>) {
    let (min, max) = (run.active.number("min").unwrap_or(30.0), run.active.number("max").unwrap_or(90.0));
    for (artifact, spec) in autoscalers(run) {
        let metrics = spec.get("metrics").into_iter().flat_map(Node::items).filter_map(|metric| {
            let resource = metric.get("resource").or_else(|| metric.get("containerResource"))?;
            resource.at_path(&["target", "averageUtilization"]).or_else(|| resource.get("targetAverageUtilization"))
        });
        for target in spec.get("targetCPUUtilizationPercentage").into_iter().chain(metrics) {
            let Some(percent) = target.as_int() else { continue };
            let effect = if (percent as f64) < min {
                "pods are added while most of what they request stands idle"
            } else if (percent as f64) > max {
                "the pods are full before new ones are ready"
            } else {
                continue;
            };
            run.report(target.place(), artifact.object_at(target, ""), format!("at a target of {percent} % {effect}"));
        }
        // What an external metric says may be sure at once.
        let measures = spec.get("metrics").is_none_or(|metrics| {
            metrics.items().any(|metric| metric.get("resource").is_some() || metric.get("containerResource").is_some())
        });
        let Some(down) = spec.at_path(&["behavior", "scaleDown"]).filter(|_| measures) else { continue };
        if let Some(disabled) = down.get("selectPolicy").filter(|policy| policy.text() == Some("Disabled")) {
            run.report(disabled.place(), artifact.object_at(disabled, ""), "pods that a peak has added are never removed again");
        } else if let Some(window) = down.get("stabilizationWindowSeconds").filter(|window| window.as_int() == Some(0)) {
            run.report(window.place(), artifact.object_at(window, ""), "pods are removed as soon as one measurement is low");
        }
    }
}

/// Budgets that keep pods which are not ready.
pub(crate) fn pdb_unhealthy_eviction_policy_unset(run: &mut Run<'_, '_>) {
    const SINCE: Version = Version { major: 1, minor: 27 };
    if run.file.kubernetes_version < SINCE {
        return;
    }
    for artifact in run.artifacts() {
        let group = artifact.targets(TargetKind::Object).next().map_or("", |place| place.group);
        let Some(spec) = artifact.root.get("spec").filter(|_| artifact.object.kind == "PodDisruptionBudget" && group == "policy") else {
            continue;
        };
        let policy = spec.get("unhealthyPodEvictionPolicy").filter(|policy| !policy.is_null());
        let (at, message) = match policy.and_then(|policy| Some((policy, policy.text()?))) {
            Some((policy, "IfHealthyBudget")) => (policy, "keeps pods that are not ready from being evicted"),
            None if artifact.complete => {
                (spec, "keeps pods that are not ready from being evicted, as it has no unhealthyPodEvictionPolicy")
            }
            _ => continue,
        };
        let message = format!("budget `{}` {message}", artifact.object.name);
        run.report(at.place(), artifact.object_at(at, ""), message);
    }
}

/// What a label selector asks for, as far as a pod template's own labels decide it.
pub(super) enum Match {
    Yes,
    No,
    /// A part of it is filled in later.
    Open,
}

pub(super) fn matches_labels(selector: Node<'_>, labels: &BTreeMap<&str, &str>) -> Match {
    let mut verdict = Match::Yes;
    for (key, value) in selector.get("matchLabels").into_iter().flat_map(Node::entries) {
        let (Some(key), Some(value)) = (key.text(), value.text()) else { return Match::Open };
        let known = labels.get(key).copied();
        if is_open(key) || is_open(value) || known.is_some_and(is_open) {
            return Match::Open;
        }
        if known != Some(value) {
            verdict = Match::No;
        }
    }
    for expression in selector.get("matchExpressions").into_iter().flat_map(Node::items) {
        let key = expression.text_of("key").unwrap_or_default();
        let values: Vec<&str> = expression.get("values").into_iter().flat_map(Node::items).filter_map(Node::text).collect();
        let known = labels.get(key).copied();
        if is_open(key) || values.iter().copied().any(is_open) || known.is_some_and(is_open) {
            return Match::Open;
        }
        let holds = match expression.text_of("operator") {
            Some("In") => known.is_some_and(|known| values.contains(&known)),
            Some("NotIn") => known.is_none_or(|known| !values.contains(&known)),
            Some("Exists") => known.is_some(),
            Some("DoesNotExist") => known.is_none(),
            _ => return Match::Open,
        };
        if !holds {
            verdict = Match::No;
        }
    }
    verdict
}

/// Constraints that do not see the pods they shall spread.
pub(crate) fn spread_selector_mismatch(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.complete) {
        let Some(template) = pod_template(artifact.root) else { continue };
        let Some(spec) = template.get("spec") else { continue };
        let labels: BTreeMap<&str, &str> = template
            .at_path(&["metadata", "labels"])
            .into_iter()
            .flat_map(Node::entries)
            .filter_map(|(key, value)| Some((key.text()?, value.text()?)))
            .collect();
        for constraint in spec.get("topologySpreadConstraints").into_iter().flat_map(Node::items) {
            let Some(selector) = constraint.get("labelSelector").filter(|selector| selector.is_mapping()) else { continue };
            if let Match::No = matches_labels(selector, &labels) {
                let message = format!(
                    "this constraint does not count the pods of `{}`: its selector does not match their labels",
                    artifact.object.name
                );
                run.report(selector.place(), artifact.object_at(selector, ""), message);
            }
        }
        let Some(anti) = spec.at_path(&["affinity", "podAntiAffinity"]) else { continue };
        let required = anti.get("requiredDuringSchedulingIgnoredDuringExecution").into_iter().flat_map(Node::items);
        let preferred = anti
            .get("preferredDuringSchedulingIgnoredDuringExecution")
            .into_iter()
            .flat_map(Node::items)
            .filter_map(|term| term.get("podAffinityTerm"));
        for term in required.chain(preferred) {
            let Some(selector) = term.get("labelSelector").filter(|selector| selector.is_mapping()) else { continue };
            let elsewhere =
                ["namespaces", "namespaceSelector", "matchLabelKeys", "mismatchLabelKeys"].iter().any(|key| term.get(key).is_some());
            // Keeping away from another workload is a purpose; a value of its own under another key is a slip.
            if !elsewhere && asks_for_own(selector, artifact, &labels) && matches!(matches_labels(selector, &labels), Match::No) {
                let message = format!(
                    "this term does not keep the pods of `{}` apart: its selector does not match their labels",
                    artifact.object.name
                );
                run.report(selector.place(), artifact.object_at(selector, ""), message);
            }
        }
    }
}

/// Whether every label that a selector asks for is one of the workload, be it under another key.
fn asks_for_own(selector: Node<'_>, artifact: &Artifact<'_>, labels: &BTreeMap<&str, &str>) -> bool {
    let own = |value: &str| value == artifact.object.name || labels.values().any(|known| *known == value);
    let named = selector.get("matchLabels").into_iter().flat_map(Node::entries).filter_map(|(_, value)| value.text());
    let listed = selector
        .get("matchExpressions")
        .into_iter()
        .flat_map(Node::items)
        .filter(|expression| expression.text_of("operator") == Some("In"))
        .flat_map(|expression| expression.get("values").into_iter().flat_map(Node::items))
        .filter_map(Node::text);
    let values: Vec<&str> = named.chain(listed).collect();
    !values.is_empty() && values.into_iter().all(own)
}

/// Names of the label that says in which zone a node is.
const ZONES: &[&str] = &["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];

/// Replicas that nothing spreads over zones.
pub(crate) fn topology_spread_missing(run: &mut Run<'_, '_>) {
    if run.active.text("default-spreading") == Some("cluster") {
        return;
    }
    let is_zone = |node: Node<'_>| node.text().is_some_and(|text| ZONES.contains(&text) || is_open(text));
    for artifact in run.artifacts() {
        for pod in artifact.targets(TargetKind::Pod).filter(|pod| pod.complete) {
            let Some(replicas) = pod.replicas.filter(|replicas| *replicas >= 2) else { continue };
            let runs = pod.node.get("containers").into_iter().flat_map(Node::items).any(|container| container.get("image").is_some());
            let pinned = pod.node.get("nodeSelector").is_some_and(|nodes| ZONES.iter().any(|zone| nodes.get(zone).is_some()));
            // Whatever an affinity says of zones is a decision about them.
            let decided = ["affinity", "topologySpreadConstraints"]
                .iter()
                .filter_map(|key| pod.node.get(key))
                .flat_map(|node| if node.is_alias() { node.resolved().values() } else { node.values() })
                .any(|node| matches!(node.key_text(), Some("topologyKey" | "key")) && is_zone(node));
            if runs && !pinned && !decided {
                let at = pod.node.get("topologySpreadConstraints").filter(|list| list.is_sequence()).unwrap_or(pod.node);
                let message = format!("the {} of `{}` may all run in one zone", pods(replicas), pod.object.name);
                run.report_at(pod, at, message);
            }
        }
    }
}
