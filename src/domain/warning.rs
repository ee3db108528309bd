//! Warning lists: values that are on many reports by mistake, such as popular hosts, shared addresses and hashes of empty files. A
//! hit is a warning to publisher and readers, never a verdict. Reading the lists' format is `import`'s.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use regex::Regex;

use super::indicator::{Indicator, Text};
use super::observable::{Kind, Observable};

/// How a list's values are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// The same value; an entry that begins with a dot also holds for everything below it.
    Exact,
    /// The host itself and hosts below it, unless the entry is a public suffix: what is below `blogspot.com` is not Blogspot's.
    Host,
    /// An address within the network.
    Network,
    /// A regular expression over the value.
    Pattern,
}

/// One list.
#[derive(Clone, Debug)]
pub struct WarningList {
    /// For people, such as "Top 1000 websites".
    pub name: Text<200>,
    /// How values are compared.
    pub comparison: Comparison,
    /// Kinds of observables that it speaks of.
    pub kinds: Vec<Kind>,
    /// The entries, as the list has them.
    pub entries: Vec<String>,
}

/// All lists of a hub, ready to be asked on each publication.
#[derive(Debug, Default)]
pub struct WarningLists {
    names: Vec<Text<200>>,
    kinds: Vec<Vec<Kind>>,
    exact: HashMap<Box<str>, Vec<u16>>,
    hosts: HashMap<Box<str>, Vec<u16>>,
    networks: HashMap<IpNet, Vec<u16>>,
    patterns: Vec<(Regex, u16)>,
    ignored: usize,
}

impl WarningLists {
    /// Most lists.
    pub const LISTS_MAX: usize = 1_000;

    /// Combines lists. Entries that cannot be understood are counted in [`WarningLists::ignored`].
    pub fn new(lists: Vec<WarningList>) -> WarningLists {
        let mut all = WarningLists::default();
        for list in lists.into_iter().take(WarningLists::LISTS_MAX) {
            let number = all.names.len() as u16;
            all.names.push(list.name);
            all.kinds.push(list.kinds);
            for entry in &list.entries {
                if !all.add(number, list.comparison, entry) {
                    all.ignored += 1;
                }
            }
        }
        all
    }

    /// How many lists there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many entries could not be understood.
    pub fn ignored(&self) -> usize {
        self.ignored
    }

    /// The names of the lists that hold `observable`, each once, at most [`Indicator::WARNINGS_MAX`]. A URL with a path stands on
    /// no list of hosts: a page on a popular host may well be what it is reported to be.
    pub fn hits(&self, observable: &Observable) -> Vec<Text<200>> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        let value = observable.value();
        found.extend(self.exact.get(value).into_iter().flatten());
        match observable.kind() {
            Kind::Domain => self.host_hits(value, &mut found),
            Kind::Email => {
                let host = value.rsplit_once('@').map_or(value, |(_, host)| host);
                found.extend(self.exact.get(host).into_iter().flatten());
                self.host_hits(host, &mut found);
            }
            Kind::Ipv4 | Kind::Ipv6 => self.address_hits(value, &mut found),
            _ => {}
        }
        let matching = self.patterns.iter().filter(|(pattern, _)| pattern.is_match(value));
        found.extend(matching.map(|(_, number)| number));
        found.sort_unstable();
        found.dedup();
        found.retain(|number| self.kinds[usize::from(*number)].contains(&observable.kind()));
        let names = found.into_iter().map(|number| self.names[usize::from(number)].clone());
        names.take(Indicator::WARNINGS_MAX).collect()
    }

    fn host_hits(&self, host: &str, found: &mut Vec<u16>) {
        let mut rest = Some(host);
        while let Some(parent) = rest {
            found.extend(self.hosts.get(parent).into_iter().flatten());
            rest = parent.split_once('.').map(|(_, parent)| parent);
        }
    }

    fn address_hits(&self, value: &str, found: &mut Vec<u16>) {
        let Ok(address) = value.parse::<IpAddr>() else { return };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        for length in 0..=longest {
            let network = IpNet::new(address, length).map(|network| network.trunc());
            found.extend(
                network
                    .ok()
                    .and_then(|network| self.networks.get(&network))
                    .into_iter()
                    .flatten(),
            );
        }
    }

    fn add(&mut self, number: u16, comparison: Comparison, entry: &str) -> bool {
        let entry = entry.trim();
        let lower = entry.to_ascii_lowercase();
        let bare = lower.strip_prefix('.').unwrap_or(&lower);
        if bare.is_empty() {
            return false;
        }
        match comparison {
            Comparison::Exact if lower.starts_with('.') => self.add_host(number, bare),
            Comparison::Exact => {
                // Hashes and hosts are canonical in lower case; other values are compared as listed.
                self.exact.entry(lower.clone().into()).or_default().push(number);
                if lower != entry {
                    self.exact.entry(entry.into()).or_default().push(number);
                }
            }
            Comparison::Host => self.add_host(number, bare),
            Comparison::Network => {
                let address = || entry.parse::<IpAddr>().map(IpNet::from);
                let Ok(network) = entry.parse::<IpNet>().or_else(|_| address()) else {
                    return false;
                };
                self.networks.entry(network.trunc()).or_default().push(number);
            }
            Comparison::Pattern => match pattern(entry) {
                Some(pattern) => self.patterns.push((pattern, number)),
                None => return false,
            },
        }
        true
    }

    fn add_host(&mut self, number: u16, host: &str) {
        let suffix = psl::suffix_str(host) == Some(host);
        let map = if suffix { &mut self.exact } else { &mut self.hosts };
        map.entry(host.into()).or_default().push(number);
    }
}

