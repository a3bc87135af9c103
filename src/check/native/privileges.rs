//! Native checks of pack privileges.

use std::borrow::Cow;

use crate::artifact::kubernetes::is_policy;
use crate::artifact::{Artifact, Place, Placement, Role, TargetKind, interpolated, switched_off};
use crate::check::{Run, Version, shorten};
use crate::finding::{Confidence, Location, Object, Related, Severity};
use crate::rule::ArtifactKind;
use crate::source::Span;
use crate::syntax::Node;

/// A path of the host that containers see.
struct HostMount<'d> {
    /// Without dots and doubled slashes, and `/var/run` as the `/run` that it is a link to.
    path: String,
    /// As it is written.
    shown: String,
    node: Node<'d>,
    span: Span,
    /// Unknown where the mount stands elsewhere.
    read_only: Option<bool>,
    /// A mount that may write.
    writes: Option<Node<'d>>,
    object: Object,
    /// Images that see it.
    images: Vec<&'d str>,
}

fn normal(path: &str) -> Option<String> {
    let path = path.trim();
    if !path.starts_with('/') || path.contains(['$', '{', '<', '%']) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    if let ["var", "run", ..] = parts.as_slice() {
        parts.remove(0);
    }
    Some(format!("/{}", parts.join("/")))
}

/// Whether a path is a folder or stands below it.
fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn host_mounts<'d>(artifact: &Artifact<'d>) -> Vec<HostMount<'d>> {
    match artifact.kind {
        ArtifactKind::Kubernetes if artifact.targets(TargetKind::Workload).next().is_some() => pod_mounts(artifact),
        ArtifactKind::Kubernetes if is_custom(artifact) => values_mounts(artifact),
        ArtifactKind::Compose => service_mounts(artifact),
        ArtifactKind::HelmValues => values_mounts(artifact),
        _ => Vec::new(),
    }
}

fn pod_mounts<'d>(artifact: &Artifact<'d>) -> Vec<HostMount<'d>> {
    let mut found = Vec::new();
    for pod in artifact.targets(TargetKind::Pod) {
        for volume in pod.node.get("volumes").into_iter().flat_map(Node::items) {
            let Some(node) = volume.at_path(&["hostPath", "path"]) else { continue };
            let Some((path, shown)) = node.text().and_then(|text| Some((normal(text)?, shorten(text.trim())))) else { continue };
            let name = volume.text_of("name");
            let mut mounts = Vec::new();
            let mut images = Vec::new();
            for container in artifact.targets(TargetKind::Container) {
                let of_volume = |mount: &Node<'d>| mount.text_of("name") == name;
                let before = mounts.len();
                mounts.extend(container.node.get("volumeMounts").into_iter().flat_map(Node::items).filter(of_volume));
                if mounts.len() > before {
                    images.push(container.image);
                }
            }
            // A volume that nothing mounts shows the host to nobody.
            if mounts.is_empty() && pod.complete {
                continue;
            }
            let writes = mounts.iter().copied().find(|mount| mount.get("readOnly").and_then(Node::as_bool) != Some(true));
            let read_only = (!mounts.is_empty()).then_some(writes.is_none());
            let object = Object { path: node.path(), ..pod.object.clone() };
            found.push(HostMount { path, shown, node, span: node.place(), read_only, writes, object, images });
        }
    }
    found
}

