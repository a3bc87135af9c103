//! Native checks of what a namespace gets: policies, quotas, defaults, a level of Pod Security.

use std::collections::BTreeSet;

use super::availability::{is_open, key, related};
use crate::artifact::Role;
use crate::project::{ContainerFacts, Detail, FactSort, ObjectFacts, PolicyFacts, ProjectRun, Spanned};

/// Whether a namespace belongs to the cluster or its platform rather than to an application.
fn is_system(name: &str) -> bool {
    matches!(name, "default" | "cert-manager" | "ingress-nginx" | "local-path-storage" | "metallb")
        || name.starts_with("kube-")
        || name.starts_with("openshift")
        || name.ends_with("-system")
        || is_open(name)
}

/// The namespaces of the group in which something runs that the repository deploys.
fn applications<'a>(run: &ProjectRun<'a>) -> Vec<&'a ObjectFacts> {
    let group = run.group;
    let runs = |facts: &'a ObjectFacts, sort| run.inside(facts, sort).any(|(_, sure)| sure);
    group
        .all(FactSort::Namespace)
        .filter(|facts| facts.complete && !is_system(facts.object.name.as_str()))
        .filter(|facts| runs(facts, FactSort::Workload) || runs(facts, FactSort::Release))
        .collect()
}

/// Whether what a namespace lacks may be made by something that is not known.
fn is_open_group(run: &ProjectRun<'_>) -> bool {
    run.group.build.open && !run.group.name.is_empty()
}

/// Namespaces in which whatever no policy mentions is open.
pub(crate) fn default_deny_missing(run: &mut ProjectRun<'_>) {
    if run.is_given("NetworkPolicy") || is_open_group(run) {
        return;
    }
    let directions = run.active.texts("directions");
    for facts in applications(run) {
        let name = facts.object.name.as_str();
        if run.is_external("NetworkPolicy", name) {
            continue;
        }
        let policies: Vec<&PolicyFacts> = run
            .inside(facts, FactSort::NetworkPolicy)
            .filter_map(|(policy, _)| if let Detail::NetworkPolicy(policy) = &policy.detail { Some(policy) } else { None })
            .collect();
        let open: Vec<&str> = directions
            .iter()
            .map(String::as_str)
            .filter(|direction| !policies.iter().any(|policy| policy.closes.contains(direction)))
            .collect();
        if !open.is_empty() {
            let message = format!("no policy of namespace `{name}` denies {} by default", open.join(" and "));
            run.report(facts, facts.name_span, "metadata.name", message);
        }
    }
}

/// Namespaces whose containers get nothing where they ask for nothing.
pub(crate) fn namespace_without_limit_range(run: &mut ProjectRun<'_>) {
    if run.is_given("LimitRange") || is_open_group(run) {
        return;
    }
    for facts in applications(run) {
        let name = facts.object.name.as_str();
        if run.is_external("LimitRange", name) {
            continue;
        }
        let mut set: Vec<&str> = Vec::new();
        for (range, _) in run.inside(facts, FactSort::LimitRange) {
            let Detail::LimitRange { fields } = &range.detail else { continue };
            set.extend(fields.iter().filter_map(|field| field.split_once('.')).map(|(_, resource)| resource));
        }
        let missing: Vec<&str> = ["cpu", "memory"].into_iter().filter(|resource| !set.contains(resource)).collect();
        if !missing.is_empty() {
            let message = format!("no LimitRange of namespace `{name}` gives containers a default for {}", missing.join(" and "));
            run.report(facts, facts.name_span, "metadata.name", message);
        }
    }
}

/// What a container runs beside others all the time.
fn stays(container: &ContainerFacts) -> bool {
    !matches!(container.role, Role::Init | Role::Ephemeral)
}

