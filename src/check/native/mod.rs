//! Checks that do not fit the predicate language: one table from a name to a function.

mod availability;
mod compose;
mod compose_style;
mod cors;
mod cron;
mod datastores;
mod dotenv;
mod heap;
mod helm;
mod images;
mod kustomize;
mod limits;
mod network;
mod objects;
mod observability;
mod privileges;
mod probes;
mod rbac;
mod references;
mod schema;
mod secrets;
mod tls;
mod wrangler;

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
    Native::File("obsolete-version-field", compose::obsolete_version_field),
    Native::File("port-on-all-interfaces", compose::port_on_all_interfaces),
    Native::File("privileged-host-port", compose::privileged_host_port),
    Native::File("project-name-missing", compose::project_name_missing),
    Native::File("restart-attempts-unbounded", compose::restart_attempts_unbounded),
    Native::File("restart-policy-missing", compose::restart_policy_missing),
    Native::File("start-order-not-gated", compose::start_order_not_gated),
    Native::File("unbounded-logs", compose::unbounded_logs),
    Native::File("undeclared-reference", compose::undeclared_reference),
    Native::File("unescaped-dollar", compose::unescaped_dollar),
    Native::File("volume-shared-between-services", compose::volume_shared_between_services),
    Native::File("dependencies-unsorted", compose_style::dependencies_unsorted),
    Native::File("ports-unquoted", compose_style::ports_unquoted),
    Native::File("ports-unsorted", compose_style::ports_unsorted),
    Native::File("service-keys-unordered", compose_style::service_keys_unordered),
    Native::File("services-unsorted", compose_style::services_unsorted),
    Native::File("top-level-keys-unordered", compose_style::top_level_keys_unordered),
    Native::File("volumes-quoted", compose_style::volumes_quoted),
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
    Native::File("duplicate-env-var", schema::duplicate_env_var),
    Native::File("duplicate-key", schema::duplicate_key),
    Native::File("removed-api-version", schema::removed_api_version),
    Native::File("syntax-error", schema::syntax_error),
    Native::File("credential-in-url", secrets::credential_in_url),
    Native::File("private-key-material", secrets::private_key_material),
    Native::File("json-web-token", secrets::json_web_token),
    Native::File("high-entropy-value", secrets::high_entropy_value),
    Native::File("literal-in-args", secrets::literal_in_args),
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
    Native::File("personal-data-in-configmap", secrets::personal_data_in_configmap),
    Native::File("placeholder-value", secrets::placeholder_value),
    Native::File("sops-partial-encryption", secrets::sops_partial_encryption),
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
    Native::File("remote-base-unpinned", kustomize::remote_base_unpinned),
    Native::File("cpu-limit-below-one-core", limits::cpu_limit_below_one_core),
    Native::File("cpu-request-differs-from-limit", limits::cpu_request_differs_from_limit),
    Native::File("ephemeral-storage-request-differs-from-limit", limits::ephemeral_storage_request_differs_from_limit),
    Native::File("ephemeral-storage-unset", limits::ephemeral_storage_unset),
    Native::File("gpu-limit-missing", limits::gpu_limit_missing),
    Native::File("memory-request-differs-from-limit", limits::memory_request_differs_from_limit),
    Native::File("deprecated-service-account-field", objects::deprecated_service_account_field),
    Native::File("instance-label-mismatch", objects::instance_label_mismatch),
    Native::File("keys-unsorted", objects::keys_unsorted),
    Native::File("label-value-invalid", objects::label_value_invalid),
    Native::File("name-invalid", objects::name_invalid),
    Native::File("port-name-invalid", objects::port_name_invalid),
    Native::File("required-annotation-missing", objects::required_annotation_missing),
    Native::File("required-label-missing", objects::required_label_missing),
    Native::File("unrendered-template", objects::unrendered_template),
    Native::File("probes-identical", probes::probes_identical),
    Native::File("startup-probe-missing", probes::startup_probe_missing),
    Native::File("selector-label-mismatch", references::selector_label_mismatch),
    Native::File("volume-undefined", references::volume_undefined),
    Native::File("deprecated-api-version", schema::deprecated_api_version),
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
