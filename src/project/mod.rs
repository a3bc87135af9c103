//! The project: facts of all artifacts, grouped by what is deployed together, and the rules over them.

mod commands;
mod excuse;
mod facts;
mod files;
mod index;
mod listing;
mod network;
mod pods;
mod references;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::artifact::in_example_folder;
use crate::check::{Active, Draft, Version};
use crate::config::Settings;
use crate::finding::{Location, Object};
use crate::rule::{Rule, RuleSet};
use crate::source::Span;

use index::{ByCut, Chain};

pub(crate) use commands::Commands;
pub(crate) use excuse::{Excuse, not_excused};
pub(crate) use facts::{ContainerFacts, Detail, FactSort, ObjectFacts, Selector, Spanned, WorkloadFacts, facts};
pub(crate) use files::{Credential, Delivered, Files, called, delivered, reused_across_environments};
pub(crate) use listing::Listing;
pub(crate) use network::{BackendFacts, MonitorFacts, Namespaces, PeerFacts, PolicyFacts, RouteFacts, ServiceFacts, ServicePort};
pub(crate) use pods::{ConfigFacts, PodFacts, Start, Timeout, is_redis, read_timeout, redis_guards, redis_start, timeouts};
pub(crate) use references::{ISTIO_GATEWAY, Provided, Reference};
pub(crate) use traffic::{CertificateFacts, EntranceFacts, MeshFacts, Traffic};

/// How objects come to be deployed together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Build {
    /// Whether a kustomization builds it; plain manifests are applied as they are.
    pub(crate) built: bool,
    /// Whether what is deployed is not all known, such as a remote base or a chart.
    pub(crate) open: bool,
}

/// Objects that are deployed together.
pub(crate) struct Group<'a> {
    /// The environment; empty for plain manifests.
    pub(crate) name: String,
    pub(crate) build: Build,
    pub(crate) objects: Vec<&'a ObjectFacts>,
    /// Objects that project rules look up, by what they are.
    by_sort: BTreeMap<FactSort, Vec<&'a ObjectFacts>>,
    /// The same by where they are.
    sorts: BTreeMap<FactSort, ByCut<&'a ObjectFacts>>,
    /// The same by their names, too.
    by_name: HashMap<(FactSort, &'a str), ByCut<&'a ObjectFacts>>,
    /// Autoscalers by the name of their target.
    by_target: HashMap<&'a str, ByCut<&'a ObjectFacts>>,
    /// What selects by labels, by one that its selector asks for; what asks for none under empty texts.
    by_label: HashMap<(&'a str, &'a str), ByCut<(&'a ObjectFacts, &'a Selector)>>,
    /// Workloads by each label of their pods.
    by_pod_label: HashMap<(&'a str, &'a str), ByCut<(&'a ObjectFacts, &'a WorkloadFacts)>>,
    /// The cuts that each path lies below.
    chains: HashMap<&'a str, Chain>,
    /// The cuts by their numbers.
    cuts: Vec<String>,
    index: index::Index<'a>,
}

