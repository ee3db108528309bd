//! A report's title from its file's name: the campaign of last resort. Refuses to guess at attribution.

/// Longest title, in characters.
const TITLE_CHARS_MAX: usize = 200;

/// `Q2_2024/Q2_2024_RUSSIA-BASED CIB NETWORK #1 .csv` is `Q2 2024 RUSSIA-BASED CIB NETWORK #1`.
pub(super) fn from_file_name(file_name: &str) -> Option<String> {
    let name = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
    let stem = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 5 => stem,
        _ => name,
    };
    clean(&stem.replace('_', " "))
}

/// A title on one line: control characters out, white space single, bounded; `None` if nothing is left.
pub(super) fn clean(text: &str) -> Option<String> {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect();
    let title: String = words.join(" ").chars().take(TITLE_CHARS_MAX).collect();
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_name_becomes_a_readable_title() {
        let cases = [
            (
                "dir/Q2_2024_RUSSIA-BASED CIB NETWORK #1 .csv",
                Some("Q2 2024 RUSSIA-BASED CIB NETWORK #1"),
            ),
            ("2022_malicious_mobile_apps.tsv", Some("2022 malicious mobile apps")),
            ("C:\\reports\\a.b.stix2", Some("a.b")),
            (".csv", Some(".csv")),
            ("_.csv", None),
            ("", None),
        ];
        for (name, title) in cases {
            assert_eq!(from_file_name(name).as_deref(), title, "{name}");
        }
    }
}
