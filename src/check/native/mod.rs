//! Checks that do not fit the predicate language: one table from a name to a function.

mod availability;
mod certificates;
mod chart_files;
mod chart_templates;
mod compose;
mod compose_files;
mod compose_style;
mod cors;
mod cron;
mod dangling;
mod datastores;
mod dockerfile;
mod dotenv;
mod env_files;
mod exposure;
mod gitops;
mod heap;
mod helm;
mod hosts;
mod images;
mod kustomize;
mod limits;
mod mesh;
mod monitors;
mod namespaces;
mod network;
mod objects;
mod observability;
mod policies;
mod privileges;
mod probes;
mod rbac;
mod references;
mod rollout;
mod schema;
mod secrets;
mod sops;
mod stores;
mod tls;
mod wrangler;
mod wrangler_files;

use super::{Active, Draft, Run};
use crate::project::{Credential, ProjectRun, reused_across_environments};
use crate::rule::Rule;

pub(crate) use network::is_closed;
pub(crate) use secrets::formats;

/// A native check.
#[derive(Clone, Copy)]
pub(crate) enum Native {
    /// Looks at what one file deploys, or an environment.
    File(&'static str, fn(&mut Run<'_, '_>)),
    /// Looks at what is written in one file, whatever it is merged with.
    Text(&'static str, fn(&mut Run<'_, '_>)),
    /// Looks at the facts of one group.
    Project(&'static str, fn(&mut ProjectRun<'_>)),
    /// Compares the credentials of all files.
    Credentials(&'static str, fn(&Rule, &Active, &[Credential]) -> Vec<Draft>),
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
    Native::File("apparmor-profile-missing", privileges::apparmor_profile_missing),
    Native::File("capability-added", privileges::capability_added),
    Native::File("container-socket-mounted", privileges::container_socket_mounted),
    Native::File("host-path-mounted", privileges::host_path_mounted),
    Native::File("host-user-namespace", privileges::host_user_namespace),
    Native::File("linux-hardening-missing", privileges::linux_hardening_missing),
    Native::File("non-root-not-enforced", privileges::non_root_not_enforced),
    Native::File("seccomp-profile-missing", privileges::seccomp_profile_missing),
    Native::File("sensitive-host-path", privileges::sensitive_host_path),
    Native::File("unsafe-sysctl", privileges::unsafe_sysctl),
    Native::File("volume-type-not-restricted", privileges::volume_type_not_restricted),
    Native::File("writable-host-path", privileges::writable_host_path),
    Native::File("host-port", network::host_port),
    Native::File("placeholder-domain", network::placeholder_domain),
    Native::File("policy-allows-all-egress", network::policy_allows_all_egress),
    Native::File("policy-allows-all-ingress", network::policy_allows_all_ingress),
    Native::File("privileged-container-port", network::privileged_container_port),
    Native::File("public-load-balancer", network::public_load_balancer),
    Native::File("probe-port-undefined", probes::probe_port_undefined),
    Native::File("probe-timing-invalid", probes::probe_timing_invalid),
    Native::Project("readiness-probe-missing", probes::readiness_probe_missing),
    Native::File("broad-group-bound", rbac::broad_group_bound),
    Native::File("default-namespace-used", rbac::default_namespace_used),
    Native::File("service-account-token-automounted", rbac::service_account_token_automounted),
    Native::File("http-not-redirected", tls::http_not_redirected),
    Native::File("ingress-without-tls", tls::ingress_without_tls),
    Native::File("scrape-verification-disabled", tls::scrape_verification_disabled),
    Native::File("wildcard-origin-with-credentials", cors::wildcard_origin_with_credentials),
    Native::File("build-and-image", compose::build_and_image),
    Native::File("datastore-on-public-network", compose::datastore_on_public_network),
    Native::File("datastore-port-published", compose::datastore_port_published),
    Native::File("default-network-only", compose::default_network_only),
    Native::File("duplicate-container-name", compose::duplicate_container_name),
    Native::File("duplicate-published-port", compose::duplicate_published_port),
    Native::File("health-condition-without-healthcheck", compose::health_condition_without_healthcheck),
    Native::Text("obsolete-version-field", compose::obsolete_version_field),
    Native::File("port-on-all-interfaces", compose::port_on_all_interfaces),
    Native::File("privileged-host-port", compose::privileged_host_port),
    Native::File("project-name-missing", compose::project_name_missing),
    Native::File("restart-attempts-unbounded", compose::restart_attempts_unbounded),
    Native::File("restart-policy-missing", compose::restart_policy_missing),
    Native::File("start-order-not-gated", compose::start_order_not_gated),
    Native::File("unbounded-logs", compose::unbounded_logs),
    Native::File("undeclared-reference", compose::undeclared_reference),
    Native::Text("unescaped-dollar", compose::unescaped_dollar),
    Native::File("volume-shared-between-services", compose::volume_shared_between_services),
    Native::Text("dependencies-unsorted", compose_style::dependencies_unsorted),
    Native::Text("ports-unquoted", compose_style::ports_unquoted),
    Native::Text("ports-unsorted", compose_style::ports_unsorted),
    Native::Text("service-keys-unordered", compose_style::service_keys_unordered),
    Native::Text("services-unsorted", compose_style::services_unsorted),
    Native::Text("top-level-keys-unordered", compose_style::top_level_keys_unordered),
    Native::Text("volumes-quoted", compose_style::volumes_quoted),
    Native::File("image-digest-missing", images::image_digest_missing),
    Native::File("image-placeholder", images::image_placeholder),
    Native::File("mutable-image-tag", images::mutable_image_tag),
    Native::File("pull-policy-not-always", images::pull_policy_not_always),
    Native::File("registry-not-allowed", images::registry_not_allowed),
    Native::File("stale-image-possible", images::stale_image_possible),
    Native::File("postgres-durability-off", datastores::postgres_durability_off),
    Native::File("postgres-trust-authentication", datastores::postgres_trust_authentication),
    Native::File("grafana-default-admin", observability::grafana_default_admin),
    Native::File("disabled-in-production", observability::disabled_in_production),
    Native::File("cron-schedule-invalid", schema::cron_schedule_invalid),
    Native::Text("duplicate-env-var", schema::duplicate_env_var),
    Native::Text("duplicate-key", schema::duplicate_key),
    Native::File("removed-api-version", schema::removed_api_version),
    Native::Text("syntax-error", schema::syntax_error),
    Native::Text("credential-in-url", secrets::credential_in_url),
    Native::Text("private-key-material", secrets::private_key_material),
    Native::Text("json-web-token", secrets::json_web_token),
    Native::Text("high-entropy-value", secrets::high_entropy_value),
    Native::Text("literal-in-args", secrets::literal_in_args),
    Native::File("unknown-field", wrangler::unknown_field),
    Native::File("wrangler-schema-invalid", wrangler::schema_invalid),
    Native::File("deprecated-field", wrangler::deprecated_field),
    Native::File("environment-loses-bindings", wrangler::environment_loses_bindings),
    Native::File("environment-inherits-custom-domain", wrangler::environment_inherits_custom_domain),
    Native::File("environment-resource-shared", wrangler::environment_resource_shared),
    Native::File("binding-name-duplicated", wrangler::binding_name_duplicated),
    Native::File("durable-object-without-migration", wrangler::durable_object_without_migration),
    Native::File("migration-deletes-data", wrangler::migration_deletes_data),
    Native::File("module-rule-shadowed", wrangler::module_rule_shadowed),
    Native::File("tail-consumer-is-self", wrangler::tail_consumer_is_self),
    Native::File("compliance-region-inconsistent", wrangler::compliance_region_inconsistent),
    Native::File("compatibility-date-missing", wrangler::compatibility_date_missing),
    Native::File("compatibility-date-invalid", wrangler::compatibility_date_invalid),
    Native::File("compatibility-date-stale", wrangler::compatibility_date_stale),
    Native::File("preview-uses-production-id", wrangler::preview_uses_production_id),
    Native::File("queue-without-dead-letter", wrangler::queue_without_dead_letter),
    Native::File("pages-field-unsupported", wrangler::pages_field_unsupported),
    Native::File("assets-directory-exposes-repository", wrangler::assets_directory_exposes_repository),
    Native::File("assets-skip-worker", wrangler::assets_skip_worker),
    Native::File("route-asset-path-mismatch", wrangler::route_asset_path_mismatch),
    Native::File("binding-name-invalid", wrangler::binding_name_invalid),
    Native::File("dotenv-duplicate-key", dotenv::duplicate_key),
    Native::File("crlf-line-ending", dotenv::crlf_line_ending),
    Native::File("dialect-dependent-line", dotenv::dialect_dependent_line),
    Native::File("extra-blank-line", dotenv::extra_blank_line),
    Native::File("final-newline-missing", dotenv::final_newline_missing),
    Native::File("key-delimiter-invalid", dotenv::key_delimiter_invalid),
    Native::File("key-starts-with-invalid-character", dotenv::key_starts_with_invalid_character),
    Native::File("key-without-value", dotenv::key_without_value),
    Native::File("lowercase-key", dotenv::lowercase_key),
    Native::File("malformed-substitution", dotenv::malformed_substitution),
    Native::File("space-around-equals", dotenv::space_around_equals),
    Native::File("substitution-undefined", dotenv::substitution_undefined),
    Native::File("trailing-whitespace", dotenv::trailing_whitespace),
    Native::File("unclosed-quote", dotenv::unclosed_quote),
    Native::File("unneeded-quotes", dotenv::unneeded_quotes),
    Native::File("unquoted-value-with-space", dotenv::unquoted_value_with_space),
    Native::File("unsorted-keys", dotenv::unsorted_keys),
    Native::File("null-origin-allowed", cors::null_origin_allowed),
    Native::File("origin-pattern-unanchored", cors::origin_pattern_unanchored),
    Native::File("hsts-missing", tls::hsts_missing),
    Native::Text("personal-data-in-configmap", secrets::personal_data_in_configmap),
    Native::Text("placeholder-value", secrets::placeholder_value),
    Native::Text("sops-partial-encryption", secrets::sops_partial_encryption),
    Native::File("hpa-cannot-scale", availability::hpa_cannot_scale),
    Native::File("hpa-threshold-extreme", availability::hpa_threshold_extreme),
    Native::File("pdb-unhealthy-eviction-policy-unset", availability::pdb_unhealthy_eviction_policy_unset),
    Native::File("topology-spread-missing", availability::topology_spread_missing),
    Native::File("spread-selector-mismatch", availability::spread_selector_mismatch),
    Native::File("heap-exceeds-memory-limit", heap::heap_exceeds_memory_limit),
    Native::File("chart-file-invalid", helm::chart_file_invalid),
    Native::File("chart-metadata-invalid", helm::chart_metadata_invalid),
    Native::File("chart-version-invalid", helm::chart_version_invalid),
    Native::File("crds-invalid", helm::crds_invalid),
    Native::File("icon-missing", helm::icon_missing),
    Native::File("kustomize-deprecated-field", kustomize::deprecated_field),
    Native::File("kustomize-reference-missing", kustomize::reference_missing),
    Native::File("patch-target-missing", kustomize::patch_target_missing),
    Native::File("image-override-unused", kustomize::image_override_unused),
    Native::File("manifest-not-applied", kustomize::manifest_not_applied),
    Native::File("remote-base-unpinned", kustomize::remote_base_unpinned),
    Native::File("cpu-limit-below-one-core", limits::cpu_limit_below_one_core),
    Native::File("cpu-request-differs-from-limit", limits::cpu_request_differs_from_limit),
    Native::File("ephemeral-storage-request-differs-from-limit", limits::ephemeral_storage_request_differs_from_limit),
    Native::File("ephemeral-storage-unset", limits::ephemeral_storage_unset),
    Native::File("gpu-limit-missing", limits::gpu_limit_missing),
    Native::File("memory-request-differs-from-limit", limits::memory_request_differs_from_limit),
    Native::File("deprecated-service-account-field", objects::deprecated_service_account_field),
    Native::File("instance-label-mismatch", objects::instance_label_mismatch),
    Native::Text("keys-unsorted", objects::keys_unsorted),
    Native::File("label-value-invalid", objects::label_value_invalid),
    Native::File("name-invalid", objects::name_invalid),
    Native::File("port-name-invalid", objects::port_name_invalid),
    Native::File("required-annotation-missing", objects::required_annotation_missing),
    Native::File("required-label-missing", objects::required_label_missing),
    Native::Text("unrendered-template", objects::unrendered_template),
    Native::File("probes-identical", probes::probes_identical),
    Native::File("startup-probe-missing", probes::startup_probe_missing),
    Native::File("selector-label-mismatch", references::selector_label_mismatch),
    Native::File("volume-undefined", references::volume_undefined),
    Native::File("deprecated-api-version", schema::deprecated_api_version),
    Native::File("env-file-committed", env_files::env_file_committed),
    Native::File("example-drift", env_files::example_drift),
    Native::File("dotenv-schema-violation", env_files::schema_violation),
    Native::File("env-file-missing", compose_files::env_file_missing),
    Native::File("bind-source-missing", compose_files::bind_source_missing),
    Native::File("secret-file-missing", compose_files::secret_file_missing),
    Native::File("build-context-missing", compose_files::build_context_missing),
    Native::File("variable-undefined", compose_files::variable_undefined),
    Native::File("built-image-runs-as-root", compose_files::built_image_runs_as_root),
    Native::File("entry-missing", wrangler_files::entry_missing),
    Native::File("d1-migrations-missing", wrangler_files::d1_migrations_missing),
    Native::File("multiple-config-files", wrangler_files::multiple_config_files),
    Native::File("required-secret-undeclared", wrangler_files::required_secret_undeclared),
    Native::File("service-binding-dangling", wrangler_files::service_binding_dangling),
    Native::File("environment-undefined", wrangler_files::environment_undefined),
    Native::File("worker-unreachable", wrangler_files::worker_unreachable),
    Native::File("dependency-missing", chart_files::dependency_missing),
    Native::File("dependency-unpinned", chart_files::dependency_unpinned),
    Native::File("value-undefined", chart_templates::value_undefined),
    Native::File("production-values-unsafe", chart_files::production_values_unsafe),
    Native::File("source-missing", gitops::source_missing),
    Native::File("sops-file-unencrypted", sops::sops_file_unencrypted),
    Native::Credentials("reused-across-environments", reused_across_environments),
    Native::Project("network-policy-missing", policies::network_policy_missing),
    Native::Project("policy-selects-nothing", policies::policy_selects_nothing),
    Native::Project("policy-peer-selects-nothing", policies::policy_peer_selects_nothing),
    Native::Project("default-deny-missing", namespaces::default_deny_missing),
    Native::Project("namespace-without-limit-range", namespaces::namespace_without_limit_range),
    Native::Project("namespace-without-quota", namespaces::namespace_without_quota),
    Native::Project("pod-security-level-unset", namespaces::pod_security_level_unset),
    Native::Project("internal-port-exposed", exposure::internal_port_exposed),
    Native::Project("workload-publicly-exposed", exposure::workload_publicly_exposed),
    Native::Project("service-monitor-selects-nothing", monitors::service_monitor_selects_nothing),
    Native::Project("service-monitor-port-missing", monitors::service_monitor_port_missing),
    Native::Project("service-monitor-missing", monitors::service_monitor_missing),
    Native::Project("rollout-causes-outage", rollout::rollout_causes_outage),
    Native::Project("read-write-once-volume-shared", rollout::read_write_once_volume_shared),
    Native::Project("single-zone-pin", rollout::single_zone_pin),
    Native::Project("grace-period-too-short", rollout::grace_period_too_short),
    Native::File("compose-grace-period-too-short", rollout::compose_grace_period_too_short),
    Native::Project("hpa-missing", rollout::hpa_missing),
    Native::Project("prestop-missing", rollout::prestop_missing),
    Native::Project("redis-without-auth", stores::redis_without_auth),
    Native::File("redis-file-without-auth", stores::redis_file_without_auth),
    Native::File("volume-ephemeral", stores::volume_ephemeral),
    Native::Project("service-selects-nothing", dangling::service_selects_nothing),
    Native::Project("ingress-backend-missing", dangling::ingress_backend_missing),
    Native::Project("config-key-missing", dangling::config_key_missing),
    Native::Project("service-port-missing", dangling::service_port_missing),
    Native::Project("configmap-missing", dangling::configmap_missing),
    Native::Project("secret-missing", dangling::secret_missing),
    Native::Project("service-account-missing", dangling::service_account_missing),
    Native::Project("volume-claim-missing", dangling::volume_claim_missing),
    Native::Project("statefulset-service-missing", dangling::statefulset_service_missing),
    Native::Project("cluster-admin-bound", rbac::cluster_admin_bound),
    Native::Project("default-service-account-bound", rbac::default_service_account_bound),
    Native::Project("pod-exec-bound", rbac::pod_exec_bound),
    Native::Project("binding-dangling", rbac::binding_dangling),
    Native::Project("service-account-shared", rbac::service_account_shared),
    Native::Project("ingress-tls-secret-missing", certificates::ingress_tls_secret_missing),
    Native::Project("certificate-issuer-missing", certificates::certificate_issuer_missing),
    Native::Project("certificate-misses-host", certificates::certificate_misses_host),
    Native::Project("acme-staging-issuer", certificates::acme_staging_issuer),
    Native::Project("self-signed-issuer-on-public-host", certificates::self_signed_issuer_on_public_host),
    Native::Project("gateway-without-tls", certificates::gateway_without_tls),
    Native::File("load-balancer-without-tls", certificates::load_balancer_without_tls),
    Native::File("mesh-plaintext-allowed", mesh::mesh_plaintext_allowed),
    Native::Project("mesh-not-strict", mesh::mesh_not_strict),
    Native::Project("namespace-missing", dangling::namespace_missing),
    Native::Project("env-host-unresolvable", hosts::env_host_unresolvable),
    Native::File("compose-host-unresolvable", hosts::compose_host_unresolvable),
    Native::Project("duplicate-resource", dangling::duplicate_resource),
];

impl Native {
    fn name(&self) -> &'static str {
        match self {
            Self::File(name, _) | Self::Text(name, _) | Self::Project(name, _) | Self::Credentials(name, _) => name,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_for_one_function() {
        let names: Vec<&str> = Native::names().collect();
        let unique: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(unique.len(), names.len());
    }
}
