//! The suppressions of other tools, honoured so that a team can switch without writing its decisions again.
//!
//! A peer's id stands for the rules that name it among their `equivalents`; ids of checks that we do not have are
//! passed over, since they speak to the other tool.

use super::cover::{self, Comment};
use super::{Cover, Date, Directive, Named, Reading, Remark, expired};
use crate::artifact::Artifact;
use crate::finding::SuppressionKind;
use crate::source::Span;
use crate::syntax::Node;

/// A tool whose suppressions can be honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Peer {
    KubeLinter,
    Checkov,
    Trivy,
    KubeScore,
    Polaris,
    Kics,
    Dclint,
    DotenvLinter,
}

impl Peer {
    /// All of them.
    pub(crate) const ALL: &'static [Self] =
        &[Self::KubeLinter, Self::Checkov, Self::Trivy, Self::KubeScore, Self::Polaris, Self::Kics, Self::Dclint, Self::DotenvLinter];

    /// The tool's name, as `equivalents` and `[migrate]` have it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::KubeLinter => "kube-linter",
            Self::Checkov => "checkov",
            Self::Trivy => "trivy",
            Self::KubeScore => "kube-score",
            Self::Polaris => "polaris",
            Self::Kics => "kics",
            Self::Dclint => "dclint",
            Self::DotenvLinter => "dotenv-linter",
        }
    }

    /// What every file that holds a suppression for the tool has in it.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::KubeLinter => "kube-linter.io/",
            Self::Checkov => "checkov",
            Self::Trivy => "trivy:ignore",
            Self::KubeScore => "kube-score/ignore",
            Self::Polaris => "polaris.fairwinds.com/",
            Self::Kics => "kics-scan",
            Self::Dclint => "dclint",
            Self::DotenvLinter => "dotenv-linter:",
        }
    }
}

/// A peer's suppression as it is read: ids, or all that the tool checks.
struct Wish {
    kind: SuppressionKind,
    span: Span,
    /// Ids and where they stand; none for all.
    ids: Option<Vec<(Span, String)>>,
    reason: Span,
    until: Option<Date>,
}