fn service_mounts<'d>(artifact: &Artifact<'d>) -> Vec<HostMount<'d>> {
    let mut found = Vec::new();
    for service in artifact.targets(TargetKind::Service) {
        let nodes = std::iter::once(service.node).chain(service.layers.iter().map(|layer| layer.node));
        for volume in nodes.filter_map(|node| node.get("volumes")).flat_map(Node::items) {
            let (source, node, read_only) = if volume.is_mapping() {
                if volume.text_of("type").is_some_and(|kind| kind != "bind") {
                    continue;
                }
                let Some(source) = volume.get("source") else { continue };
                let Some(text) = source.text() else { continue };
                let read_only = volume.get("read_only").and_then(Node::as_bool) == Some(true);
                (interpolated(text, source.value_span()), source, read_only)
            } else {
                let Some(text) = volume.text() else { continue };
                let (effective, span) = interpolated(text, volume.value_span());
                let mut parts = effective.splitn(3, ':');
                let (Some(source), Some(_)) = (parts.next(), parts.next()) else { continue };
                let read_only = parts.next().is_some_and(|options| options.split(',').any(|option| option == "ro"));
                // The source alone, where the text is written as it is.
                let as_written = volume.is_verbatim() && matches!(effective, Cow::Borrowed(whole) if whole.len() == text.len());
                let start = span.start as usize;
                let span = if as_written { Span::new(start, start + source.len()) } else { span };
                ((Cow::Owned(source.to_owned()), span), volume, read_only)
            };
            let (source, span) = source;
            let Some(path) = normal(&source) else { continue };
            let shown = shorten(source.trim());
            let object = Object { path: node.path(), ..service.object.clone() };
            let writes = (!read_only).then_some(node);
            found.push(HostMount { path, shown, node, span, read_only: Some(read_only), writes, object, images: vec![service.image] });
        }
    }
    found
}

/// Whether an object is of a kind that this program does not know, such as one that holds the values of a chart.
fn is_custom(artifact: &Artifact<'_>) -> bool {
    let group = artifact.targets(TargetKind::Object).next().map_or("", |object| object.group);
    group.contains('.') && !group.ends_with(".k8s.io") && !is_policy(artifact.root)
}

/// `hostPath` of a volume in values, as a mapping with a path or the path itself.
fn values_mounts<'d>(artifact: &Artifact<'d>) -> Vec<HostMount<'d>> {
    let mut found = Vec::new();
    if !artifact.root.doc.source.text.contains("hostPath") {
        return found;
    }
    for value in artifact.root.values() {
        if value.key_text() != Some("hostPath") {
            continue;
        }
        // Other custom resources may mean paths of another kind of host.
        let values = artifact.kind == ArtifactKind::HelmValues || artifact.object.kind == "HelmRelease";
        let node = if value.is_mapping() { value.get("path") } else { Some(value).filter(|_| values) };
        let Some((node, text)) = node.and_then(|node| Some((node, node.text()?))) else { continue };
        let Some(path) = normal(text) else { continue };
        let shown = shorten(text.trim());
        if switched_off(node) {
            continue;
        }
        let object = Object { path: node.path(), ..artifact.object.clone() };
        found.push(HostMount { path, shown, node, span: node.place(), read_only: None, writes: None, object, images: Vec::new() });
    }
    found
}

/// Sockets that start containers, by their file names.
const SOCKETS: &[(&str, &str)] = &[
    ("docker.sock", "Docker"),
    ("docker.sock.raw", "Docker"),
    ("cri-dockerd.sock", "Docker"),
    ("dockershim.sock", "Docker"),
    ("containerd.sock", "containerd"),
    ("crio.sock", "CRI-O"),
    ("podman.sock", "Podman"),
];

/// Folders that hold such a socket.
const SOCKET_FOLDERS: &[(&str, &str)] = &[
    ("/run/docker", "Docker"),
    ("/run/containerd", "containerd"),
    ("/run/k3s", "containerd"),
    ("/run/k3s/containerd", "containerd"),
    ("/run/crio", "CRI-O"),
    ("/run/podman", "Podman"),
];

/// Whose control socket a path is or holds, and whether that is sure.
fn socket(path: &str) -> Option<(&'static str, bool)> {
    let file = path.rsplit('/').next().unwrap_or_default();
    if let Some((_, engine)) = SOCKETS.iter().find(|(name, _)| *name == file) {
        return Some((engine, true));
    }
    if let Some((_, engine)) = SOCKET_FOLDERS.iter().find(|(folder, _)| *folder == path) {
        return Some((engine, true));
    }
    if path.starts_with("/run/user/") && file == "podman" {
        return Some(("Podman", true));
    }
    (path == "/run").then_some(("container engine", false))
}