impl<'a> Group<'a> {
    /// A group; `cuts` are folders or files that are deployments of their own.
    pub(crate) fn new(name: String, build: Build, objects: Vec<&'a ObjectFacts>, cuts: &BTreeSet<String>) -> Self {
        let mut by_sort: BTreeMap<FactSort, Vec<&'a ObjectFacts>> = BTreeMap::new();
        let mut sorts: BTreeMap<FactSort, ByCut<&'a ObjectFacts>> = BTreeMap::new();
        let mut by_name: HashMap<(FactSort, &'a str), ByCut<&'a ObjectFacts>> = HashMap::new();
        let mut by_target: HashMap<&'a str, ByCut<&'a ObjectFacts>> = HashMap::new();
        let mut by_pod_label: HashMap<_, ByCut<_>> = HashMap::new();
        let mut chains: HashMap<&'a str, Chain> = HashMap::new();
        let number: HashMap<&str, usize> = cuts.iter().enumerate().map(|(index, cut)| (cut.as_str(), index)).collect();
        let uncut: Chain = Arc::new([]);
        let placed: Vec<(&'a ObjectFacts, Chain)> = objects
            .iter()
            .map(|&facts| {
                if cuts.is_empty() {
                    return (facts, Arc::clone(&uncut));
                }
                let chain = chains.entry(&facts.path).or_insert_with(|| {
                    let ends = facts.path.match_indices('/').map(|(end, _)| end).chain([facts.path.len()]);
                    ends.filter_map(|end| number.get(facts.path.get(..end)?).copied()).collect()
                });
                (facts, Arc::clone(chain))
            })
            .collect();
        for (facts, chain) in &placed {
            let facts = *facts;
            for sort in std::iter::once(facts.detail.sort()).chain(facts.traffic.as_ref().map(Traffic::sort)) {
                by_sort.entry(sort).or_default().push(facts);
                sorts.entry(sort).or_default().push(chain, facts);
            }
            if !matches!(facts.detail, Detail::Other) {
                by_name.entry((facts.detail.sort(), &facts.object.name)).or_default().push(chain, facts);
            }
            match &facts.detail {
                Detail::Workload(workload) => {
                    for (key, value) in &workload.labels {
                        by_pod_label.entry((key.as_str(), value.as_str())).or_default().push(chain, (facts, workload));
                    }
                }
                Detail::Autoscaler { target_name: Some(name), .. } => by_target.entry(&name.text).or_default().push(chain, facts),
                _ => {}
            }
        }
        sorts.values_mut().for_each(ByCut::sort);
        by_name.values_mut().chain(by_target.values_mut()).for_each(ByCut::sort);
        by_pod_label.values_mut().for_each(ByCut::sort);
        let by_label = selecting_by_label(&placed);
        let index = index::Index::new(&placed);
        Self {
            name,
            build,
            objects,
            by_sort,
            sorts,
            by_name,
            by_target,
            by_label,
            by_pod_label,
            chains,
            cuts: cuts.iter().cloned().collect(),
            index,
        }
    }

    /// The cuts that a path lies below.
    fn chain(&self, path: &str) -> &[usize] {
        self.chains.get(path).map(|chain| &**chain).unwrap_or_default()
    }

    /// Whether files are deployed together: across a cut nobody sees anybody.
    pub(crate) fn together(&self, a: &str, b: &str) -> bool {
        a == b || self.chains.is_empty() || self.chain(a).iter().zip(self.chain(b)).all(|(a, b)| a == b)
    }

    /// Whether files that a cut separates may still be deployed together, so that one may have what another one lacks: they
    /// lie below cuts that have nothing to do with each other, or one of them is a variant that is applied over what
    /// stands beside it. Folders beside each other that hold the same are deployments of their own.
    pub(crate) fn may_be_together(&self, a: &str, b: &str) -> bool {
        let Some((a_cut, b_cut)) = self.chain(a).iter().zip(self.chain(b)).find(|(a, b)| a != b) else { return true };
        let (Some(a_cut), Some(b_cut)) = (self.cuts.get(*a_cut), self.cuts.get(*b_cut)) else { return true };
        let parent = |cut: &str| cut.rsplit_once('/').map_or(0, |(parent, _)| parent.len());
        let beside = a_cut.get(..parent(a_cut)) == b_cut.get(..parent(b_cut));
        !beside || a_cut == a || b_cut == b
    }

    /// Whether two objects are deployed together.
    pub(crate) fn is_together(&self, a: &ObjectFacts, b: &ObjectFacts) -> bool {
        self.together(&a.path, &b.path)
    }

    /// Objects of a sort that are deployed together with those of a path.
    pub(crate) fn near(&self, path: &str, sort: FactSort) -> impl Iterator<Item = &'a ObjectFacts> {
        let chain = self.chain(path);
        self.sorts.get(&sort).into_iter().flat_map(move |found| found.near(chain)).copied()
    }

    /// Workloads near a path.
    pub(crate) fn workloads(&self, path: &str) -> impl Iterator<Item = (&'a ObjectFacts, &'a WorkloadFacts)> {
        self.near(path, FactSort::Workload).filter_map(with_workload)
    }

    /// All workloads.
    pub(crate) fn workloads_everywhere(&self) -> impl Iterator<Item = (&'a ObjectFacts, &'a WorkloadFacts)> {
        self.all(FactSort::Workload).filter_map(with_workload)
    }

    /// All objects of a sort, wherever they are.
    pub(crate) fn all(&self, sort: FactSort) -> impl Iterator<Item = &'a ObjectFacts> {
        self.by_sort.get(&sort).into_iter().flatten().copied()
    }

