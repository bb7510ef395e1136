use std::collections::BTreeMap;

use holdfast_proto::v1::{TableComparison, TableDigest};

/// Holds two sides' digests against each other. A table that only one side has is unequal, unless it is empty there.
pub fn compare_tables(primary: &[TableDigest], backup: &[TableDigest]) -> Vec<TableComparison> {
    let mut sides: BTreeMap<&str, (Option<&TableDigest>, Option<&TableDigest>)> = BTreeMap::new();
    for digest in primary {
        sides.entry(&digest.table).or_default().0 = Some(digest);
    }
    for digest in backup {
        sides.entry(&digest.table).or_default().1 = Some(digest);
    }
    sides
        .into_iter()
        .map(|(table, (primary, backup))| {
            let content = |side: Option<&TableDigest>| side.map_or((0, 0), |digest| (digest.digest, digest.entries));
            TableComparison {
                table: table.to_owned(),
                equal: content(primary) == content(backup),
                primary: primary.cloned(),
                backup: backup.cloned(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(table: &str, digest: u64, entries: u64) -> TableDigest {
        TableDigest { table: table.into(), digest, entries }
    }

    #[test]
    fn differences_and_missing_tables_are_seen() {
        let primary = [digest("a", 1, 1), digest("b", 2, 1), digest("empty", 0, 0)];
        let backup = [digest("a", 1, 1), digest("b", 3, 1), digest("c", 4, 1)];
        let equal: Vec<_> = compare_tables(&primary, &backup).into_iter().map(|c| (c.table, c.equal)).collect();
        let expected = [("a", true), ("b", false), ("c", false), ("empty", true)];
        assert_eq!(equal, expected.map(|(table, equal)| (table.to_owned(), equal)));
    }
}