/// A pattern as MISP writes it: bare, or `/pattern/flags`. Bounded in size; matching takes linear time, whatever the pattern.
fn pattern(text: &str) -> Option<Regex> {
    let (body, flags) = match text.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')) {
        Some(parts) => parts,
        None => (text, ""),
    };
    let builder = regex::RegexBuilder::new(body)
        .case_insensitive(flags.contains('i'))
        .size_limit(1 << 20)
        .build();
    builder.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(name: &str, comparison: Comparison, kinds: &[Kind], entries: &[&str]) -> WarningList {
        WarningList {
            name: Text::parse("name", name).unwrap(),
            comparison,
            kinds: kinds.to_vec(),
            entries: entries.iter().map(|entry| (*entry).to_owned()).collect(),
        }
    }

    fn lists() -> WarningLists {
        let hosts = [Kind::Domain, Kind::Url];
        WarningLists::new(vec![
            list("popular", Comparison::Host, &hosts, &["example.com", "blogspot.com"]),
            list("exact", Comparison::Exact, &hosts, &["example.org", ".example.net"]),
            list(
                "private",
                Comparison::Network,
                &[Kind::Ipv4],
                &["192.0.2.0/24", "198.51.100.7"],
            ),
            list(
                "empty files",
                Comparison::Exact,
                &[Kind::Md5],
                &["D41D8CD98F00B204E9800998ECF8427E"],
            ),
            list(
                "desks",
                Comparison::Pattern,
                &[Kind::Email],
                &["/^(security|abuse)\\@.*$/i"],
            ),
            list("broken", Comparison::Pattern, &[Kind::Email], &["(", ""]),
        ])
    }

    #[test]
    fn each_comparison_hits_what_it_should_and_nothing_else() {
        let lists = lists();
        for (kind, value, expected) in [
            (Kind::Domain, "example.com", "popular"),
            (Kind::Domain, "mail.example.com", "popular"),
            (Kind::Domain, "badexample.com", ""),
            (Kind::Url, "example.com/a/page", ""),
            (Kind::Domain, "blogspot.com", "popular"),
            (Kind::Domain, "somebody.blogspot.com", ""),
            (Kind::Domain, "example.org", "exact"),
            (Kind::Domain, "www2.example.org", ""),
            (Kind::Domain, "a.example.net", "exact"),
            (Kind::Ipv4, "192.0.2.200", "private"),
            (Kind::Ipv4, "198.51.100.7", "private"),
            (Kind::Ipv4, "198.51.100.8", ""),
            (Kind::Md5, "d41d8cd98f00b204e9800998ecf8427e", "empty files"),
            (Kind::Email, "abuse@example.edu", "desks"),
            (Kind::Email, "someone@example.edu", ""),
        ] {
            let observable = Observable::from_canonical(kind, value).unwrap();
            let hits: Vec<_> = lists
                .hits(&observable)
                .iter()
                .map(|name| name.as_str().to_owned())
                .collect();
            assert_eq!(hits.join(","), expected, "{value}");
        }
        assert_eq!(lists.ignored(), 2);
    }
}
