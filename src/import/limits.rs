//! The bounds on what a hostile file may cost, and the two checks that come before any parser. Refuses to repair text.

use super::ReadError;
use super::line::newlines;

/// Longest file read, in bytes: 64 MiB.
pub const FILE_BYTES_MAX: usize = 64 << 20;
/// Most rows of one report.
pub const REPORT_ROWS_MAX: usize = 1_000_000;
/// Longest value or note kept, in bytes: 64 KiB. A longer value is a malformed row; a longer note is cut.
pub const CELL_BYTES_MAX: usize = 64 << 10;
/// Most text held by the rows of one report, in bytes: 512 MiB. A record's note and tags are repeated in each of its
/// rows, so a small file could otherwise grow a thousandfold.
pub const REPORT_TEXT_BYTES_MAX: usize = 512 << 20;
/// Deepest nesting of XML elements.
pub const XML_DEPTH_MAX: usize = 64;
/// Most values in one JSON file. A parsed value takes some 70 bytes however short its text (`[0,0,0…]`), so the length
/// of the file alone does not bound memory.
pub const JSON_NODES_MAX: usize = 4_000_000;

/// The file's text, without a byte order mark.
pub(super) fn text(bytes: &[u8]) -> Result<&str, ReadError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(ReadError::FileTooLarge { bytes: bytes.len() });
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let byte = error.valid_up_to();
            Err(ReadError::NotUtf8 {
                line: 1 + newlines(&bytes[..byte]),
                byte,
            })
        }
    }
}

/// Parses JSON after its number of values was found bearable.
pub(super) fn json(text: &str) -> Result<serde_json::Value, ReadError> {
    if json_nodes(text.as_bytes()) > JSON_NODES_MAX {
        return Err(ReadError::TooManyNodes);
    }
    serde_json::from_str(text).map_err(|error| ReadError::Syntax {
        line: error.line() as u64,
        message: error.to_string(),
    })
}

/// At most `CELL_BYTES_MAX` bytes of the text, cut between characters.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(CELL_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// An upper bound on the number of values: one per comma and opening bracket outside strings.
fn json_nodes(bytes: &[u8]) -> usize {
    let (mut nodes, mut in_string, mut escaped) = (1, false, false);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => nodes += 1,
            _ => {}
        }
    }
    nodes
}
