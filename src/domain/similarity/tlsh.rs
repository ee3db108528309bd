//! TLSH hashes of files, and the published distance between them (Oliver, Cheng, Chen, "TLSH: A Locality Sensitive Hash", CTC
//! 2013; the layout of the digits is that of version 4 of its authors' tools). Refuses to hash files.

use std::fmt;

/// A TLSH hash of the usual form: 128 buckets, one byte of checksum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TlshHash {
    checksum: u8,
    /// The logarithm of the file's length.
    length: u8,
    /// The two ratios of the quartiles, four bits each; the first in the low half.
    ratios: u8,
    /// The quartile in which each of the 128 buckets lies, 0 to 3: its high bits, then its low bits.
    high: [u64; 2],
    low: [u64; 2],
}

/// What a step between lengths or ratios weighs once it is more than one.
const STEP_WEIGHT: u32 = 12;

/// Steps of the length, and of a ratio: after the last comes the first.
const LENGTH_STEPS: u32 = 256;
const RATIO_STEPS: u32 = 16;

/// Quartiles that are three apart weigh this much instead of 3.
const OPPOSITE_WEIGHT: u32 = 6;

const BODY_BYTES: usize = 32;

impl TlshHash {
    /// The distance at which its authors' data has one false alarm in some ten thousand pairs.
    pub const DISTANCE_USUAL: u32 = 30;

    /// The greatest distance that can be asked for: beyond it the authors' data has more false alarms than finds.
    pub const DISTANCE_MAX: u32 = 100;

    /// Reads `T1` and 70 hex digits.
    pub fn parse(value: &str) -> Option<TlshHash> {
        let digits = value.strip_prefix("T1")?.as_bytes();
        if digits.len() != 2 * (3 + BODY_BYTES) {
            return None;
        }
        let digit = |place: usize| char::from(digits[place]).to_digit(16).map(|digit| digit as u8);
        let mut hash = TlshHash {
            checksum: digit(0)? << 4 | digit(1)?,
            // The tools print the low half of a byte first in the head, and last in the body.
            length: digit(3)? << 4 | digit(2)?,
            ratios: digit(5)? << 4 | digit(4)?,
            high: [0; 2],
            low: [0; 2],
        };
        for place in 0..2 * BODY_BYTES {
            let quartiles = u64::from(digit(6 + place)?);
            let (word, shift) = (place / 32, 2 * (place % 32));
            hash.high[word] |= (quartiles >> 2 & 2 | quartiles >> 1 & 1) << shift;
            hash.low[word] |= (quartiles >> 1 & 2 | quartiles & 1) << shift;
        }
        Some(hash)
    }

    /// How different the two files are: 0 for the same hash, no upper bound that means anything.
    pub fn distance(&self, other: &TlshHash) -> u32 {
        self.head_distance(other) + u32::from(self.checksum != other.checksum) + self.body_distance(other)
    }

    /// The distance, if it is at most `distance_max`.
    pub(super) fn distance_within(&self, other: &TlshHash, distance_max: u32) -> Option<u32> {
        let distance = self.distance(other);
        (distance <= distance_max).then_some(distance)
    }

    /// What the whole distance is at least.
    pub(super) fn head_distance(&self, other: &TlshHash) -> u32 {
        length_distance(self.length, other.length) + ratios_distance(self.ratios, other.ratios)
    }

    /// The logarithm of the length.
    pub(super) fn length(&self) -> u8 {
        self.length
    }

    /// Both ratios.
    pub(super) fn ratios(&self) -> u8 {
        self.ratios
    }

    fn body_distance(&self, other: &TlshHash) -> u32 {
        let in_word = |word: usize| {
            let high = self.high[word] ^ other.high[word];
            let low = self.low[word] ^ other.low[word];
            // Where both bits differ, the quartiles are 0 and 3 or 1 and 2: those of which the two bits are alike are outer ones.
            let outer = !(self.high[word] ^ self.low[word]);
            low.count_ones()
                + 2 * (high & !low).count_ones()
                + (OPPOSITE_WEIGHT - 1) * (high & low & outer).count_ones()
        };
        in_word(0) + in_word(1)
    }
}

/// What a difference of lengths weighs.
pub(super) fn length_distance(one: u8, other: u8) -> u32 {
    match around(one.into(), other.into(), LENGTH_STEPS) {
        steps @ 0..=1 => steps,
        steps => steps * STEP_WEIGHT,
    }
}

/// What a difference of both ratios weighs.
pub(super) fn ratios_distance(one: u8, other: u8) -> u32 {
    let ratio = |one: u8, other: u8| match around(one.into(), other.into(), RATIO_STEPS) {
        steps @ 0..=1 => steps,
        steps => (steps - 1) * STEP_WEIGHT,
    };
    ratio(one & 0xf, other & 0xf) + ratio(one >> 4, other >> 4)
}

