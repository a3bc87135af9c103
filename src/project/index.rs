//! The index of a group: what provides the things that its objects name, and what may be made without a file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::references::{Provided, is_custom, is_inert, is_opaque};
use super::{Detail, Group, ObjectFacts, may_be_one};

/// Objects that a cluster or what is installed in nearly every one of that kind makes by itself.
const GIVEN: &[(&str, &str)] = &[
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "openshift-service-ca.crt"),
    ("ConfigMap", "istio-ca-root-cert"),
    ("ConfigMap", "extension-apiserver-authentication"),
    ("ConfigMap", "linkerd-identity-trust-roots"),
    ("ServiceAccount", "default"),
    ("ServiceAccount", "builder"),
    ("ServiceAccount", "deployer"),
    ("Service", "kubernetes"),
];

/// Kinds that are in no namespace.
const CLUSTER_WIDE: &[&str] = &["StorageClass", "ClusterIssuer", "ClusterRole", "Namespace"];

/// The cuts that a path lies below, outermost first.
pub(super) type Chain = Arc<[usize]>;

/// Things by the cuts that they lie below. What lies below a cut is deployed together with what lies below it, too, and
/// with what lies outside of all cuts between the two; so no thing of a place beside it has to be looked at.
pub(super) struct ByCut<T>(Vec<(Chain, T)>);

impl<T> Default for ByCut<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByCut<T> {
    /// Adds a thing; all have to be sorted after that.
    pub(super) fn push(&mut self, chain: &Chain, thing: T) {
        self.0.push((Arc::clone(chain), thing));
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.0.shrink_to_fit();
    }

    /// How many there are in all.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, thing)| thing)
    }

    /// Those from the first one below some cuts on, each with the cuts that it lies below.
    fn from(&self, chain: &[usize]) -> impl Iterator<Item = &(Chain, T)> {
        let start = self.0.partition_point(|(known, _)| **known < *chain);
        self.0.get(start..).unwrap_or_default().iter()
    }

    /// Those that are deployed together with what lies below some cuts: outside of them or between them, then below.
    pub(super) fn near<'s>(&'s self, chain: &'s [usize]) -> impl Iterator<Item = &'s T> {
        let outside = (0..chain.len())
            .filter_map(move |end| chain.get(..end))
            .flat_map(move |outer| self.from(outer).take_while(move |(known, _)| **known == *outer));
        let below = self.from(chain).take_while(move |(known, _)| known.starts_with(chain));
        outside.chain(below).map(|(_, thing)| thing)
    }
}

/// What provides things in a group.
#[derive(Default)]
pub(super) struct Index<'a> {
    provided: HashMap<(&'static str, &'a str), ByCut<(&'a ObjectFacts, &'a Provided)>>,
    /// Who provides something of a kind in a namespace.
    kinds: HashMap<(&'static str, &'a str), ByCut<&'a ObjectFacts>>,
    /// What deploys objects that no file holds, by the namespace it deploys into.
    opaque: HashMap<&'a str, ByCut<&'a ObjectFacts>>,
    /// Custom resources that may make objects named after them.
    makers: HashMap<&'a str, ByCut<&'a ObjectFacts>>,
    mentioned: HashSet<&'a str>,
}