/// Namespaces that may take everything, or less than what is to run in them.
pub(crate) fn namespace_without_quota(run: &mut ProjectRun<'_>) {
    for facts in run.group.all(FactSort::Quota).filter(|facts| facts.complete) {
        if matches!(&facts.detail, Detail::Quota { empty: true, .. }) {
            let message = format!("ResourceQuota `{}` limits nothing", facts.object.name);
            run.report(facts, facts.name_span, "metadata.name", message);
        }
    }
    if run.is_given("ResourceQuota") || is_open_group(run) {
        return;
    }
    for facts in applications(run) {
        let name = facts.object.name.as_str();
        if run.is_external("ResourceQuota", name) {
            continue;
        }
        let quotas: Vec<&ObjectFacts> = run.inside(facts, FactSort::Quota).map(|(quota, _)| quota).collect();
        let mut missing = Vec::new();
        for (index, resource) in ["cpu", "memory"].into_iter().enumerate() {
            let names = [resource.to_owned(), format!("requests.{resource}"), format!("limits.{resource}")];
            let limits = |quota: &&ObjectFacts| matches!(&quota.detail, Detail::Quota { hard, .. } if hard.iter().any(|(known, ..)| names.contains(known)));
            if !quotas.iter().any(limits) {
                missing.push(resource);
                continue;
            }
            let asked = requests(run, facts, index);
            for quota in &quotas {
                let Detail::Quota { hard, scoped: false, .. } = &quota.detail else { continue };
                let Some((known, _, span)) =
                    hard.iter().find(|(known, most, _)| names.iter().take(2).any(|name| name == known) && asked > *most * 1.0001)
                else {
                    continue;
                };
                let message = format!(
                    "the workloads of namespace `{name}` request {}, which is more than this quota allows",
                    amount(asked, resource)
                );
                let draft = run.report(quota, *span, &format!("spec.hard.{known}"), message);
                draft.related.push(related(facts, facts.name_span, "the Namespace"));
            }
        }
        if !missing.is_empty() {
            let message = format!("no ResourceQuota of namespace `{name}` limits {}", missing.join(" and "));
            run.report(facts, facts.name_span, "metadata.name", message);
        }
    }
}

/// What the workloads that are surely in a namespace ask for at least.
fn requests<'a>(run: &ProjectRun<'a>, namespace: &'a ObjectFacts, resource: usize) -> f64 {
    let group = run.group;
    let mut seen = BTreeSet::new();
    run.inside(namespace, FactSort::Workload)
        .filter(|(facts, sure)| *sure && seen.insert(key(facts)))
        .filter_map(|(facts, _)| if let Detail::Workload(workload) = &facts.detail { Some((facts, workload)) } else { None })
        .filter(|(facts, workload)| workload.long_running && facts.object.kind != "PodTemplate")
        .map(|(facts, workload)| {
            let pods = group.effective_replicas(facts, workload).unwrap_or(i64::from(facts.object.kind == "Pod"));
            let of_pod: f64 = workload
                .containers
                .iter()
                .filter(|container| stays(container))
                .filter_map(|container| *container.amounts.get(resource)?)
                .sum();
            of_pod * pods as f64
        })
        .sum()
}

/// A quantity as people write it.
fn amount(value: f64, resource: &str) -> String {
    match resource {
        "cpu" if value.fract() == 0.0 => format!("{value} CPUs"),
        "cpu" => format!("{:.0}m CPU", value * 1000.0),
        _ => format!("{:.0}Mi of memory", value / 1024.0 / 1024.0),
    }
}

/// Namespaces that take pods of any level.
pub(crate) fn pod_security_level_unset(run: &mut ProjectRun<'_>) {
    const LABEL: &str = "pod-security.kubernetes.io/enforce";
    let group = run.group;
    if run.is_given("PodSecurity") {
        return;
    }
    for facts in group.all(FactSort::Namespace).filter(|facts| facts.complete) {
        let Detail::Namespace { level, reason, .. } = &facts.detail else { continue };
        let name = facts.object.name.as_str();
        let decided = level.as_ref().is_some_and(|level| matches!(level.text.as_str(), "baseline" | "restricted") || is_open(&level.text));
        if decided || *reason && level.is_some() || is_system(name) || run.is_external("Namespace", name) {
            continue;
        }
        match level {
            Some(Spanned { text, span }) => {
                let message = if text == "privileged" {
                    format!("namespace `{name}` takes privileged pods and does not say why")
                } else {
                    format!("`{text}` is no level of Pod Security, so namespace `{name}` enforces none")
                };
                run.report(facts, *span, &format!("metadata.labels[\"{LABEL}\"]"), message);
            }
            None => {
                run.report(facts, facts.name_span, "metadata.name", format!("namespace `{name}` enforces no level of Pod Security"));
            }
        }
    }
}
