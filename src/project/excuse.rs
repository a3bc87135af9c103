//! Facts that excuse a finding of one file.

use std::collections::HashMap;

use super::{Detail, FactSort, Group, may_be_one};
use crate::artifact::Artifact;
use crate::artifact::kubernetes::pod_template;
use crate::check::Draft;
use crate::finding::Object;

/// A fact of the group that would excuse a finding.
#[derive(Clone, Debug)]
pub(crate) struct Excuse {
    fact: &'static str,
    object: Object,
    /// The service account of the pods.
    account: String,
}

impl Excuse {
    pub(crate) const NAMES: &'static [&'static str] = &[
        "limit-range.default.cpu",
        "limit-range.default.memory",
        "limit-range.defaultRequest.cpu",
        "limit-range.defaultRequest.memory",
        "limit-range.default.ephemeral-storage",
        "limit-range.defaultRequest.ephemeral-storage",
        "default-priority",
        "autoscaled",
        "service-account.no-token",
        "service-account.bound",
        "service-account.unknown",
        "bound-in-namespaces",
        "namespace-given",
    ];

    pub(crate) fn new(fact: &str, artifact: &Artifact<'_>) -> Self {
        let fact = Self::NAMES.iter().copied().find(|name| *name == fact).unwrap_or("autoscaled");
        let pod = pod_template(artifact.root).and_then(|template| template.get("spec"));
        let named = pod.and_then(|pod| pod.text_of("serviceAccountName").or_else(|| pod.text_of("serviceAccount")));
        let account = named.filter(|name| !name.is_empty()).unwrap_or("default").to_owned();
        Self { fact, object: artifact.object.clone(), account }
    }

    fn holds(&self, path: &str, group: &Group<'_>) -> bool {
        let namespace = self.object.namespace.as_str();
        let accounts = || {
            group
                .near(path, FactSort::ServiceAccount)
                .filter(|facts| facts.object.name == self.account && may_be_one(facts.namespace(), namespace))
        };
        match self.fact {
            "service-account.no-token" => accounts().any(|facts| matches!(facts.detail, Detail::ServiceAccount { no_token: true, .. })),
            "service-account.bound" => {
                accounts().any(|facts| matches!(facts.detail, Detail::ServiceAccount { identity: true, .. }))
                    || group.gives_rights(path, namespace, &self.account)
            }
            "service-account.unknown" => self.account != "default" && accounts().next().is_none(),
            "bound-in-namespaces" => group.is_bound_in_namespaces_only(path, &self.object),
            // A build or a delivery tool puts objects into a namespace.
            "namespace-given" if self.object.namespace.is_empty() => {
                let delivered = |sort| group.near(path, sort).next().is_some();
                let given = !group.name.is_empty() || !namespace.is_empty();
                given || delivered(FactSort::Application) || delivered(FactSort::Delivery)
            }
            "namespace-given" => false,
            "default-priority" => group.near(path, FactSort::DefaultPriority).next().is_some(),
            fact => match fact.strip_prefix("limit-range.") {
                Some(field) => group.has_limit_range(path, namespace, field),
                None => group.scaling(path, namespace, &self.object).next().is_some(),
            },
        }
    }
}

/// The drafts that no fact of their group excuses.
pub(crate) fn not_excused(groups: &[Group<'_>], drafts: Vec<Draft>) -> Vec<Draft> {
    let mut of_path: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, group) in groups.iter().enumerate() {
        for facts in &group.objects {
            let known = of_path.entry(&facts.path).or_default();
            if known.last() != Some(&index) {
                known.push(index);
            }
        }
    }
    let by_name: HashMap<&str, usize> =
        groups.iter().enumerate().filter(|(_, group)| !group.name.is_empty()).map(|(index, group)| (group.name.as_str(), index)).collect();
    drafts
        .into_iter()
        .filter(|draft| {
            // What an environment deploys is excused there; what stands in a file, wherever it is deployed.
            let built = draft.environment.as_deref().and_then(|name| by_name.get(name));
            let homes = match built {
                Some(index) => std::slice::from_ref(index),
                None => of_path.get(&*draft.location.path).map(Vec::as_slice).unwrap_or_default(),
            };
            let excused = |index: &usize| {
                groups.get(*index).is_some_and(|group| draft.unless.iter().any(|excuse| excuse.holds(&draft.location.path, group)))
            };
            homes.is_empty() || !homes.iter().all(excused)
        })
        .collect()
}
