//! GitHub's `primaryLocationLineHash`, by which code scanning knows an alert again when lines move.

use std::collections::{BTreeMap, VecDeque};

/// How many code units a line's hash covers.
const WINDOW: usize = 100;
/// The base of the polynomial.
const BASE: u64 = 37;
/// Stands for the end of the file.
const END: u16 = u16::MAX;

/// The hashes of 1-based `lines` of a file, in the order of `lines`; a line behind the end counts as the last one.
///
/// Spaces and tabs are dropped; CR and CRLF become LF; 65535 stands at the end and zeros behind it. A line's hash is
/// the polynomial over the 100 UTF-16 units from its first kept unit on, with the running count of that hash in the
/// file. A byte order mark, which the text does not hold, counts as a unit.
pub(crate) fn line_hashes(text: &str, bom: bool, lines: &[u32]) -> Vec<String> {
    if lines.is_empty() {
        return Vec::new();
    }
    let mut wanted: BTreeMap<u32, (u64, u32)> = lines.iter().map(|&line| (line, (0, 0))).collect();
    let mut last = (0, 0);
    each_line(text, bom, |line, hash| {
        last = (line, hash);
        if let Some(entry) = wanted.get_mut(&line) {
            entry.0 = hash;
        }
    });
    for (_, entry) in wanted.range_mut(last.0 + 1..) {
        entry.0 = last.1;
    }
    // The second pass counts only the hashes that were asked for, so that memory does not follow the file's length.
    let mut counts: BTreeMap<u64, u32> = wanted.values().map(|&(hash, _)| (hash, 0)).collect();
    each_line(text, bom, |line, hash| {
        if let Some(count) = counts.get_mut(&hash) {
            *count += 1;
            if let Some(entry) = wanted.get_mut(&line) {
                entry.1 = *count;
            }
        }
    });
    for (_, entry) in wanted.range_mut(last.0 + 1..) {
        entry.1 = counts.get(&entry.0).copied().unwrap_or(1);
    }
    lines.iter().filter_map(|line| wanted.get(line)).map(|(hash, count)| format!("{hash:x}:{count}")).collect()
}

/// Calls back with every line's number and hash, in order.
fn each_line(text: &str, bom: bool, mut found: impl FnMut(u32, u64)) {
    let leaving = BASE.wrapping_pow(WINDOW as u32);
    // The last 100 units, each with the number of the line that begins there, or 0.
    let mut window: VecDeque<(u16, u32)> = VecDeque::from(vec![(0, 0); WINDOW]);
    let mut hash = 0_u64;
    let mut push = |unit: u16, begins: u32| {
        if let Some((old, line)) = window.pop_front() {
            if line != 0 {
                found(line, hash);
            }
            hash = hash.wrapping_mul(BASE).wrapping_add(u64::from(unit)).wrapping_sub(u64::from(old).wrapping_mul(leaving));
        }
        window.push_back((unit, begins));
    };
    let (mut line, mut starts, mut after_cr) = (0, true, false);
    let mark = bom.then_some(0xFEFF);
    for unit in mark.into_iter().chain(text.encode_utf16()).chain([END]) {
        let is = |character: char| u32::from(unit) == u32::from(character);
        if is(' ') || is('\t') || (after_cr && is('\n')) {
            after_cr = false;
            continue;
        }
        after_cr = is('\r');
        let unit = if after_cr { u16::from(b'\n') } else { unit };
        line += u32::from(starts);
        push(unit, if starts { line } else { 0 });
        starts = unit == u16::from(b'\n');
    }
    for _ in 0..WINDOW {
        push(0, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The definition, word for word.
    fn naive(text: &str, bom: bool) -> Vec<String> {
        let text = if bom { format!("\u{feff}{text}") } else { text.to_owned() };
        let text = text.replace("\r\n", "\n").replace('\r', "\n").replace([' ', '\t'], "");
        let lines = text.split('\n').count();
        let units: Vec<u16> = text.encode_utf16().chain([65535]).collect();
        let mut start = 0;
        let mut counts = HashMap::new();
        let mut hashes = Vec::new();
        for _ in 0..lines {
            let mut hash = 0_u64;
            for index in start..start + 100 {
                hash = hash.wrapping_mul(37).wrapping_add(u64::from(units.get(index).copied().unwrap_or(0)));
            }
            let count = counts.entry(hash).or_insert(0);
            *count += 1;
            hashes.push(format!("{hash:x}:{count}"));
            start += units.iter().skip(start).position(|&unit| unit == 10).unwrap_or(0) + 1;
        }
        hashes
    }

    fn same(text: &str, bom: bool) {
        let expected = naive(text, bom);
        let lines: Vec<u32> = (1..=expected.len() as u32).collect();
        assert_eq!(line_hashes(text, bom, &lines), expected, "{text:?}");
    }

    #[test]
    fn knows_the_empty_file() {
        assert_eq!(line_hashes("", false, &[1]), ["c129715d7a2bc9a3:1"]);
        assert_eq!(line_hashes("x", false, &[]), Vec::<String>::new());
    }

    #[test]
    fn follows_the_definition() {
        let long = "abc def\tghi ".repeat(60);
        for text in [
            "",
            "\n",
            "a",
            "a\n",
            "a\nb",
            " a\t b \n\tc\n  \n",
            "a\rb\rc",
            "a\r\nb\r\n",
            "a\r\r\nb",
            "a\n\r\nb",
            "kind: é😀\n😀\n  😀 x",
            "a\n   ",
            &long,
            &format!("{long}\n{long}\r\n{long}"),
        ] {
            same(text, false);
            same(text, true);
        }
    }

    #[test]
    fn counts_equal_lines() {
        let text = "same\n".repeat(10_000);
        same(&text, false);
        let hashes = line_hashes(&text, false, &[9_000, 1, 9_000]);
        assert!(hashes.iter().map(|hash| hash.split_once(':').map(|(_, count)| count)).eq([Some("9000"), Some("1"), Some("9000")]));
    }

    #[test]
    fn takes_a_line_behind_the_end_for_the_last() {
        let hashes = line_hashes("a\nb", false, &[2, 3, 99]);
        assert!(hashes.iter().all(|hash| Some(hash) == hashes.first()) && hashes.len() == 3, "{hashes:?}");
    }

    #[test]
    fn takes_a_break_between_cr_and_lf_for_two() {
        // As in GitHub's own code, which forgets the CR at the space.
        assert_eq!(line_hashes("a\r \nb", false, &[1, 2, 3]), naive("a\n\nb", false));
    }
}