fn is_socket_proxy(mount: &HostMount<'_>) -> bool {
    let name = |image: &&str| image.to_ascii_lowercase().replace('_', "-");
    mount.images.iter().any(|image| {
        let image = name(image);
        image.contains("socket-proxy") || image.contains("dockerproxy") || image.contains("docker-proxy")
    })
}

/// Control sockets of container engines, mounted or reached without TLS.
pub(crate) fn container_socket_mounted(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for mount in host_mounts(artifact) {
            let Some((engine, sure)) = socket(&mount.path) else { continue };
            let message = if sure {
                format!("`{}` gives control of the {engine} engine of the host", mount.shown)
            } else {
                format!("`{}` holds the control socket of the container engine", mount.shown)
            };
            let proxy = is_socket_proxy(&mount);
            let draft = run.report(mount.span, mount.object, message);
            if !sure {
                draft.confidence = Confidence::Medium;
            }
            if proxy {
                draft.severity = Severity::Medium;
            }
        }
        for variable in artifact.variables.iter().filter(|variable| variable.name == "DOCKER_HOST") {
            let deployed = matches!(variable.placement, Placement::ContainerEnv | Placement::ComposeEnvironment);
            if deployed && is_open_daemon(&variable.value) && !verifies(artifact, variable.block) {
                let object = artifact.object_at(variable.node, variable.container);
                let span = if variable.span.is_empty() { variable.node.place() } else { variable.span };
                run.report(span, object, "`DOCKER_HOST` reaches the Docker engine of a machine without TLS").confidence =
                    Confidence::Medium;
            }
        }
    }
}

/// Whether the address is that of a machine. Other names are those of a proxy or of an engine in a container.
fn is_open_daemon(value: &str) -> bool {
    let Some(rest) = value.trim().strip_prefix("tcp://") else { return false };
    let Some((host, port)) = rest.trim_end_matches('/').rsplit_once(':') else { return false };
    let is_machine = match host.parse::<std::net::Ipv4Addr>() {
        Ok(address) => !address.is_loopback() && !address.is_unspecified(),
        Err(_) => matches!(host, "host.docker.internal" | "gateway.docker.internal"),
    };
    port == "2375" && is_machine
}

fn verifies(artifact: &Artifact<'_>, block: u32) -> bool {
    artifact.variables.iter().any(|variable| variable.block == block && variable.name == "DOCKER_TLS_VERIFY" && !variable.value.is_empty())
}

/// Folders whose content rules the host, and their parents.
const SENSITIVE: &[&str] = &[
    "/",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/proc",
    "/root",
    "/run",
    "/sys",
    "/usr",
    "/var",
    "/var/lib",
    "/var/lib/docker",
    "/var/lib/kubelet",
];

/// Folders below which everything does.
const SENSITIVE_BELOW: &[&str] = &[
    "/etc/kubernetes",
    "/etc/shadow",
    "/etc/ssh",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/proc",
    "/root",
    "/run/containerd",
    "/run/crio",
    "/run/docker",
    "/sys",
    "/var/lib/kubelet",
];

fn is_sensitive(mount: &HostMount<'_>) -> bool {
    let path = mount.path.as_str();
    SENSITIVE.contains(&path)
        || SENSITIVE_BELOW.iter().any(|folder| within(path, folder))
        // Who writes here decides what the kernel loads.
        || within(path, "/lib/modules") && mount.read_only == Some(false)
}

/// Programs that report on the machine they run on.
const AGENTS: &[&str] = &[
    "agent",
    "alloy",
    "beat",
    "cadvisor",
    "collectd",
    "collector",
    "datadog",
    "exporter",
    "fluent",
    "glances",
    "logging",
    "metric",
    "netdata",
    "promtail",
    "telegraf",
    "vector",
];

fn is_agent(mount: &HostMount<'_>) -> bool {
    let known = |text: &str| AGENTS.iter().any(|agent| text.to_ascii_lowercase().contains(agent));
    known(&mount.object.name) || mount.images.iter().any(|image| known(image))
}

