//! STIX 1.x packages (XML). Reads indicators and the values of their CybOX objects by local element names. Refuses
//! document types, entities that XML itself does not define, and deep nesting.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use super::ReadError;
use super::cell::{self, Entry, Setting};
use super::limits::{self, XML_DEPTH_MAX};
use super::line::LineCounter;
use super::row::{Class, Report};
use super::title;

/// CybOX joins several values of one property with this.
const VALUE_SEPARATOR: &str = "##comma##";

pub(super) fn read(text: &str) -> Result<Report, ReadError> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut walk = Walk::new(text);
    loop {
        let event = reader.read_event().map_err(|error| {
            let line = walk.lines.at(reader.error_position());
            ReadError::Syntax {
                line,
                message: error.to_string(),
            }
        })?;
        let position = reader.buffer_position();
        match event {
            Event::Start(start) => walk.open(start.local_name().as_ref(), position)?,
            Event::End(_) => walk.close()?,
            Event::Text(part) => walk.append(&part.decode().unwrap_or_default()),
            Event::CData(part) => walk.append(&part.decode().unwrap_or_default()),
            Event::GeneralRef(reference) => {
                let character = entity(&reference).ok_or_else(|| ReadError::Syntax {
                    line: walk.lines.at(position),
                    message: "an entity that XML does not define".to_owned(),
                })?;
                walk.append(character.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => {
                return Err(ReadError::Doctype {
                    line: walk.lines.at(position),
                });
            }
            Event::Eof => return walk.finish(),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn entity(reference: &BytesRef<'_>) -> Option<char> {
    if reference.is_char_ref() {
        return reference.resolve_char_ref().ok().flatten();
    }
    match reference.decode().ok()?.as_ref() {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// The elements that are looked into; all others only take their place on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Package,
    Header,
    Indicator,
    Title,
    Description,
    Value,
    FileName,
    Other,
}

impl Element {
    fn of(local_name: &[u8]) -> Element {
        match local_name {
            b"STIX_Package" => Element::Package,
            b"STIX_Header" => Element::Header,
            b"Indicator" => Element::Indicator,
            b"Title" => Element::Title,
            b"Description" | b"Short_Description" => Element::Description,
            b"Value" | b"Address_Value" | b"Hostname_Value" | b"Simple_Hash_Value" => Element::Value,
            b"File_Name" => Element::FileName,
            _ => Element::Other,
        }
    }
}

struct Walk<'t> {
    lines: LineCounter<'t>,
    stack: Vec<Element>,
    has_package: bool,
    report: Report,
    /// Text of the innermost element.
    content: String,
    record: u64,
    indicator: Option<Indicator>,
}

/// An indicator between its tags.
#[derive(Default)]
struct Indicator {
    line: u64,
    title: String,
    description: Option<String>,
    values: Vec<String>,
    file_names: Vec<String>,
}

impl<'t> Walk<'t> {
    fn new(text: &'t str) -> Walk<'t> {
        Walk {
            lines: LineCounter::new(text),
            stack: Vec::new(),
            has_package: false,
            report: Report::default(),
            content: String::new(),
            record: 0,
            indicator: None,
        }
    }

    fn open(&mut self, local_name: &[u8], position: u64) -> Result<(), ReadError> {
        let element = Element::of(local_name);
        if self.stack.is_empty() && element != Element::Package {
            return Err(ReadError::WrongShape {
                expected: "a STIX 1 package",
            });
        }
        self.has_package = true;
        if self.stack.len() >= XML_DEPTH_MAX {
            return Err(ReadError::TooDeep {
                line: self.lines.at(position),
            });
        }
        // An indicator inside a composite one adds its values to the outer record.
        if element == Element::Indicator && self.indicator.is_none() {
            self.indicator = Some(Indicator {
                line: self.lines.at(position),
                ..Indicator::default()
            });
        }
        self.stack.push(element);
        self.content.clear();
        Ok(())
    }

    fn append(&mut self, text: &str) {
        let is_read = !matches!(
            self.stack.last(),
            None | Some(Element::Other | Element::Package | Element::Header)
        );
        // One byte over the limit is kept, so that the cell shows itself too long.
        if is_read && self.content.len() <= limits::CELL_BYTES_MAX {
            self.content.push_str(text);
        }
    }

    fn close(&mut self) -> Result<(), ReadError> {
        let element = self.stack.pop();
        let content = std::mem::take(&mut self.content);
        let parent = self.stack.last();
        match (element, &mut self.indicator) {
            (Some(Element::Title), None) if parent == Some(&Element::Header) => {
                self.report.title = title::clean(&content)
            }
            (Some(Element::Title), Some(indicator)) if parent == Some(&Element::Indicator) => indicator.title = content,
            (Some(Element::Description), Some(indicator)) if parent == Some(&Element::Indicator) => {
                indicator.description = cell::note(&content);
            }
            (Some(Element::Value), Some(indicator)) => indicator.values.push(content),
            (Some(Element::FileName), Some(indicator)) => indicator.file_names.push(content),
            (Some(Element::Indicator), Some(_)) if !self.stack.contains(&Element::Indicator) => {
                let indicator = self.indicator.take().unwrap_or_default();
                self.record += 1;
                indicator.rows(self.record, &mut self.report)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Report, ReadError> {
        if !self.stack.is_empty() {
            let line = self.lines.at(u64::MAX);
            return Err(ReadError::Syntax {
                line,
                message: "the file ends inside an element".to_owned(),
            });
        }
        if !self.has_package {
            return Err(ReadError::WrongShape {
                expected: "a STIX 1 package",
            });
        }
        Ok(self.report)
    }
}

impl Indicator {
    /// A row for each value. A file's name is a value only where the title declares it an application's.
    fn rows(self, record: u64, report: &mut Report) -> Result<(), ReadError> {
        let (title, declared) = split_declared(self.title.trim());
        let setting = Setting::declared(declared, Setting::Value);
        let note = match (cell::note(title), self.description) {
            (Some(title), Some(description)) => Some(format!("{title}; {description}")),
            (title, description) => title.or(description),
        };
        let entry = || Entry {
            line: Some(self.line),
            record,
            note: note.clone(),
            ..Entry::default()
        };
        let is_application = matches!(setting, Setting::Declared(_));
        if self.values.is_empty() && self.file_names.is_empty() {
            return report.push(entry().skip(title, Class::OtherPattern, "no value of a known kind"));
        }
        for value in self.values.iter().flat_map(|value| value.split(VALUE_SEPARATOR)) {
            report.push(entry().read(value, Setting::Value))?;
        }
        for name in self.file_names.iter().flat_map(|name| name.split(VALUE_SEPARATOR)) {
            report.push(match is_application {
                true => entry().read(name, setting),
                false => entry().skip(name, Class::OtherPattern, "a file's name is no observable"),
            })?;
        }
        Ok(())
    }
}

/// `CallShowLite (android_package_name)` is a title and a declared type.
fn split_declared(title: &str) -> (&str, &str) {
    let is_type = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    match title.strip_suffix(')').and_then(|title| title.rsplit_once(" (")) {
        Some((rest, declared)) if is_type(declared) => (rest.trim_end(), declared),
        _ => (title, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{error, report, show};
    use super::super::{Format, read};
    use super::*;

    fn stix1(body: &str) -> String {
        format!(
            "<stix:STIX_Package xmlns:stix=\"s\" xmlns:i=\"i\" xmlns:F=\"f\" xmlns:xsi=\"x\">\n<stix:STIX_Header>\
             <stix:Title>Op &amp; Co</stix:Title></stix:STIX_Header>\n<stix:Indicators>{body}</stix:Indicators>\
             </stix:STIX_Package>"
        )
    }

    #[test]
    fn stix1_values_titles_and_declared_types_are_read() {
        let report = report(
            Format::Stix1,
            &stix1(
                "<stix:Indicator><i:Title>Ads &#38; Page (android_package_name)</i:Title><i:Observable>\
                 <F:File_Name>com.x.y</F:File_Name></i:Observable></stix:Indicator>\n\
                 <stix:Indicator><i:Title>C2</i:Title><F:Value>a.com##comma##http://b.com/?x=1&amp;y=2</F:Value>\
                 <F:File_Name>a.doc</F:File_Name></stix:Indicator>\n<stix:Indicator/>",
            ),
        );
        assert_eq!(report.title.as_deref(), Some("Op & Co"));
        let shown: Vec<String> = report.rows.iter().map(show).collect();
        let expected = [
            "indicator: com.x.y, Ads & Page, -",
            "indicator: a.com, C2, -",
            "indicator: b.com?x=1&y=2, C2, -",
            "other-pattern: -, -, a file's name is no observable",
            "other-pattern: -, -, no value of a known kind",
        ];
        assert_eq!(shown, expected);
        let places: Vec<(Option<u64>, u64)> = report.rows.iter().map(|row| (row.line, row.record)).collect();
        assert_eq!(
            places,
            [(Some(3), 1), (Some(4), 2), (Some(4), 2), (Some(4), 2), (Some(5), 3)]
        );
    }

    #[test]
    fn xml_that_attacks_the_reader_is_refused() {
        let bomb =
            "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>\n<stix:STIX_Package>&b;</stix:STIX_Package>";
        assert_eq!(error(Format::Stix1, bomb.as_bytes()), ReadError::Doctype { line: 1 });
        let unknown = stix1("&evil;");
        assert!(matches!(
            error(Format::Stix1, unknown.as_bytes()),
            ReadError::Syntax { line: 3, .. }
        ));
        let nested = |depth: usize| {
            format!(
                "<STIX_Package>{}{}</STIX_Package>",
                "<a>".repeat(depth),
                "</a>".repeat(depth)
            )
        };
        assert!(read(Format::Stix1, "", nested(XML_DEPTH_MAX - 1).as_bytes()).is_ok());
        assert_eq!(
            error(Format::Stix1, nested(XML_DEPTH_MAX).as_bytes()),
            ReadError::TooDeep { line: 1 }
        );
        for broken in ["", "<STIX_Package>", "<html></html>", "<STIX_Package></b>", "evil.com"] {
            error(Format::Stix1, broken.as_bytes());
        }
    }
}
