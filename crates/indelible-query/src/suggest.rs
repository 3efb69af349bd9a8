//! The nearest known word to a misspelt one.

/// So much of a word says the rest, where only one begins so.
const BEGINNING_CHARS_MIN: usize = 4;

/// The candidate nearest to `word`, if it is near enough to have been meant, else the only one that
/// begins with it.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let candidates: Vec<_> = candidates.into_iter().collect();
    let allowed = match word.chars().count() {
        0 => return None,
        1..=2 => 0,
        3..=5 => 1,
        6..=8 => 2,
        _ => 3,
    };
    let near = candidates
        .iter()
        .map(|c| (distance(word, c), *c))
        .min_by_key(|(d, _)| *d)?;
    if near.0 <= allowed {
        return Some(near.1);
    }
    let is_beginning = word.chars().count() >= BEGINNING_CHARS_MIN;
    let mut begin = candidates
        .iter()
        .filter(|c| is_beginning && c.starts_with(word));
    begin.next().filter(|_| begin.next().is_none()).copied()
}

/// Edit distance with swapped neighbours counted once (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Longer words are never near; this bounds the work as well.
    if a.len().abs_diff(b.len()) > 3 {
        return usize::MAX;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_definition() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("actor", "atcor", 1),
            ("actor", "actor", 0),
            ("ab", "ba", 1),
            ("outcome", "outcom", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let known = ["actor", "target", "outcome", "ip"];
        assert_eq!(nearest("acter", known), Some("actor"));
        assert_eq!(nearest("otucome", known), Some("outcome"));
        assert_eq!(nearest("arn", known), None);
        let proofs = ["screenshot", "api_response", "api_request"];
        assert_eq!(nearest("screen", proofs), Some("screenshot"));
        assert_eq!(nearest("scr", proofs), None);
        assert_eq!(nearest("api_re", proofs), None);
        assert_eq!(nearest("zz", known), None);
        assert_eq!(nearest("", known), None);
    }
}