/// Host folders that rule the host.
pub(crate) fn sensitive_host_path(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for mount in host_mounts(artifact).into_iter().filter(is_sensitive) {
            // Values do not say what kind of workload they fill.
            let node_agent = matches!(mount.object.kind.as_str(), "DaemonSet" | "HelmRelease" | "");
            let looks = ["/proc", "/sys"].iter().any(|folder| within(&mount.path, folder)) && mount.read_only == Some(true);
            // The kubelet finds its plugins there.
            let plugs = ["/var/lib/kubelet/plugins", "/var/lib/kubelet/plugins_registry", "/var/lib/kubelet/device-plugins"]
                .iter()
                .any(|folder| within(&mount.path, folder));
            let low = looks && (node_agent || is_agent(&mount)) || plugs && node_agent;
            let access = if mount.read_only == Some(true) { " (read-only)" } else { "" };
            let message = format!("`{}` of the host is mounted{access}", mount.shown);
            let draft = run.report(mount.span, mount.object, message);
            if low {
                draft.severity = Severity::Low;
            }
        }
    }
}

/// Folders where writing is as good as root.
const ROOT_EQUIVALENT: &[&str] = &["/boot", "/etc", "/root", "/usr", "/var/lib/docker"];

/// Host paths that a container may write.
pub(crate) fn writable_host_path(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for mount in host_mounts(artifact) {
            let Some(writes) = mount.writes else { continue };
            let compose = artifact.kind == ArtifactKind::Compose;
            if compose && !ROOT_EQUIVALENT.iter().any(|folder| within(&mount.path, folder)) {
                continue;
            }
            let path = std::sync::Arc::clone(&run.file.source.path);
            let message = format!("`{}` of the host is mounted writable", mount.shown);
            let (span, elsewhere) = (writes.place(), writes != mount.node);
            let draft = run.report(mount.span, mount.object, message);
            if elsewhere && !compose {
                draft.related.push(Related { location: Location { path, span }, label: "this mount may write".to_owned() });
            }
        }
    }
}

/// Any host path.
pub(crate) fn host_path_mounted(run: &mut Run<'_, '_>) {
    let allowed = run.active.texts("allow");
    for artifact in run.artifacts() {
        for mount in host_mounts(artifact) {
            if allowed.iter().filter_map(|path| normal(path)).any(|folder| within(&mount.path, &folder)) {
                continue;
            }
            let low = mount.object.kind == "DaemonSet" && mount.object.namespace == "kube-system" && is_agent(&mount);
            let message = format!("`{}` of the host is mounted", mount.shown);
            let draft = run.report(mount.span, mount.object, message);
            if low {
                draft.severity = Severity::Low;
            }
        }
    }
}

/// Volumes of types that the restricted level does not know.
pub(crate) fn volume_type_not_restricted(run: &mut Run<'_, '_>) {
    const RESTRICTED: &[&str] =
        &["name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"];
    for artifact in run.artifacts() {
        for pod in artifact.targets(TargetKind::Pod) {
            for (key, value) in pod.node.get("volumes").into_iter().flat_map(Node::items).flat_map(Node::entries) {
                let Some(kind) = key.text().filter(|kind| !RESTRICTED.contains(kind)) else { continue };
                // Beside the rules on host paths, at the same place.
                let node = value.get("path").filter(|_| kind == "hostPath").unwrap_or(value);
                run.report_at(pod, node, format!("volumes of type `{kind}` are outside the restricted level"));
            }
        }
    }
}

/// The name of a capability without its prefix, in capitals.
fn capability(text: &str) -> String {
    let upper = text.trim().to_ascii_uppercase();
    upper.strip_prefix("CAP_").map_or(upper.clone(), str::to_owned)
}

/// Capabilities that rules of their own report.
const REPORTED: &[&str] = &[
    "ALL",
    "SYS_ADMIN",
    "SYS_MODULE",
    "SYS_RAWIO",
    "NET_ADMIN",
    "NET_RAW",
    "BPF",
    "PERFMON",
    "SYS_PTRACE",
    "SYS_TIME",
    "SYS_NICE",
    "SYS_BOOT",
    "IPC_LOCK",
    "LEASE",
    "SYSLOG",
    "DAC_READ_SEARCH",
];

