//! The project: facts of all artifacts, grouped by what is deployed together, and the rules over them.

mod excuse;
mod facts;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::artifact::in_example_folder;
use crate::check::{Active, Draft};
use crate::finding::{Location, Object};
use crate::rule::{Rule, RuleSet};
use crate::source::Span;

pub(crate) use excuse::{Excuse, not_excused};
pub(crate) use facts::{ContainerFacts, Detail, FactSort, ObjectFacts, Selector, Spanned, WorkloadFacts, facts};

/// What a kustomization does to its objects, as far as rules over several objects ask.
#[derive(Debug, Default)]
pub(crate) struct Build<'a> {
    /// The namespaces it sets, by path.
    pub(crate) namespaces: HashMap<&'a str, &'a str>,
    /// Keys of the labels it puts on pods and into selectors.
    pub(crate) labels: BTreeSet<String>,
    /// Whether what is deployed is not all known, such as a remote base or a chart.
    pub(crate) open: bool,
}

/// Objects that are deployed together.
pub(crate) struct Group<'a> {
    /// Name for several groups of one file; empty for plain manifests.
    pub(crate) name: String,
    pub(crate) build: Build<'a>,
    pub(crate) objects: Vec<&'a ObjectFacts>,
    /// Objects that project rules look up, by what they are.
    by_sort: BTreeMap<FactSort, Vec<&'a ObjectFacts>>,
    /// Workloads by name.
    by_name: HashMap<&'a str, Vec<&'a ObjectFacts>>,
    /// Autoscalers by the name of their target.
    by_target: HashMap<&'a str, Vec<&'a ObjectFacts>>,
    /// Disruption budgets and Services by a label that their selector asks for; those that ask for none under empty texts.
    by_label: HashMap<(&'a str, &'a str), Vec<(&'a ObjectFacts, &'a Selector)>>,
    /// The cuts that each path lies below, outermost first.
    chains: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Group<'a> {
    /// A group; `cuts` are folders or files that are deployments of their own.
    pub(crate) fn new(name: String, build: Build<'a>, objects: Vec<&'a ObjectFacts>, cuts: &BTreeSet<String>) -> Self {
        let mut by_sort: BTreeMap<FactSort, Vec<&'a ObjectFacts>> = BTreeMap::new();
        let mut by_name: HashMap<&'a str, Vec<&'a ObjectFacts>> = HashMap::new();
        let mut by_target: HashMap<&'a str, Vec<&'a ObjectFacts>> = HashMap::new();
        let mut chains: HashMap<&'a str, Vec<usize>> = HashMap::new();
        let number: HashMap<&str, usize> = cuts.iter().enumerate().map(|(index, cut)| (cut.as_str(), index)).collect();
        for &facts in &objects {
            by_sort.entry(facts.detail.sort()).or_default().push(facts);
            match &facts.detail {
                Detail::Workload(_) => by_name.entry(&facts.object.name).or_default().push(facts),
                Detail::Autoscaler { target_name: Some(name), .. } => by_target.entry(&name.text).or_default().push(facts),
                _ => {}
            }
            if !cuts.is_empty() {
                chains.entry(&facts.path).or_insert_with(|| {
                    let ends = facts.path.match_indices('/').map(|(end, _)| end).chain([facts.path.len()]);
                    ends.filter_map(|end| number.get(facts.path.get(..end)?).copied()).collect()
                });
            }
        }
        let by_label = selecting_by_label(&objects, &build.labels);
        Self { name, build, objects, by_sort, by_name, by_target, by_label, chains }
    }

    /// The namespace of an object of a file after the build; empty where it is given at deploy time.
    fn namespace<'n>(&'n self, path: &str, object: &'n Object) -> &'n str {
        self.build.namespaces.get(path).copied().unwrap_or(&object.namespace)
    }

    pub(crate) fn namespace_of<'n>(&'n self, facts: &'n ObjectFacts) -> &'n str {
        self.namespace(&facts.path, &facts.object)
    }

    /// Whether two objects may be in one namespace: one that is not written is given at deploy time, the same for all.
    pub(crate) fn same_namespace(&self, a: &ObjectFacts, b: &ObjectFacts) -> bool {
        may_be_one(self.namespace_of(a), self.namespace_of(b))
    }

    /// Whether two objects are in one namespace, whatever is given at deploy time.
    pub(crate) fn surely_same_namespace(&self, a: &ObjectFacts, b: &ObjectFacts) -> bool {
        self.namespace_of(a) == self.namespace_of(b)
    }

    /// Whether files are deployed together: across a cut nobody sees anybody.
    fn together(&self, a: &str, b: &str) -> bool {
        let chain = |path| self.chains.get(path).map(Vec::as_slice).unwrap_or_default();
        a == b || self.chains.is_empty() || chain(a).iter().zip(chain(b)).all(|(a, b)| a == b)
    }

    /// Objects of a sort that are deployed together with those of a path.
    pub(crate) fn near(&self, path: &str, sort: FactSort) -> impl Iterator<Item = &'a ObjectFacts> {
        self.by_sort.get(&sort).into_iter().flatten().copied().filter(move |other| self.together(path, &other.path))
    }

    /// Workloads near a path.
    pub(crate) fn workloads(&self, path: &str) -> impl Iterator<Item = (&'a ObjectFacts, &'a WorkloadFacts)> {
        self.near(path, FactSort::Workload).filter_map(with_workload)
    }

    /// All objects of a sort, wherever they are.
    pub(crate) fn all(&self, sort: FactSort) -> impl Iterator<Item = &'a ObjectFacts> {
        self.by_sort.get(&sort).into_iter().flatten().copied()
    }

    /// The workloads that an autoscaler or another reference of a path may mean by a kind and a name.
    pub(crate) fn named(
        &self,
        from: &'a ObjectFacts,
        kind: &str,
        name: &str,
    ) -> impl Iterator<Item = (&'a ObjectFacts, &'a WorkloadFacts)> {
        let known = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        let is_meant = move |facts: &&ObjectFacts| {
            facts.object.kind == kind && self.together(&from.path, &facts.path) && self.same_namespace(from, facts)
        };
        known.iter().copied().filter(is_meant).filter_map(with_workload)
    }

    fn scaling(&self, path: &str, namespace: &str, object: &Object) -> impl Iterator<Item = &'a ObjectFacts> {
        let known = self.by_target.get(object.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        known.iter().copied().filter(move |facts| {
            matches!(&facts.detail, Detail::Autoscaler { target_kind, .. } if *target_kind == object.kind)
                && self.together(path, &facts.path)
                && may_be_one(self.namespace_of(facts), namespace)
        })
    }

    /// The autoscalers that target a workload, and their least replicas where they are known.
    pub(crate) fn autoscalers(&self, of: &'a ObjectFacts) -> impl Iterator<Item = (&'a ObjectFacts, Option<i64>)> {
        self.scaling(&of.path, self.namespace_of(of), &of.object).filter_map(|facts| match &facts.detail {
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
        self.selecting(FactSort::DisruptionBudget, of, workload)
    }

    /// The Services that may send traffic to the pods of a workload.
    pub(crate) fn services(&self, of: &'a ObjectFacts, workload: &'a WorkloadFacts) -> Vec<&'a ObjectFacts> {
        self.selecting(FactSort::Service, of, workload)
    }

    fn selecting(&self, sort: FactSort, of: &'a ObjectFacts, workload: &'a WorkloadFacts) -> Vec<&'a ObjectFacts> {
        let labels = workload.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).chain([("", "")]);
        let mut found: Vec<&'a ObjectFacts> = labels
            .filter_map(|label| self.by_label.get(&label))
            .flatten()
            .filter(|(facts, selector)| {
                facts.detail.sort() == sort
                    && selector.selects(&workload.labels, &self.build.labels)
                    && self.together(&of.path, &facts.path)
                    && self.same_namespace(of, facts)
            })
            .map(|(facts, _)| *facts)
            .collect();
        found.sort_by_key(|facts| (&facts.path, facts.name_span));
        found
    }

    /// Whether a binding near a path has an account as its subject.
    fn gives_rights(&self, path: &str, namespace: &str, account: &str) -> bool {
        self.near(path, FactSort::Binding).any(|facts| {
            let Detail::Binding { accounts, .. } = &facts.detail else { return false };
            accounts.iter().any(|(of, name)| {
                // A kustomization puts the accounts of its bindings into its namespace, too.
                name == account && (may_be_one(of, namespace) || may_be_one(self.namespace_of(facts), namespace))
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
            .filter(|facts| may_be_one(self.namespace_of(facts), namespace))
            .any(|facts| matches!(&facts.detail, Detail::LimitRange { fields } if fields.iter().any(|known| known == field)))
    }
}

fn may_be_one(a: &str, b: &str) -> bool {
    a == b || a.is_empty() || b.is_empty()
}

fn with_workload(facts: &ObjectFacts) -> Option<(&ObjectFacts, &WorkloadFacts)> {
    match &facts.detail {
        Detail::Workload(workload) => Some((facts, workload)),
        _ => None,
    }
}

/// What selects pods by the rarest label that its selector asks for, so that no label that all have makes each one look at all.
fn selecting_by_label<'a>(
    objects: &[&'a ObjectFacts],
    added: &BTreeSet<String>,
) -> HashMap<(&'a str, &'a str), Vec<(&'a ObjectFacts, &'a Selector)>> {
    let selecting = || {
        objects.iter().filter_map(|&facts| match &facts.detail {
            Detail::DisruptionBudget { selector: Some(selector), .. } | Detail::Service { selector: Some(selector), .. } => {
                Some((facts, selector))
            }
            _ => None,
        })
    };
    let labels = |selector: &'a Selector| {
        selector.labels.iter().filter(|(key, _)| !added.contains(*key)).map(|(key, value)| (key.as_str(), value.as_str()))
    };
    let mut count: HashMap<(&str, &str), usize> = HashMap::new();
    for label in selecting().flat_map(|(_, selector)| labels(selector)) {
        *count.entry(label).or_default() += 1;
    }
    let mut by_label: HashMap<(&'a str, &'a str), Vec<(&'a ObjectFacts, &'a Selector)>> = HashMap::new();
    for (facts, selector) in selecting() {
        let rarest = labels(selector).min_by_key(|label| count.get(label).copied().unwrap_or_default()).unwrap_or_default();
        by_label.entry(rarest).or_default().push((facts, selector));
    }
    by_label
}

/// Folders at which plain manifests are cut: where the same object stands twice, the highest folders that separate the two.
pub(crate) fn cuts(objects: &[&ObjectFacts]) -> BTreeSet<String> {
    let mut cuts = BTreeSet::new();
    let mut seen: HashMap<(&str, &str, &str, &str), Vec<&Arc<str>>> = HashMap::new();
    for facts in objects.iter().filter(|facts| !facts.object.name.is_empty()) {
        let object = &facts.object;
        let paths = seen.entry((&facts.group, &object.kind, &object.namespace, &object.name)).or_default();
        for earlier in paths.iter() {
            if **earlier == facts.path {
                continue;
            }
            let common = earlier.split('/').zip(facts.path.split('/')).take_while(|(a, b)| a == b).count();
            for path in [earlier.as_ref(), facts.path.as_ref()] {
                cuts.insert(path.split('/').take(common + 1).collect::<Vec<_>>().join("/"));
            }
        }
        if paths.last() != Some(&&facts.path) {
            paths.push(&facts.path);
        }
    }
    cuts
}

/// One rule at work on a group.
pub(crate) struct ProjectRun<'a> {
    pub(crate) group: &'a Group<'a>,
    pub(crate) rule: &'a Rule,
    pub(crate) active: &'a Active,
    /// Names that the configuration declares to exist elsewhere.
    pub(crate) externals: &'a [String],
    /// Kinds and names (empty for any) whose replicas a delivery tool leaves alone, from all groups: what delivers
    /// a group is seldom a part of it.
    pub(crate) scaled_elsewhere: &'a [(String, String)],
    pub(crate) drafts: Vec<Draft>,
}

impl ProjectRun<'_> {
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
        self.externals.iter().any(|external| {
            let (known_kind, known_name) = external.split_once('/').unwrap_or(("", external));
            (known_kind.is_empty() || known_kind.eq_ignore_ascii_case(kind)) && known_name == name
        })
    }
}

/// A place to point at beside the main one.
pub(crate) fn location(facts: &ObjectFacts, span: Span) -> Location {
    Location { path: Arc::clone(&facts.path), span }
}

/// Runs the project checks over the groups.
pub(crate) fn link(groups: &[Group<'_>], rules: &RuleSet, active: &[Active], externals: &[String]) -> Vec<Draft> {
    let scaled_elsewhere: Vec<(String, String)> = groups
        .iter()
        .flat_map(|group| group.all(FactSort::Application))
        .filter_map(|facts| if let Detail::Application { scaled_elsewhere, .. } = &facts.detail { Some(scaled_elsewhere) } else { None })
        .flatten()
        .cloned()
        .collect();
    let mut drafts = Vec::new();
    for group in groups {
        for active in active {
            let Some(rule) = rules.rules().get(active.index) else { continue };
            for check in &rule.checks {
                if let crate::check::Check::Native(crate::check::Native::Project(_, function)) = check {
                    let mut run = ProjectRun { group, rule, active, externals, scaled_elsewhere: &scaled_elsewhere, drafts: Vec::new() };
                    function(&mut run);
                    drafts.append(&mut run.drafts);
                }
            }
        }
    }
    drafts
}