    /// Objects of a sort and a name that are deployed together with those of a path.
    pub(crate) fn near_by_name<'s>(&'s self, path: &'s str, sort: FactSort, name: &'s str) -> impl Iterator<Item = &'a ObjectFacts> {
        let chain = self.chain(path);
        self.by_name.get(&(sort, name)).into_iter().flat_map(move |found| found.near(chain)).copied()
    }

    /// The workloads that an autoscaler or another reference of a path may mean by a kind and a name.
    pub(crate) fn named<'s>(
        &'s self,
        from: &'a ObjectFacts,
        kind: &'s str,
        name: &'s str,
    ) -> impl Iterator<Item = (&'a ObjectFacts, &'a WorkloadFacts)> {
        let is_meant = move |facts: &&ObjectFacts| facts.object.kind == kind && from.may_share_namespace(facts);
        self.near_by_name(&from.path, FactSort::Workload, name).filter(is_meant).filter_map(with_workload)
    }

    fn scaling(&self, path: &str, namespace: &str, object: &Object) -> impl Iterator<Item = &'a ObjectFacts> {
        let chain = self.chain(path);
        let known = self.by_target.get(object.name.as_str()).into_iter().flat_map(move |found| found.near(chain)).copied();
        known.filter(move |facts| {
            matches!(&facts.detail, Detail::Autoscaler { target_kind, .. } if *target_kind == object.kind)
                && may_be_one(facts.namespace(), namespace)
        })
    }

    /// The autoscalers that target a workload, and their least replicas where they are known.
    pub(crate) fn autoscalers(&self, of: &'a ObjectFacts) -> impl Iterator<Item = (&'a ObjectFacts, Option<i64>)> {
        self.scaling(&of.path, of.namespace(), &of.object).filter_map(|facts| match &facts.detail {
            Detail::Autoscaler { min, .. } => Some((facts, min.filter(|_| facts.complete))),
            _ => None,
        })
    }

    /// Replicas after autoscalers: the least that a workload is brought to; none where that is not known.
    pub(crate) fn effective_replicas(&self, of: &'a ObjectFacts, workload: &WorkloadFacts) -> Option<i64> {
        let mut scaled = self.autoscalers(of).peekable();
        if scaled.peek().is_some() {
            return scaled.map(|(_, min)| min).min().flatten();
        }
        workload.replicas.filter(|_| of.complete)
    }

    /// The disruption budgets that may select the pods of a workload.
    pub(crate) fn budgets(&self, of: &'a ObjectFacts, workload: &'a WorkloadFacts) -> Vec<&'a ObjectFacts> {
        self.selecting(FactSort::DisruptionBudget, of, &workload.labels)
    }

    /// The Services that may send traffic to the pods of a workload.
    pub(crate) fn services(&self, of: &'a ObjectFacts, workload: &'a WorkloadFacts) -> Vec<&'a ObjectFacts> {
        self.selecting(FactSort::Service, of, &workload.labels)
    }

    /// The objects of a sort that may select an object by its labels.
    pub(crate) fn selecting(&self, sort: FactSort, of: &'a ObjectFacts, known: &'a BTreeMap<String, String>) -> Vec<&'a ObjectFacts> {
        let labels = known.iter().map(|(key, value)| (key.as_str(), value.as_str())).chain([("", "")]);
        let chain = self.chain(&of.path);
        let mut found: Vec<&'a ObjectFacts> = labels
            .filter_map(|label| self.by_label.get(&label))
            .flat_map(|found| found.near(chain))
            .filter(|(facts, selector)| facts.detail.sort() == sort && selector.selects(known) && is_in_reach(facts, of))
            .map(|(facts, _)| *facts)
            .collect();
        found.sort_by_key(|facts| (&facts.path, facts.name_span));
        found
    }

    /// The workloads near a path whose pods a selector selects, whatever their namespace.
    pub(crate) fn selected_by(&self, path: &str, selector: &Selector) -> Vec<(&'a ObjectFacts, &'a WorkloadFacts)> {
        let fits = |(_, workload): &(&'a ObjectFacts, &'a WorkloadFacts)| selector.selects(&workload.labels);
        let nobody = ByCut::default();
        let known = selector.labels.iter().map(|(key, value)| self.by_pod_label.get(&(key.as_str(), value.as_str())).unwrap_or(&nobody));
        match known.min_by_key(|known| known.count()) {
            Some(known) => known.near(self.chain(path)).copied().filter(fits).collect(),
            None => self.workloads(path).filter(fits).collect(),
        }
    }

    /// Whether a binding near a path has an account as its subject.
    pub(crate) fn gives_rights(&self, path: &str, namespace: &str, account: &str) -> bool {
        self.near(path, FactSort::Binding).any(|facts| {
            let Detail::Binding { accounts, .. } = &facts.detail else { return false };
            accounts.iter().any(|(of, name)| {
                // A kustomization puts the accounts of its bindings into its namespace, too.
                name == account && (may_be_one(of, namespace) || may_be_one(facts.namespace(), namespace))
            })
        })
    }

    /// Whether a `ClusterRole` is given to somebody, and always in one namespace only.
    fn is_bound_in_namespaces_only(&self, path: &str, object: &Object) -> bool {
        let mut bindings = self
            .near(path, FactSort::Binding)
            .filter(
                |facts| matches!(&facts.detail, Detail::Binding { role: (kind, name), .. } if *kind == object.kind && *name == object.name),
            )
            .peekable();
        bindings.peek().is_some() && bindings.all(|facts| facts.object.kind == "RoleBinding")
    }

    /// Whether a `LimitRange` of a namespace sets a field such as `default.memory`.
    pub(crate) fn has_limit_range(&self, path: &str, namespace: &str, field: &str) -> bool {
        self.near(path, FactSort::LimitRange)
            .filter(|facts| may_be_one(facts.namespace(), namespace))
            .any(|facts| matches!(&facts.detail, Detail::LimitRange { fields } if fields.iter().any(|known| known == field)))
    }
}