/// Other capabilities outside the list.
pub(crate) fn capability_added(run: &mut Run<'_, '_>) {
    let allowed: Vec<String> = run.active.texts("allow").iter().map(|text| capability(text)).collect();
    for artifact in run.artifacts() {
        for container in artifact.targets(TargetKind::Container).filter(|container| !is_privileged(container) && !container.windows) {
            for item in container.node.at_path(&["securityContext", "capabilities", "add"]).into_iter().flat_map(Node::items) {
                let Some(text) = item.text().filter(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')) else {
                    continue;
                };
                let name = capability(text);
                if !allowed.contains(&name) && !REPORTED.contains(&name.as_str()) {
                    run.report_at(container, item, format!("container `{}` adds the capability `{name}`", container.name()));
                }
            }
        }
    }
}

fn is_privileged(container: &Place<'_>) -> bool {
    container.node.at_path(&["securityContext", "privileged"]).and_then(Node::as_bool) == Some(true)
}

/// What a container says about a protection.
enum Says<'d> {
    Enough,
    /// Another rule speaks of it.
    Otherwise,
    Nothing,
    /// The value that refuses it.
    No(Node<'d>),
}

/// Reports a protection that no container has at the pod, and else at each container without it.
fn protection<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>, what: &str, says: impl Fn(&Place<'d>) -> Says<'d>) {
    for pod in artifact.targets(TargetKind::Pod).filter(|pod| !pod.windows) {
        let containers: Vec<(&Place<'d>, Says<'d>)> = artifact
            .targets(TargetKind::Container)
            .filter(|container| {
                !matches!(container.role, Role::Injected | Role::Ephemeral) && !container.windows && !is_privileged(container)
            })
            .map(|container| (container, says(container)))
            .filter(|(_, says)| !matches!(says, Says::Otherwise))
            .collect();
        let lacking = containers.iter().filter(|(container, says)| matches!(says, Says::Nothing) && container.complete).count();
        let everywhere = lacking > 0 && lacking == containers.len();
        if everywhere && pod.complete {
            let node = pod.node.get("securityContext").filter(|context| !context.is_null()).unwrap_or(pod.node);
            run.report_at(pod, node, format!("pod of `{}` {what}", pod.object.name));
            continue;
        }
        for (container, says) in containers {
            match says {
                Says::No(node) => {
                    run.report_at(container, node, format!("container `{}` {what}", container.name()));
                }
                Says::Nothing if container.complete => {
                    let node = container.node.get("securityContext").filter(|context| !context.is_null()).unwrap_or(container.node);
                    run.report_at(container, node, format!("container `{}` {what}", container.name()));
                }
                _ => {}
            }
        }
    }
}

/// Containers that may run as root.
pub(crate) fn non_root_not_enforced(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        protection(run, artifact, "may run as root", |container| {
            if container.get(&["hostUsers"]).and_then(Node::as_bool) == Some(false) {
                return Says::Enough;
            }
            let user = container.get(&["securityContext", "runAsUser"]);
            match user.map(Node::as_int) {
                // privileges/runs-as-root
                Some(Some(0)) => return Says::Otherwise,
                // A template is filled in later.
                Some(_) => return Says::Enough,
                None => {}
            }
            match container.get(&["securityContext", "runAsNonRoot"]) {
                Some(node) if node.as_bool() == Some(false) => Says::No(node),
                Some(_) => Says::Enough,
                None => Says::Nothing,
            }
        });
    }
}

/// The value of an annotation of the pod.
fn annotation<'d>(pod: Node<'d>, name: &str) -> Option<&'d str> {
    pod.parent()?.at_path(&["metadata", "annotations", name])?.text()
}

/// What an annotation of the pod says of one of its containers.
fn container_annotation<'d>(container: &Place<'d>, name: &str) -> Option<&'d str> {
    let pod = container.layers.first()?.node;
    annotation(pod, &format!("{name}/{}", container.name()))
}

fn has_seccomp(container: &Place<'_>) -> bool {
    let pod = container.layers.first().and_then(|layer| annotation(layer.node, "seccomp.security.alpha.kubernetes.io/pod"));
    // Any other type is refused; `Unconfined` is reported by a rule of its own.
    let kind = container.get(&["securityContext", "seccompProfile", "type"]).and_then(Node::text);
    matches!(kind, Some("RuntimeDefault" | "Localhost" | "Unconfined"))
        || pod.is_some()
        || container_annotation(container, "container.seccomp.security.alpha.kubernetes.io").is_some()
}