/// Reads a comment, whose suppression is said in one of the tool's ways.
pub(super) fn comment(reading: &mut Reading<'_, '_>, peer: Peer, comment: &Comment) {
    let source = reading.source;
    let text = source.slice(comment.body).trim_end();
    let at = |part: &str| comment.body.start + (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize) as u32;
    let span = |part: &str| Span { start: at(part), end: at(part) + part.len() as u32 };
    let listed = |list: &str| -> Vec<(Span, String)> {
        list.split(|c: char| c == ',' || c.is_whitespace()).filter(|id| !id.is_empty()).map(|id| (span(id), id.to_owned())).collect()
    };
    let all_if_none = |list: &str| Some(listed(list)).filter(|ids| !ids.is_empty());
    let mut wish = Wish { kind: SuppressionKind::Comment, span: span(text), ids: None, reason: Span::default(), until: None };
    match peer {
        Peer::Checkov => {
            let Some(rest) = text.strip_prefix("checkov:skip=") else { return };
            let (ids, reason) = rest.split_once(':').unwrap_or((rest, ""));
            wish.reason = span(reason.trim());
            // A secret is skipped at its line, anything else in the object around the comment.
            let (secrets, others): (Vec<_>, Vec<_>) = listed(ids).into_iter().partition(|(_, id)| id.starts_with("CKV_SECRET"));
            let line = cover::line_at(source, comment.span.start);
            let (above, below) = (cover::line_above(source, line), cover::line_below(source, line));
            let near = Cover::Lines(Span { start: above.start, end: below.end });
            let around = cover::object_around(reading.artifacts, comment.span.start);
            for (ids, cover) in [(secrets, near), (others, around)] {
                if !ids.is_empty() {
                    let wish = Wish { ids: Some(ids), ..wish };
                    add(reading, peer, wish, cover);
                }
            }
        }
        Peer::Trivy => {
            let mut ids = Vec::new();
            for word in text.split_whitespace() {
                let Some(rest) = word.strip_prefix("trivy:ignore:") else { continue };
                let (id, end) = rest.split_once(":exp:").unwrap_or((rest, ""));
                wish.until = end.parse().ok().or(wish.until);
                ids.push((span(id), id.to_owned()));
            }
            for word in text.split_whitespace() {
                wish.until = word.strip_prefix("exp:").and_then(|end| end.parse().ok()).or(wish.until);
            }
            if !ids.is_empty() {
                let cover = comment.cover(reading.layout());
                add(reading, peer, Wish { ids: Some(ids), ..wish }, cover);
            }
        }
        Peer::Kics => {
            let Some(rest) = text.strip_prefix("kics-scan").map(str::trim) else { return };
            let cover = match rest.split(['=', ' ']).next().unwrap_or_default() {
                "ignore" => Cover::File,
                "disable" if rest.contains('=') => Cover::File,
                "ignore-line" | "ignore-block" if comment.trailing => return,
                "ignore-block" => comment.below(reading.layout()),
                "ignore-line" => {
                    let line = cover::line_at(source, comment.span.start);
                    Cover::Lines(cover::line_below(source, line))
                }
                _ => return,
            };
            if let Some(list) = rest.strip_prefix("disable=") {
                let named: Vec<(Span, String)> =
                    list.split(',').map(str::trim).filter(|id| !id.is_empty()).map(|id| (span(id), id.to_owned())).collect();
                let message = "KICS numbers its queries here, which says nothing to preflint: name the rule in a comment of its own";
                reading.found.remarks.extend(named.iter().filter(|(_, id)| is_uuid(id)).map(|(place, _)| Remark {
                    rule: "scan/suppression-unknown-rule",
                    span: *place,
                    message: message.to_owned(),
                    foreign: true,
                }));
                wish.ids = Some(named);
            }
            add(reading, peer, wish, cover);
        }
        Peer::Dclint => {
            let Some(rest) = text.strip_prefix("dclint ").map(str::trim) else { return };
            let (word, list) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            wish.ids = all_if_none(list);
            let cover = match word {
                "disable-file" | "disable" => Cover::File,
                "disable-line" => Cover::Lines(cover::line_at(source, comment.span.start)),
                _ => return,
            };
            add(reading, peer, wish, cover);
        }
        Peer::DotenvLinter => {
            let Some(list) = text.strip_prefix("dotenv-linter:off") else { return };
            wish.ids = all_if_none(list);
            let on = source.text.get(comment.span.end as usize..).and_then(|rest| rest.find("dotenv-linter:on"));
            let end = on.map_or(source.text.len(), |length| comment.span.end as usize + length);
            add(reading, peer, wish, Cover::Nodes(vec![Span::new(comment.span.end as usize, end + 1)]));
        }
        Peer::KubeLinter | Peer::KubeScore | Peer::Polaris => {}
    }
}

