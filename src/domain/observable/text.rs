//! Hashtags, copied texts, narratives and counts: values that are words. Refuses to judge what the words say.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

use super::Invalid;
use super::clean::is_space;

/// The longest word that is looked at, in bytes, well over the bound of the value: sorting thousands of marks into
/// normal form is work that a peer could ask for in each message.
const HASHTAG_BYTES_READ_MAX: usize = 4 * 1024;

/// Step 4 of rule N: `#` and word characters, case-folded.
pub(super) fn hashtag(text: &str) -> Option<String> {
    let word = text.strip_prefix('#').or_else(|| text.strip_prefix('\u{ff03}'))?;
    if word.is_empty() || word.len() > HASHTAG_BYTES_READ_MAX || !word.chars().all(is_word) {
        return None;
    }
    let folded = fold(word);
    Some(format!(
        "#{}",
        ComposingNormalizerBorrowed::new_nfc().normalize(&folded)
    ))
}

/// A declared hashtag may lack its `#`.
pub(super) fn hashtag_declared(text: &str) -> Result<String, Invalid> {
    let found = hashtag(text).or_else(|| hashtag(&format!("#{text}")));
    found.ok_or(Invalid::Malformed("character that no hashtag has"))
}

/// A text as it is compared: compatibility-normalised (NFKC), so that letters of other alphabets that look like bold or
/// wide ones count as what they stand for, each run of white space one space, none at the ends. Letter case stays.
pub(super) fn prose(text: &str) -> Result<String, Invalid> {
    let normal = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    let mut folded = String::with_capacity(normal.len());
    for word in normal.split(is_space).filter(|word| !word.is_empty()) {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    if folded.is_empty() {
        Err(Invalid::Empty)
    } else {
        Ok(folded)
    }
}

/// A number and what it counts: `4789 accounts`. `~` marks a number that the source calls approximate.
pub(super) fn aggregate(text: &str) -> Result<String, Invalid> {
    const ABOUT: &[&str] = &[
        "about",
        "around",
        "approximately",
        "roughly",
        "nearly",
        "almost",
        "over",
        "some",
    ];
    let words = fold(&prose(text)?);
    let words = words.trim_end_matches('.');
    let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
    let (is_about, counted) = match ABOUT.contains(&first) {
        true => (true, rest),
        false => (
            words.starts_with('~'),
            words.strip_prefix('~').unwrap_or(words).trim_start(),
        ),
    };
    let (number, things) = counted.split_once(' ').unwrap_or((counted, ""));
    let number = count(number).ok_or(Invalid::Malformed("a count starts with a whole number"))?;
    if !things.starts_with(char::is_alphabetic) {
        return Err(Invalid::Malformed("a count says what it counts"));
    }
    Ok(format!("{}{number} {things}", if is_about { "~" } else { "" }))
}

/// Full case folding, in normal form (NFC). The dotless i stays itself, as in Unicode's default folding.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{131}' => folded.push(character),
            // By way of the upper case, which is where `ß` and `ẞ`, `σ` and `ς` meet.
            _ => folded.extend(
                character
                    .to_lowercase()
                    .flat_map(char::to_uppercase)
                    .flat_map(char::to_lowercase),
            ),
        }
    }
    ComposingNormalizerBorrowed::new_nfc().normalize(&folded).into_owned()
}

/// Letters, digits, the underscore, and the marks without which Hindi, Thai or Arabic words are not words.
pub(super) fn is_word(character: char) -> bool {
    use GeneralCategory::{NonspacingMark, SpacingMark};
    if character.is_ascii() {
        return character.is_ascii_alphanumeric() || character == '_';
    }
    character.is_alphanumeric()
        || matches!(
            CodePointMapData::<GeneralCategory>::new().get(character),
            NonspacingMark | SpacingMark
        )
}

/// A whole number, with separators between groups of three digits or without.
fn count(text: &str) -> Option<u64> {
    let mut groups = text.split([',', '\u{2019}', '\'']);
    let first = groups.next()?;
    let is_digits = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    let is_grouped = text.len() == first.len() || first.len() <= 3;
    let all_three = groups.all(|group| group.len() == 3 && is_digits(group));
    if !is_digits(first) || !is_grouped || !all_three {
        return None;
    }
    text.chars()
        .filter(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashtags_are_word_characters_case_folded() {
        for (raw, value) in [
            ("#Example", Some("#example")),
            ("#STRASSE", Some("#strasse")),
            ("#Stra\u{df}e", Some("#strasse")),
            ("#\u{3a3}\u{3a3}", Some("#\u{3c3}\u{3c3}")),
            ("#\u{3c3}\u{3c2}", Some("#\u{3c3}\u{3c3}")),
            (
                "#\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}",
                Some("#\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}"),
            ),
            ("#e\u{301}", Some("#\u{e9}")),
            ("#a_1", Some("#a_1")),
            ("#", None),
            ("#a-b", None),
            ("#a b", None),
            ("a", None),
        ] {
            assert_eq!(hashtag(raw).as_deref(), value, "{raw}");
        }
        assert_eq!(hashtag_declared("Example"), Ok("#example".to_owned()));
        assert!(hashtag_declared("a b").is_err());
    }

    #[test]
    fn texts_are_normalised_and_folded() {
        assert_eq!(prose("  one\n\n two\t\u{2003}three "), Ok("one two three".to_owned()));
        assert_eq!(
            prose("\u{1d5ef}\u{1d5fc}\u{1d5f9}\u{1d5f1} e\u{301}"),
            Ok("bold \u{e9}".to_owned())
        );
        assert_eq!(prose(" \n"), Err(Invalid::Empty));
    }

    #[test]
    fn counts_lose_their_separators() {
        for (raw, value) in [
            ("63 accounts", Some("63 accounts")),
            ("4,789 Accounts.", Some("4789 accounts")),
            ("5 Groups ", Some("5 groups")),
            ("About 110 accounts", Some("~110 accounts")),
            ("~110 accounts", Some("~110 accounts")),
            ("1,23 accounts", None),
            ("1234,567 accounts", None),
            ("accounts", None),
            ("63", None),
            ("-1 accounts", None),
        ] {
            assert_eq!(aggregate(raw).ok().as_deref(), value, "{raw}");
        }
    }
}
