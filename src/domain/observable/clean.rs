//! Steps 1 and 3 of rule N: what is shed from the ends and the inside of a raw value, and how the disguises
//! ("defanging") that reports put on live addresses come off. Refuses to look at what the text means.

use std::borrow::Cow;

/// What one pass over a text has seen. The common value, plain ASCII without brackets, then needs no second look.
#[derive(Clone, Copy)]
pub(super) struct Seen(u8);

const SPACE: u8 = 1;
const BRACKET: u8 = 2;
const AT: u8 = 4;
const COLON: u8 = 8;
const SLASH: u8 = 16;
const QUESTION: u8 = 32;
const FOREIGN: u8 = 64;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b' ' | b'\t'..=b'\r' | 0x1c..=0x1f => SPACE,
            b'[' | b']' | b'(' | b')' | b'{' | b'}' => BRACKET,
            b'@' => AT,
            b':' => COLON,
            b'/' => SLASH,
            b'?' => QUESTION,
            0x80.. => FOREIGN,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

impl Seen {
    /// Looks at each byte once.
    pub fn look(text: &str) -> Seen {
        Seen(text.bytes().fold(0, |seen, byte| seen | CLASSES[usize::from(byte)]))
    }

    /// Whether a bracket is present, so that a disguise may be.
    pub fn bracket(self) -> bool {
        self.0 & BRACKET != 0
    }

    /// Whether white space is inside `text`, which is the text that was looked at.
    pub fn space(self, text: &str) -> bool {
        self.0 & SPACE != 0 || (self.0 & FOREIGN != 0 && text.chars().any(is_space))
    }

    /// Whether the text could be a mail address: an `@`, and none of `/`, `:` and `?`, which mark a web address.
    pub fn mail(self) -> bool {
        self.0 & (AT | COLON | SLASH | QUESTION) == AT
    }

    /// Whether a colon is present, as in every IPv6 address.
    pub fn colon(self) -> bool {
        self.0 & COLON != 0
    }
}

/// White space as rule N means it: Unicode's, and the four ASCII separators that spreadsheets leave behind.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// Deletes the characters that no one can see; a no-break space becomes a space.
pub(super) fn drop_invisible(raw: &str) -> Cow<'_, str> {
    if raw.is_ascii()
        || !raw
            .chars()
            .any(|character| is_invisible(character) || character == '\u{a0}')
    {
        return Cow::Borrowed(raw);
    }
    let visible = raw.chars().filter(|character| !is_invisible(*character));
    Cow::Owned(
        visible
            .map(|character| if character == '\u{a0}' { ' ' } else { character })
            .collect(),
    )
}

/// Strips white space and quotation marks at both ends, however they are interleaved.
pub(super) fn strip_ends(text: &str) -> &str {
    text.trim_matches(|character: char| is_space(character) || is_quote(character))
}

/// Step 1.
pub(super) fn clean(raw: &str) -> Cow<'_, str> {
    match drop_invisible(raw) {
        Cow::Borrowed(text) => Cow::Borrowed(strip_ends(text)),
        Cow::Owned(text) => Cow::Owned(strip_ends(&text).to_owned()),
    }
}

/// Step 3, but for the disguised schemes (`hxxp`), which the reading of web addresses takes for what they mean.
///
/// The text is rewritten as it is read, so that a disguise inside a disguise (`[[.]]`) is undone in one pass and the
/// cost is linear whatever a peer sends.
pub(super) fn refang(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for piece in text.split_inclusive(['[', ']', '(', ')', '{', '}']) {
        let mut rest = piece.chars();
        // What comes later has no bracket in the two characters before it.
        for character in rest.by_ref().take(2) {
            if character.is_alphanumeric() {
                undo_lone_bracket(&mut plain);
            }
            plain.push(character);
        }
        plain.push_str(rest.as_str());
        if piece.ends_with([']', ')', '}']) {
            undo_disguise(&mut plain);
        }
    }
    plain
}

const DISGUISES: &[(&str, &str)] = &[
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("[dot]", "."),
    ("(dot)", "."),
    ("{dot}", "."),
    ("[:]", ":"),
    ("(:)", ":"),
    ("{:}", ":"),
    ("[://]", "://"),
    ("[@]", "@"),
    ("(@)", "@"),
    ("[at]", "@"),
    ("(at)", "@"),
    ("{at}", "@"),
];

fn undo_disguise(plain: &mut String) {
    let bytes = plain.as_bytes();
    let found = DISGUISES.iter().find(|(disguise, _)| {
        bytes.len() >= disguise.len() && bytes[bytes.len() - disguise.len()..].eq_ignore_ascii_case(disguise.as_bytes())
    });
    if let Some((disguise, meant)) = found {
        // A disguise is ASCII, so the cut falls between characters.
        plain.truncate(plain.len() - disguise.len());
        plain.push_str(meant);
    }
}

/// Called before a letter or digit is pushed: a lone `[.` or `.]` between two of them is a dot.
fn undo_lone_bracket(plain: &mut String) {
    let ([before @ .., b'[', b'.'] | [before @ .., b'.', b']']) = plain.as_bytes() else {
        return;
    };
    // What was cut off is ASCII, so the cut falls between characters.
    let before = &plain[..before.len()];
    // What percent-encoding will end in a hex digit counts as a letter, or a second reading would see another text.
    let joins = |character: char| character.is_alphanumeric() || !character.is_ascii() || character.is_control();
    if before.ends_with(joins) {
        plain.truncate(before.len());
        plain.push('.');
    }
}

fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{200b}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}'
    )
}

fn is_quote(character: char) -> bool {
    matches!(character, '`' | '"' | '\'' | '<' | '>' | '\u{2018}'..='\u{201f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_stripped_whatever_their_order() {
        for raw in [
            "a.b",
            " a.b\n",
            "\u{feff}\"a.b\"",
            "`' a.b ' `",
            "<a.b>",
            "\u{201c}a.b\u{201d}",
            "\u{a0}a.b\u{a0}",
        ] {
            assert_eq!(clean(raw), "a.b", "{raw:?}");
        }
        assert_eq!(clean("a\u{200b}.\u{ad}b\u{2060}"), "a.b");
        assert_eq!(clean("a\u{a0}b"), "a b");
        assert_eq!(clean(" '\u{200d}' "), "");
    }

    #[test]
    fn disguises_come_off() {
        for (raw, plain) in [
            ("a[.]b", "a.b"),
            ("a(.)b{.}c", "a.b.c"),
            ("a[dot]b(DOT)c{Dot}d", "a.b.c.d"),
            ("a[.b", "a.b"),
            ("a.]b", "a.b"),
            ("a[./b", "a[./b"),
            ("[.b", "[.b"),
            ("http[:]//a", "http://a"),
            ("http(:)//a{:}1", "http://a:1"),
            ("http[://]a", "http://a"),
            ("http[[:]//]a", "http://a"),
            ("x[at]a{AT}b(at)c[@]d(@)e", "x@a@b@c@d@e"),
            ("a[[.]]b[[[dot]]]c", "a.b.c"),
            ("a[.)b", "a[.)b"),
            ("\u{e9}[.b", "\u{e9}.b"),
        ] {
            assert_eq!(refang(raw), plain, "{raw}");
            assert_eq!(refang(plain), plain, "{plain}");
        }
    }

    #[test]
    fn nested_disguises_cost_linear_time() {
        let deep = "[".repeat(1 << 16) + "." + &"]".repeat(1 << 16);
        assert_eq!(refang(&deep), ".");
    }
}