/// Reads an annotation of an object or its pod template.
pub(super) fn annotation(reading: &mut Reading<'_, '_>, peer: Peer, name: &str, key: Node<'_>, value: Node<'_>, object: &Artifact<'_>) {
    let text = value.text().unwrap_or_default();
    let all = Span { start: key.span().start, end: value.span().end.max(key.span().end) };
    let exact = value.is_verbatim();
    let whole_value = if exact { value.value_span() } else { Span::default() };
    let in_value = |part: &str| {
        let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        if exact {
            Span::new(whole_value.start as usize + offset, whole_value.start as usize + offset + part.len())
        } else {
            Span::default()
        }
    };
    let mut wish = Wish { kind: SuppressionKind::Annotation, span: all, ids: None, reason: Span::default(), until: None };
    let one = |id: &str, place: Span| Some(vec![(place, id.to_owned())]);
    match peer {
        Peer::KubeLinter => {
            if let Some(check) = name.strip_prefix("ignore-check.kube-linter.io/") {
                wish.ids = one(check, key.span());
            } else if name != "kube-linter.io/ignore-all" {
                return;
            }
            wish.reason = whole_value;
        }
        Peer::Checkov => {
            let Some(_) = name.strip_prefix("checkov.io/skip") else { return };
            let (id, reason) = text.split_once('=').unwrap_or((text, ""));
            wish.ids = one(id.trim(), in_value(id.trim()));
            wish.reason = in_value(reason.trim());
        }
        Peer::KubeScore => {
            if name != "kube-score/ignore" {
                return;
            }
            wish.ids = Some(text.split(',').map(str::trim).filter(|id| !id.is_empty()).map(|id| (in_value(id), id.to_owned())).collect());
        }
        Peer::Polaris => {
            let Some(rest) = name.strip_prefix("polaris.fairwinds.com/").filter(|_| text == "true") else { return };
            match rest.strip_suffix("-exempt") {
                Some(check) => wish.ids = one(check, key.span()),
                None if rest == "exempt" => {}
                None => return,
            }
        }
        Peer::Trivy | Peer::Kics | Peer::Dclint | Peer::DotenvLinter => return,
    }
    add(reading, peer, wish, Cover::Nodes(vec![object.root.span()]));
}

fn add(reading: &mut Reading<'_, '_>, peer: Peer, wish: Wish, cover: Cover) {
    let rules = |known: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let knows = |equivalent: &String| equivalent.split_once(':').is_some_and(|(tool, id)| tool == peer.word() && known(id));
        let all = reading.rules.rules().iter().enumerate();
        all.filter(|(_, rule)| rule.equivalents.iter().any(knows)).map(|(index, _)| index).collect()
    };
    let names: Vec<Named> = match wish.ids {
        Some(ids) => ids
            .into_iter()
            .map(|(span, id)| Named { span, rules: rules(&|known| same_id(known, &id)), exact: true })
            .filter(|named| !named.rules.is_empty())
            .collect(),
        None => vec![Named { span: wish.span, rules: rules(&|_| true), exact: false }],
    };
    if names.is_empty() {
        return;
    }
    if let Some(message) = expired(wish.until, reading.policy.today) {
        reading.remark("scan/suppression-expired", wish.span, message);
        return;
    }
    let Wish { kind, span, reason, until, .. } = wish;
    reading.found.directives.push(Directive { kind, span, names, reason, until, binding: None, cover, peer: Some(peer) });
}

/// Whether two ids are the same check: trivy writes `AVD-KSV-0017`, `KSV-0017` and `KSV017`.
fn same_id(known: &str, given: &str) -> bool {
    let plain = |id: &str| -> String {
        let id = id.to_ascii_lowercase();
        let id = id.strip_prefix("avd-").unwrap_or(&id).replace(['-', '_', ' '], "");
        let letters = id.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = id.get(letters.len()..).unwrap_or_default().trim_start_matches('0');
        format!("{letters}{digits}")
    };
    known == given || plain(known) == plain(given)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') && text.matches('-').count() == 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_ids_in_their_ways_of_writing() {
        assert!(same_id("KSV-0017", "AVD-KSV-0017") && same_id("KSV-0017", "KSV017") && same_id("CKV_K8S_13", "CKV_K8S_13"));
        assert!(!same_id("CKV_K8S_1", "CKV_K8S_10") && !same_id("KSV-0017", "KSV-0018"));
        assert!(is_uuid("a3a055d2-9a2e-4cc9-b9fb-12850a1a3a4b") && !is_uuid("Healthcheck Not Set"));
    }

    #[test]
    fn every_tool_has_its_own_word() {
        for peer in Peer::ALL {
            assert_eq!(Peer::ALL.iter().filter(|other| other.word() == peer.word()).count(), 1);
        }
    }
}
