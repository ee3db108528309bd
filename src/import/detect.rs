//! The file formats and how one is recognised. Content rules; the file's name only breaks a tie. Refuses to parse:
//! recognition looks at the head of the file.

use uuid::Uuid;

use super::field::Column;
use super::limits;

/// A file format, as `--format` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A table with a header row: kill-chain tables and type/value tables alike. The delimiter is `,` or `;`.
    Csv,
    /// The same with tabs and without quoting.
    Tsv,
    /// A list of objects with the type/value columns as names.
    Json,
    /// A STIX 1.x package.
    Stix1,
    /// A STIX 2.x bundle.
    Stix2,
    /// A MISP event, or a response with several.
    Misp,
    /// One value a line.
    Lines,
}

/// How much of a file recognition looks at, in bytes.
const HEAD_BYTES: usize = 8 << 10;

impl Format {
    /// Every format.
    pub const ALL: [Format; 7] = [
        Format::Csv,
        Format::Tsv,
        Format::Json,
        Format::Stix1,
        Format::Stix2,
        Format::Misp,
        Format::Lines,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::Json => "json",
            Format::Stix1 => "stix1",
            Format::Stix2 => "stix2",
            Format::Misp => "misp",
            Format::Lines => "lines",
        }
    }

    /// The format of that name. `stix` is STIX 2.
    pub fn from_name(name: &str) -> Option<Format> {
        if name == "stix" {
            return Some(Format::Stix2);
        }
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The format of a file, or `None` if it looks like nothing known.
    pub fn detect(file_name: &str, bytes: &[u8]) -> Option<Format> {
        let head = head(bytes);
        let start = head.trim_start();
        match start.bytes().next()? {
            b'<' => Some(Format::Stix1),
            b'{' | b'[' if !is_defanged(start) => Some(of_json(start)),
            _ => of_text(file_name, head),
        }
    }
}

/// The head of the file as text: a broken character at its end is dropped, and any other is the reader's to report.
fn head(bytes: &[u8]) -> &str {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let bytes = &bytes[..bytes.len().min(HEAD_BYTES)];
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

/// `[.]` opens a defanged value, not a JSON list.
fn is_defanged(start: &str) -> bool {
    start.starts_with("[.]") || start.starts_with("[dot]")
}

fn of_json(start: &str) -> Format {
    let has = |key: &str| start.contains(key);
    let is_object = start.starts_with('{');
    if has("\"spec_version\"") || has_stix_id(start) || (is_object && (has("\"bundle\"") || has("\"objects\""))) {
        Format::Stix2
    } else if has("\"Event\"") || has("\"Attribute\"") || has("\"response\"") {
        Format::Misp
    } else {
        Format::Json
    }
}

/// `"domain-name--ecb120bf-…"`. A list of STIX objects has values under the same names as a list of indicators, and to
/// take what was only observed for an indicator would accuse bystanders.
fn has_stix_id(head: &str) -> bool {
    head.match_indices("--").any(|(at, dashes)| {
        let (before, after) = (&head[..at], &head[at + dashes.len()..]);
        before.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && after.get(..36).is_some_and(|id| Uuid::try_parse(id).is_ok())
    })
}

fn of_text(file_name: &str, head: &str) -> Option<Format> {
    let is_header = |delimiter: char| {
        head.lines().take(super::table::HEADER_SEARCH_RECORDS).any(|line| {
            let cells: Vec<&str> = line.split(delimiter).collect();
            cells.len() > 1 && Column::is_header(cells.iter().map(|cell| cell.trim_matches(['"', ' '])))
        })
    };
    if is_header('\t') {
        return Some(Format::Tsv);
    }
    if is_header(',') || is_header(';') {
        return Some(Format::Csv);
    }
    let extension = file_name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        // Without a header there is no telling which column holds the values: the reader says so.
        Some("csv") if !is_list(head) => Some(Format::Csv),
        Some("tsv") if !is_list(head) => Some(Format::Tsv),
        Some("txt" | "list" | "lst") => Some(Format::Lines),
        _ => is_list(head).then_some(Format::Lines),
    }
}

/// One value a line: no line of the head has white space or a delimiter inside.
fn is_list(head: &str) -> bool {
    head.lines()
        .take(50)
        .all(|line| !line.trim().contains([' ', '\t', ',', ';']))
        && !head.trim().is_empty()
}

/// The delimiter of a CSV file: a semicolon only where the header has no comma.
pub(super) fn csv_delimiter(text: &str) -> u8 {
    let line = limits::cut(text)
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    if line.contains(';') && !line.contains(',') {
        b';'
    } else {
        b','
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_the_format() {
        let cases: [(&str, &str, Option<Format>); 20] = [
            ("a.csv", "Tactic ,Technique,Procedure,Indicator\n", Some(Format::Csv)),
            ("a.csv", "Tactic;Technique;Procedure;Indicator\n", Some(Format::Csv)),
            (
                "a",
                "\u{feff}\"indicator_type\",\"indicator_value\"\n",
                Some(Format::Csv),
            ),
            (
                "a.csv",
                "A title of the report\n,,,\nTactic,Technique,Procedure,Indicator\n",
                Some(Format::Csv),
            ),
            (
                "misnamed.csv",
                "Tactic\tTechnique\tProcedure\tIndicator\n",
                Some(Format::Tsv),
            ),
            ("a.csv", "x,y,z\n1,2,3\n", Some(Format::Csv)),
            ("a.csv", "evil.example\nworse.example\n", Some(Format::Lines)),
            ("a.txt", "\nevil.example\n", Some(Format::Lines)),
            ("a", "[.]evil\n", Some(Format::Lines)),
            ("a.json", " [ {\"indicator_type\": \"md5\"", Some(Format::Json)),
            ("a.json", "{\"response\": [{\"Event\": {", Some(Format::Misp)),
            ("a.json", "[{\"Event\": {", Some(Format::Misp)),
            ("a.stix2", "{\"type\": \"bundle\", \"id\"", Some(Format::Stix2)),
            (
                "a.json",
                "[{\"type\": \"url\", \"id\": \"url--c1477287-23ac-5971-a010-5c287877fa60\"",
                Some(Format::Stix2),
            ),
            (
                "a.json",
                "[{\"indicator_value\": \"http://a.com/x--12345678-\"",
                Some(Format::Json),
            ),
            ("a.xml", "<?xml version=\"1.0\"?>", Some(Format::Stix1)),
            ("a.xml", "\u{feff}\n<stix:STIX_Package", Some(Format::Stix1)),
            ("a.bin", "two words\n", None),
            ("a.bin", "", None),
            ("a.txt", "   ", None),
        ];
        for (name, content, format) in cases {
            assert_eq!(Format::detect(name, content.as_bytes()), format, "{name}: {content:?}");
        }
        assert_eq!(Format::detect("a", b"\xff\xfe\x00"), None);
    }

    #[test]
    fn names_go_both_ways() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
        }
        assert_eq!(Format::from_name("stix"), Some(Format::Stix2));
        assert_eq!(Format::from_name("pdf"), None);
    }
}