fn has_apparmor(container: &Place<'_>) -> bool {
    container.get(&["securityContext", "appArmorProfile", "type"]).is_some()
        || container_annotation(container, "container.apparmor.security.beta.kubernetes.io").is_some()
}

fn has_selinux(container: &Place<'_>) -> bool {
    container.get(&["securityContext", "seLinuxOptions"]).is_some()
}

/// Containers whose system calls nothing filters.
pub(crate) fn seccomp_profile_missing(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        protection(run, artifact, "has no seccomp profile", |container| if has_seccomp(container) { Says::Enough } else { Says::Nothing });
    }
}

/// Containers without a profile of a mandatory access control.
pub(crate) fn apparmor_profile_missing(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        protection(run, artifact, "has no AppArmor profile", |container| {
            if has_apparmor(container) || has_selinux(container) { Says::Enough } else { Says::Nothing }
        });
    }
}

/// Containers that nothing of Linux holds back.
pub(crate) fn linux_hardening_missing(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        protection(run, artifact, "has neither AppArmor, seccomp, SELinux nor dropped capabilities", |container| {
            let drops =
                container.node.at_path(&["securityContext", "capabilities", "drop"]).is_some_and(|drop| drop.items().next().is_some());
            if has_apparmor(container) || has_seccomp(container) || has_selinux(container) || drops { Says::Enough } else { Says::Nothing }
        });
    }
}

/// Pods whose users are those of the host.
pub(crate) fn host_user_namespace(run: &mut Run<'_, '_>) {
    if run.file.kubernetes_version < (Version { major: 1, minor: 30 }) {
        return;
    }
    for artifact in run.artifacts() {
        for pod in artifact.targets(TargetKind::Pod).filter(|pod| !pod.windows) {
            let on = |key: &str| pod.node.get(key).and_then(Node::as_bool) == Some(true);
            if ["hostPID", "hostIPC", "hostNetwork"].iter().any(|key| on(key)) {
                continue;
            }
            let own = pod.node.get("hostUsers").filter(|own| !own.is_null());
            match own {
                Some(own) if own.as_bool() == Some(true) => {
                    run.report_at(pod, own, format!("pod of `{}` shares the users of the host", pod.object.name));
                }
                None if pod.complete => {
                    run.report_at(pod, pod.node, format!("pod of `{}` shares the users of the host", pod.object.name));
                }
                _ => {}
            }
        }
    }
}

/// Kernel settings that a kubelet takes without being told, and since when.
const SAFE_SYSCTLS: &[(&str, u32)] = &[
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 18),
    ("net.ipv4.ip_unprivileged_port_start", 22),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

/// Kernel settings that kubelets refuse unless they are told to allow them.
pub(crate) fn unsafe_sysctl(run: &mut Run<'_, '_>) {
    let version = run.file.kubernetes_version;
    for artifact in run.artifacts() {
        for pod in artifact.targets(TargetKind::Pod).filter(|pod| !pod.windows) {
            for sysctl in pod.node.at_path(&["securityContext", "sysctls"]).into_iter().flat_map(Node::items) {
                let Some((node, text)) = sysctl.get("name").and_then(|node| Some((node, node.text()?))) else { continue };
                if text.contains(['$', '{']) || text.is_empty() {
                    continue;
                }
                let name = text.replace('/', ".");
                match SAFE_SYSCTLS.iter().find(|(safe, _)| *safe == name) {
                    Some((_, since)) if version >= (Version { major: 1, minor: *since }) => {}
                    Some((_, since)) => {
                        run.report_at(pod, node, format!("sysctl `{text}` is safe from Kubernetes 1.{since} on, not in {version}"));
                    }
                    None => {
                        run.report_at(pod, node, format!("sysctl `{text}` is not in the safe set of Kubernetes {version}"));
                    }
                }
            }
        }
    }
}