pub(crate) fn may_be_one(a: &str, b: &str) -> bool {
    a == b || a.is_empty() || b.is_empty()
}

/// Whether an object may select another one where that is.
fn is_in_reach(facts: &ObjectFacts, of: &ObjectFacts) -> bool {
    match &facts.detail {
        Detail::NetworkPolicy(policy) if policy.everywhere => true,
        Detail::Monitor(monitor) => match &monitor.namespaces {
            Namespaces::Own => facts.may_share_namespace(of),
            Namespaces::Any => true,
            Namespaces::Named(names) => names.iter().any(|name| may_be_one(name, of.namespace())),
        },
        _ => facts.may_share_namespace(of),
    }
}

fn with_workload(facts: &ObjectFacts) -> Option<(&ObjectFacts, &WorkloadFacts)> {
    match &facts.detail {
        Detail::Workload(workload) => Some((facts, workload)),
        _ => None,
    }
}

/// What selects pods by the rarest label that its selector asks for, so that no label that all have makes each one look at all.
fn selecting_by_label<'a>(objects: &[(&'a ObjectFacts, Chain)]) -> HashMap<(&'a str, &'a str), ByCut<(&'a ObjectFacts, &'a Selector)>> {
    let selecting = || objects.iter().filter_map(|(facts, chain)| Some((chain, (*facts, facts.detail.selector()?))));
    let labels = |selector: &'a Selector| selector.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let mut count: HashMap<(&str, &str), usize> = HashMap::new();
    for label in selecting().flat_map(|(_, (_, selector))| labels(selector)) {
        *count.entry(label).or_default() += 1;
    }
    let mut by_label: HashMap<(&'a str, &'a str), ByCut<(&'a ObjectFacts, &'a Selector)>> = HashMap::new();
    for (chain, (facts, selector)) in selecting() {
        let rarest = labels(selector).min_by_key(|label| count.get(label).copied().unwrap_or_default()).unwrap_or_default();
        by_label.entry(rarest).or_default().push(chain, (facts, selector));
    }
    by_label.values_mut().for_each(ByCut::sort);
    by_label
}

