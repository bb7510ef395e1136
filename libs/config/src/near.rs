//! Which known word an unknown one was probably meant to be.

/// The nearest of `known`, when near enough to be worth a suggestion.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // The distance costs the product of the lengths; no statement's name is longer than this.
    let word = word.get(..word.len().min(64)).unwrap_or_default();
    known
        .filter_map(|candidate| {
            let starts = word.len() >= 3 && (candidate.starts_with(word) || word.starts_with(candidate));
            let distance = if starts { 1 } else { distance(word, candidate) };
            (distance <= 1 + candidate.len() / 5).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    #[test]
    fn suggests_only_what_is_near() {
        let known = ["neighbor", "group", "family", "hold-time"];
        let nearest = |word| super::nearest(word, known.into_iter());
        assert_eq!(nearest("neighbour"), Some("neighbor"));
        assert_eq!(nearest("holdtime"), Some("hold-time"));
        assert_eq!(nearest("fam"), Some("family"));
        assert_eq!(nearest("xyzzy"), None);
        assert_eq!(nearest(""), None);
    }
}
