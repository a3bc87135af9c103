//! The hosts that variables name.

/// Words at the end of the names of variables that hold a host, perhaps with a port.
/// A hostname is more often the own one.
const HOSTS: &[&str] = &["host", "hosts"];
const ADDRESSES: &[&str] =
    &["addr", "address", "endpoint", "server", "servers", "broker", "brokers", "url", "uri", "target", "upstream", "backend"];

/// Schemes after which no host of a network follows.
const NO_HOST: &[&str] =
    &["file", "unix", "s3", "gs", "sqlite", "docker", "oci", "arn", "urn", "data", "mailto", "classpath", "mongodb+srv"];

/// What cannot be judged: this machine, and words that stand for any host.
const ANY: &[&str] = &[
    "localhost",
    "host",
    "hostname",
    "example",
    "metadata",
    "none",
    "null",
    "default",
    "changeme",
    "unknown",
    "local",
    "server",
    "domain",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
];

/// The host that a variable names, as far as that is sure, and its port: that of a URL, of `host:port` where the name
/// says address, or all of the value where it says host.
pub(crate) fn host_in<'v>(name: &str, value: &'v str) -> Option<(&'v str, Option<&'v str>)> {
    let value = value.trim();
    let lower = name.to_ascii_lowercase();
    let last = lower.rsplit(['_', '-', '.']).next().unwrap_or_default();
    let authority = match value.split_once("://") {
        Some((scheme, _)) if NO_HOST.contains(&scheme) || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+') => {
            return None;
        }
        Some((_, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            authority.rsplit_once('@').map_or(authority, |(_, host)| host)
        }
        None if value.contains('/') => return None,
        None if HOSTS.contains(&last) || ((ADDRESSES.contains(&last) || HOSTS.contains(&last)) && value.contains(':')) => value,
        None => return None,
    };
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let named = host.split('.').all(is_label) && host.bytes().any(|byte| byte.is_ascii_lowercase());
    let numbered = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    (named && numbered && !ANY.contains(&host) && !host.ends_with(".docker.internal")).then_some((host, port))
}

/// Name and namespace of the Service that a host of a cluster is; the namespace is empty where the host does not say it.
pub(crate) fn service_in(host: &str) -> Option<(&str, &str)> {
    if !host.contains('.') {
        return Some((host, ""));
    }
    let labels: Vec<&str> = host.split('.').collect();
    let end = labels.iter().position(|label| *label == "svc")?;
    let rest = labels.get(end + 1..).unwrap_or_default();
    let namespace = labels.get(end.checked_sub(1)?)?;
    let name = labels.get(end.checked_sub(2)?)?;
    // `cluster.local`, or whatever the cluster is called.
    (rest.is_empty() || rest.len() >= 2).then_some((name, namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_where_they_are_sure() {
        for (name, value, expected) in [
            ("API_URL", "http://api:8080/v1?x=y", Some(("api", Some("8080")))),
            ("DATABASE_URL", "postgres://u:p@db.shop.svc.cluster.local/x", Some(("db.shop.svc.cluster.local", None))),
            ("CART_ADDR", "cart:7070", Some(("cart", Some("7070")))),
            ("DB_HOST", "db", Some(("db", None))),
            ("HOSTNAME", "db", None),
            ("SELF_HOST", "true", None),
            ("MODE", "db", None),
            ("API_ADDR", "cart", None),
            ("API_URL", "http://localhost:8080", None),
            ("API_URL", "http://${HOST}:8080", None),
            ("API_URL", "http://+:8080", None),
            ("API_URL", "http://10.0.0.1", None),
            ("DB_URL", "sqlite://db", None),
            ("BROKERS", "a:9092,b:9092", None),
            ("IMAGE", "registry:5000", None),
        ] {
            assert_eq!(host_in(name, value), expected, "{name}={value}");
        }
        assert_eq!(service_in("db-0.db.shop.svc"), Some(("db", "shop")));
        assert_eq!(service_in("db.example.com"), None);
        assert_eq!(service_in("svc"), Some(("svc", "")));
    }
}