/// Folders at which plain manifests are cut: where the same object stands twice, the highest folders that separate the two.
pub(crate) fn cuts(objects: &[&ObjectFacts]) -> BTreeSet<String> {
    let mut places: HashMap<(&str, &str, &str, &str), BTreeSet<&str>> = HashMap::new();
    for facts in objects.iter().filter(|facts| !facts.object.name.is_empty()) {
        let object = &facts.object;
        places.entry((&facts.group, &object.kind, &object.namespace, &object.name)).or_default().insert(&facts.path);
    }
    let mut cuts = BTreeSet::new();
    for paths in places.values() {
        // Of sorted paths, those that a folder separates stand beside each other somewhere.
        for (a, b) in paths.iter().zip(paths.iter().skip(1)) {
            let common = a.split('/').zip(b.split('/')).take_while(|(a, b)| a == b).count();
            for path in [a, b] {
                let end = path.match_indices('/').nth(common).map_or(path.len(), |(end, _)| end);
                let cut = path.get(..end).unwrap_or(path);
                if !cuts.contains(cut) {
                    cuts.insert(cut.to_owned());
                }
            }
        }
    }
    cuts
}

/// What all groups say of namespaces: what a cluster or a namespace gets is seldom deployed with what runs there.
#[derive(Default)]
pub(crate) struct Across<'a> {
    /// What is done for every namespace.
    given: BTreeSet<&'static str>,
    /// Objects by sort and namespace, with the number of their group.
    inside: HashMap<(FactSort, &'a str), Vec<(usize, &'a ObjectFacts)>>,
    /// Groups that make a namespace of this name.
    makers: HashMap<&'a str, BTreeSet<usize>>,
}

impl<'a> Across<'a> {
    fn new(groups: &'a [Group<'a>]) -> Self {
        let mut across = Self::default();
        for (number, group) in groups.iter().enumerate() {
            for &facts in &group.objects {
                let sort = facts.detail.sort();
                match &facts.detail {
                    Detail::Given(kinds) => across.given.extend(kinds),
                    Detail::Namespace { .. } => {
                        across.makers.entry(facts.object.name.as_str()).or_default().insert(number);
                    }
                    Detail::Other => {}
                    _ => across.inside.entry((sort, facts.namespace())).or_default().push((number, facts)),
                }
            }
        }
        across
    }
}

/// One rule at work on a group.
pub(crate) struct ProjectRun<'a> {
    pub(crate) group: &'a Group<'a>,
    /// The number of the group.
    number: usize,
    /// All groups: what one lacks may be deployed with another.
    pub(crate) groups: &'a [Group<'a>],
    pub(crate) rule: &'a Rule,
    pub(crate) active: &'a Active,
    /// Names that the configuration declares to exist elsewhere.
    pub(crate) externals: &'a [String],
    /// The Kubernetes version that is deployed to.
    pub(crate) kubernetes_version: Version,
    pub(crate) commands: &'a Commands<'a>,
    /// Kinds and names (empty for any) whose replicas a delivery tool leaves alone, from all groups: what delivers
    /// a group is seldom a part of it.
    pub(crate) scaled_elsewhere: &'a [(String, String)],
    pub(crate) across: &'a Across<'a>,
    pub(crate) drafts: Vec<Draft>,
}

impl<'a> ProjectRun<'a> {
    /// Whether something in the repository does for every namespace what an object of this kind would do for one.
    pub(crate) fn is_given(&self, kind: &str) -> bool {
        self.across.given.contains(kind)
    }

