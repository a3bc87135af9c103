//! Checks that do not fit the predicate language: one table from a name to a function.

mod availability;
mod cors;
mod cron;
mod limits;
mod probes;
mod schema;
mod secrets;
mod tls;

use super::Run;
use crate::project::ProjectRun;

pub(crate) use secrets::formats;

/// A native check.
#[derive(Clone, Copy)]
pub(crate) enum Native {
    /// Looks at one file.
    File(&'static str, fn(&mut Run<'_, '_>)),
    /// Looks at the facts of one group.
    Project(&'static str, fn(&mut ProjectRun<'_>)),
}

const NATIVE: &[Native] = &[
    Native::Project("hpa-target-missing", availability::hpa_target_missing),
    Native::Project("hpa-with-fixed-replicas", availability::hpa_with_fixed_replicas),
    Native::Project("overlapping-pdbs", availability::overlapping_pdbs),
    Native::Project("pdb-blocks-eviction", availability::pdb_blocks_eviction),
    Native::Project("pdb-missing", availability::pdb_missing),
    Native::Project("pdb-selects-nothing", availability::pdb_selects_nothing),
    Native::File("single-replica", availability::single_replica),
    Native::Project("hpa-target-without-request", limits::hpa_target_without_request),
    Native::File("limit-below-request", limits::limit_below_request),
    Native::File("quantity-suspect", limits::quantity_suspect),
    Native::File("probe-port-undefined", probes::probe_port_undefined),
    Native::File("probe-timing-invalid", probes::probe_timing_invalid),
    Native::Project("readiness-probe-missing", probes::readiness_probe_missing),
    Native::File("http-not-redirected", tls::http_not_redirected),
    Native::File("ingress-without-tls", tls::ingress_without_tls),
    Native::File("scrape-verification-disabled", tls::scrape_verification_disabled),
    Native::File("wildcard-origin-with-credentials", cors::wildcard_origin_with_credentials),
    Native::File("cron-schedule-invalid", schema::cron_schedule_invalid),
    Native::File("duplicate-env-var", schema::duplicate_env_var),
    Native::File("duplicate-key", schema::duplicate_key),
    Native::File("removed-api-version", schema::removed_api_version),
    Native::File("syntax-error", schema::syntax_error),
    Native::File("credential-in-url", secrets::credential_in_url),
    Native::File("private-key-material", secrets::private_key_material),
    Native::File("json-web-token", secrets::json_web_token),
    Native::File("high-entropy-value", secrets::high_entropy_value),
    Native::File("literal-in-args", secrets::literal_in_args),
];

impl Native {
    fn name(&self) -> &'static str {
        match self {
            Self::File(name, _) | Self::Project(name, _) => name,
        }
    }

    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        NATIVE.iter().map(Self::name)
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        NATIVE.iter().copied().find(|native| native.name() == name)
    }
}

impl std::fmt::Debug for Native {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}