/// Steps between two numbers on a circle, the shorter way.
fn around(one: u32, other: u32, steps: u32) -> u32 {
    let straight = one.abs_diff(other);
    straight.min(steps - straight)
}

impl fmt::Display for TlshHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let turned = |byte: u8| byte.rotate_left(4);
        write!(
            f,
            "T1{:02X}{:02X}{:02X}",
            self.checksum,
            turned(self.length),
            turned(self.ratios)
        )?;
        for place in 0..2 * BODY_BYTES {
            let (word, shift) = (place / 32, 2 * (place % 32));
            let (high, low) = (self.high[word] >> shift, self.low[word] >> shift);
            let quartiles = (high & 2) << 2 | (low & 2) << 1 | (high & 1) << 1 | low & 1;
            write!(f, "{quartiles:X}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by the authors' own tool: digests of texts with few and many changes, then digits drawn at random, whose lengths and
    /// ratios lie apart across the end of their circle.
    const FILES: [&str; 8] = [
        "T16541E8128A758FA0D1D71B1F921056203FD20BB43493C976AC79E6F1B39D22846D64F5",
        "T13A41E8128A758F90D1D71B1F911056203FD24BB43493C9B6AC78E6F0B39D22846D64F9",
        "T1D841E812CA658F91D1D72F2FE21111103FC20AB438A3C8727C69E6F273A812C57D65FA",
        "T151414CB68695CF47D0ED194341413C587AB597143663C52DECF4E7B3FB960140B620F1",
        "T15C414CB303B50BDAC400E89EE403E0957CDAA5B4608195ED7091F014692E71E10333E5",
        "T1B7E07D50E7E64F996211632D6185036DE529E00F426DC92324CF8721939CC724C48860",
        "T106514B21CBB98E40C1961A2E830406B43BD35BA03493C8776CB9F2F0B39D16893B14F9",
        "T1E623DF429B82DFFEA852F87D12665132D4CAB4582A12C2E2FC5FF43123594F8F235AD1",
    ];
    const PAIRS: [(usize, usize, u32); 10] = [
        (0, 0, 0),
        (0, 1, 8),
        (0, 2, 36),
        (0, 3, 204),
        (0, 4, 270),
        (0, 5, 386),
        (0, 6, 137),
        (0, 7, 606),
        (4, 7, 626),
        (5, 6, 316),
    ];
    const DRAWN: [(&str, &str, u32); 5] = [
        (
            "T138A8D962E498DA544A0455484C21645C3FF9C3174E3A67CBB906BBCA3C7DA7B442E810",
            "T15566DFFDD1BA92F1CFF7DBEDB4DBB69A860B575312BCBEE7735CFE0F1363F1DEE1798D",
            708,
        ),
        (
            "T125180A65D45122052F5830DAC67687A83A2DB44A57074250035EB06D33570BC4EAAD57",
            "T1EA646143256C453A07B5F522EBA830E46453251BF29598BDAFCB74296F0DB7BAE2042A",
            1041,
        ),
        (
            "T19333E18001E109FE56EE3C0694B2614FF8BAF40BEEB659852D05CF30E6A3987F25DDB8",
            "T182FD3C64137189D78236D0102985E7CE4CF3C6B2419BFDB4B0B2A18754B29BF2954F57",
            1318,
        ),
        (
            "T19B70589D95FB1E74245E16FE366F9D3F201380E313EF40D6965B43CBADA3EFD511C67A",
            "T10B1FA3690222D989CE56036FB154D7438D8E0568424382818E2113B5B9F0BC03EFA948",
            580,
        ),
        (
            "T1F8E83C9E73688C691EEC290C8A38C4CFA00A1CB5488EBDDFCF8BE8615A8E85CA104A25",
            "T12D45B8A13B91A65E6717AEBAEFE9ABE918BA51744BE025A7EA7744A2A8529B145348C5",
            1016,
        ),
    ];

    #[test]
    fn distances_are_those_of_the_authors_tool() {
        let files = PAIRS.map(|(one, other, distance)| (FILES[one], FILES[other], distance));
        for (one, other, distance) in files.iter().chain(&DRAWN) {
            let (one, other) = (TlshHash::parse(one).unwrap(), TlshHash::parse(other).unwrap());
            assert_eq!(one.distance(&other), *distance, "{one} {other}");
            assert_eq!(other.distance(&one), *distance, "{other} {one}");
            assert_eq!(one.distance_within(&other, *distance), Some(*distance));
            assert!(one.head_distance(&other) <= *distance);
        }
    }

    #[test]
    fn what_is_read_is_written_again() {
        for text in FILES
            .iter()
            .chain(DRAWN.iter().flat_map(|(one, other, _)| [one, other]))
        {
            assert_eq!(TlshHash::parse(text).unwrap().to_string(), **text);
        }
        for text in ["", "T1", &FILES[0][2..], &FILES[0][..71], "T2"] {
            assert_eq!(TlshHash::parse(text), None, "{text}");
        }
    }
}