    /// The objects of a sort that may be in the namespace which an object makes, and whether they surely are: of its own
    /// group, and of groups that do not make one of the same name, which would be another deployment.
    pub(crate) fn inside(&self, namespace: &'a ObjectFacts, sort: FactSort) -> impl Iterator<Item = (&'a ObjectFacts, bool)> {
        let (group, across) = (self.group, self.across);
        let name = namespace.object.name.as_str();
        let makers = across.makers.get(name);
        let known = |name| across.inside.get(&(sort, name)).into_iter().flatten().copied();
        let is_own = move |number: usize, facts: &ObjectFacts| number == self.number && group.together(&namespace.path, &facts.path);
        let named =
            known(name).filter(move |(number, facts)| is_own(*number, facts) || !makers.is_some_and(|makers| makers.contains(number)));
        let unset = known("").filter(move |(number, facts)| is_own(*number, facts));
        named.map(|(_, facts)| (facts, true)).chain(unset.map(|(_, facts)| (facts, false)))
    }

    /// Adds a finding about an object and returns it for changes.
    #[expect(clippy::indexing_slicing, reason = "the vector was just pushed to")]
    pub(crate) fn report(&mut self, facts: &ObjectFacts, span: Span, path: &str, message: impl Into<String>) -> &mut Draft {
        let object = Object { path: path.to_owned(), ..facts.object.clone() };
        let mut draft = Draft::new(self.rule, self.active.index, &facts.path, span, object, message.into());
        draft.environment = (!self.group.name.is_empty()).then(|| self.group.name.clone());
        // Examples are often deployed as they are, but not always.
        if in_example_folder(&facts.path) {
            draft.confidence = draft.confidence.lower();
        }
        self.drafts.push(draft);
        let last = self.drafts.len() - 1;
        &mut self.drafts[last]
    }

    /// Whether the configuration says that `kind/name` (or `name`) exists elsewhere.
    pub(crate) fn is_external(&self, kind: &str, name: &str) -> bool {
        is_external(self.externals, kind, name)
    }
}

fn is_external(externals: &[String], kind: &str, name: &str) -> bool {
    externals.iter().any(|external| {
        let (known_kind, known_name) = external.split_once('/').unwrap_or(("", external));
        (known_kind.is_empty() || known_kind.eq_ignore_ascii_case(kind)) && known_name == name
    })
}

/// A place to point at beside the main one.
pub(crate) fn location(facts: &ObjectFacts, span: Span) -> Location {
    Location { path: Arc::clone(&facts.path), span }
}

/// Runs the project checks over the groups.
pub(crate) fn link(groups: &[Group<'_>], settings: &Settings, active: &[Active], commands: &Commands<'_>) -> Vec<Draft> {
    let scaled_elsewhere: Vec<(String, String)> = groups
        .iter()
        .flat_map(|group| group.all(FactSort::Application))
        .filter_map(|facts| if let Detail::Application { scaled_elsewhere, .. } = &facts.detail { Some(scaled_elsewhere) } else { None })
        .flatten()
        .cloned()
        .collect();
    let across = Across::new(groups);
    let mut drafts = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        for active in active {
            let Some(rule) = settings.rules.rules().get(active.index) else { continue };
            for check in &rule.checks {
                if let crate::check::Check::Native(crate::check::Native::Project(_, function)) = check {
                    let mut run = ProjectRun {
                        group,
                        number,
                        groups,
                        rule,
                        active,
                        externals: &settings.externals,
                        kubernetes_version: settings.kubernetes_version,
                        commands,
                        scaled_elsewhere: &scaled_elsewhere,
                        across: &across,
                        drafts: Vec::new(),
                    };
                    function(&mut run);
                    drafts.append(&mut run.drafts);
                }
            }
        }
    }
    drafts
}

/// Runs the checks that compare the credentials of all files.
pub(crate) fn link_credentials(credentials: &[Credential], rules: &RuleSet, active: &[Active]) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for active in active {
        let Some(rule) = rules.rules().get(active.index) else { continue };
        for check in &rule.checks {
            if let crate::check::Check::Native(crate::check::Native::Credentials(_, function)) = check {
                drafts.append(&mut function(rule, active, credentials));
            }
        }
    }
    drafts
}
