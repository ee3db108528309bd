//! What two worlds may differ in is made equal: ids become the word under which the world knows them, times count from the start.
//! An id that the world does not know is left as it is, and so found as a difference.

use std::collections::HashMap;

use uuid::Uuid;

/// The words for ids, and when this world began.
pub struct Mask {
    pub words: HashMap<Uuid, String>,
    pub began: i64,
}

impl Mask {
    pub fn name(&mut self, id: Uuid, word: String) {
        self.words.insert(id, word);
    }

    pub fn apply(&self, text: &str) -> String {
        let text = since(&self.ids(text), "Timestamp(", self.began);
        // As messages of the wire have it.
        since(&text, "seconds: ", self.began / 1_000_000)
    }

    fn ids(&self, text: &str) -> String {
        const LENGTH: usize = 36;
        let mut masked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let id = rest.get(..LENGTH).and_then(|head| Uuid::try_parse(head).ok());
            match id.and_then(|id| self.words.get(&id)) {
                Some(word) => {
                    masked.push_str(word);
                    rest = &rest[LENGTH..];
                }
                None => {
                    masked.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        masked
    }
}

/// The numbers after a word, less `began`.
fn since(text: &str, word: &str, began: i64) -> String {
    let mut parts = text.split(word);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|char: char| !char.is_ascii_digit()).unwrap_or(part.len());
        let (time, rest) = part.split_at(digits);
        match time.parse::<i64>() {
            Ok(time) => masked.push_str(&format!("+{}{rest}", time - began)),
            Err(_) => masked.push_str(part),
        }
    }
    masked
}