impl<'a> Index<'a> {
    /// The index of objects, each with the cuts that it lies below.
    pub(super) fn new(objects: &[(&'a ObjectFacts, Chain)]) -> Self {
        let mut index = Self::default();
        for (facts, chain) in objects {
            let (facts, namespace) = (*facts, facts.object.namespace.as_str());
            for provided in &facts.links.provides {
                index.provided.entry((provided.kind, &provided.name)).or_default().push(chain, (facts, provided));
                let place = if CLUSTER_WIDE.contains(&provided.kind) { "" } else { namespace };
                index.kinds.entry((provided.kind, place)).or_default().push(chain, facts);
            }
            index.mentioned.extend(facts.links.mentions.iter().map(String::as_str));
            let kind = &facts.object.kind;
            if is_opaque(kind, &facts.group) {
                let into = match &facts.detail {
                    Detail::Application { destination, .. } => destination,
                    _ => facts.links.into.as_deref().unwrap_or(namespace),
                };
                index.opaque.entry(into).or_default().push(chain, facts);
            } else if is_custom(&facts.group) && !is_inert(kind, &facts.group) && kind != "CustomResourceDefinition" {
                index.makers.entry(&facts.object.name).or_default().push(chain, facts);
            }
        }
        index.provided.values_mut().for_each(ByCut::sort);
        index.kinds.values_mut().for_each(ByCut::sort);
        index.opaque.values_mut().chain(index.makers.values_mut()).for_each(ByCut::sort);
        index
    }
}

impl<'a> Group<'a> {
    /// What provides something of a kind and a name to an object that looks for it in a namespace.
    pub(crate) fn providers(
        &self,
        from: &ObjectFacts,
        kind: &'static str,
        name: &str,
        namespace: &str,
    ) -> Vec<(&'a ObjectFacts, &'a Provided)> {
        // A claim of a StatefulSet is numbered.
        let claim = name.rsplit_once('-').filter(|(_, end)| kind == "PersistentVolumeClaim" && end.parse::<u32>().is_ok());
        let names = std::iter::once(name).chain(claim.map(|(template, _)| template));
        let chain = self.chain(&from.path);
        let found = names.filter_map(|name| self.index.provided.get(&(kind, name))).flat_map(|found| found.near(chain)).copied();
        found
            .filter(|(facts, provided)| provided.everywhere || CLUSTER_WIDE.contains(&kind) || may_be_one(facts.namespace(), namespace))
            .collect()
    }

    /// Whether what an object looks for is in a file that may be deployed with it, though they hold variants of the same.
    pub(crate) fn varies(&self, from: &ObjectFacts, kind: &'static str, name: &str, namespace: &str) -> bool {
        self.index.provided.get(&(kind, name)).into_iter().flat_map(ByCut::all).any(|(facts, _)| {
            self.may_be_together(&from.path, &facts.path) && (CLUSTER_WIDE.contains(&kind) || may_be_one(facts.namespace(), namespace))
        })
    }

    /// Whether something of a kind stands in a namespace near an object, so that the others should, too.
    pub(crate) fn has_kind(&self, from: &ObjectFacts, kind: &'static str, namespace: &str) -> bool {
        let place = if CLUSTER_WIDE.contains(&kind) { "" } else { namespace };
        let chain = self.chain(&from.path);
        self.index.kinds.get(&(kind, place)).is_some_and(|found| found.near(chain).next().is_some())
    }

    /// Whether objects may be deployed into a namespace that no file of the group holds.
    pub(crate) fn is_open(&self, from: &ObjectFacts, namespace: &str) -> bool {
        let opaque = &self.index.opaque;
        let chain = self.chain(&from.path);
        let near = |found: &ByCut<&ObjectFacts>| found.near(chain).next().is_some();
        // What is not written is given at deploy time.
        let into = || ["", namespace].into_iter().filter_map(|namespace| opaque.get(namespace)).any(near);
        self.build.open || if namespace.is_empty() { opaque.values().any(near) } else { into() }
    }

    /// Whether a custom resource may make an object of a name: its own name is a part of it, or it says it.
    fn may_be_made(&self, from: &ObjectFacts, name: &str, namespace: &str) -> bool {
        if self.index.mentioned.contains(name) {
            return true;
        }
        let chain = self.chain(&from.path);
        let ends = || name.char_indices().filter(|(_, character)| matches!(character, '-' | '.')).map(|(index, _)| index);
        let starts = std::iter::once(0).chain(ends().map(|index| index + 1));
        starts
            .flat_map(|start| ends().chain([name.len()]).filter(move |end| *end > start).map(move |end| (start, end)))
            .filter_map(|(start, end)| self.index.makers.get(name.get(start..end)?))
            .flat_map(|found| found.near(chain))
            .any(|facts| may_be_one(facts.namespace(), namespace))
    }

    /// Whether what an object refers to is in no file of the group, and nothing of the group may make it.
    pub(crate) fn lacks(&self, from: &ObjectFacts, kind: &'static str, name: &str, namespace: &str) -> bool {
        !name.contains(['$', '{', '<'])
            && !GIVEN.contains(&(kind, name))
            && self.providers(from, kind, name, namespace).is_empty()
            && !self.is_open(from, namespace)
            && !self.may_be_made(from, name, namespace)
    }
}

impl Group<'_> {
    /// Whether objects of another group may be deployed into the same namespace as those of this one: plain manifests
    /// are often applied beside what a kustomization builds. Two builds are, where both say so or share no object; else
    /// they are two ways to deploy the same.
    pub(crate) fn goes_with(&self, other: &Group<'_>, own: &str, others: &str) -> bool {
        (own == others && !own.is_empty())
            || (may_be_one(own, others) && !(self.build.built && other.build.built && self.shares_objects(other)))
    }

    fn shares_objects(&self, other: &Group<'_>) -> bool {
        let named = |facts: &&&ObjectFacts| !facts.object.name.is_empty();
        let own: HashSet<(&str, &str)> =
            self.objects.iter().filter(named).map(|facts| (facts.object.kind.as_str(), facts.object.name.as_str())).collect();
        other.objects.iter().filter(named).any(|facts| own.contains(&(facts.object.kind.as_str(), facts.object.name.as_str())))
    }

    /// Whether this group has what another one lacks.
    pub(crate) fn offers(&self, to: &Group<'_>, kind: &'static str, name: &str, namespace: &str) -> bool {
        self.index.provided.get(&(kind, name)).into_iter().flat_map(ByCut::all).any(|(facts, provided)| {
            provided.everywhere || CLUSTER_WIDE.contains(&kind) || to.goes_with(self, namespace, facts.namespace())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_a_cut_is_not_near() {
        let mut things = ByCut::default();
        for chain in [vec![2, 4], vec![], vec![2], vec![7], vec![2, 3]] {
            things.push(&chain.clone().into(), chain);
        }
        things.sort();
        let near = |chain: &[usize]| things.near(chain).cloned().collect::<Vec<_>>();
        assert_eq!(near(&[2, 3]), [vec![], vec![2], vec![2, 3]]);
        assert_eq!(near(&[2]), [vec![], vec![2], vec![2, 3], vec![2, 4]]);
        assert_eq!(near(&[8]), [Vec::<usize>::new()]);
        assert_eq!(near(&[]).len(), things.count());
    }
}
