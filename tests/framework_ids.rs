//! The shapes of TTPs against the frameworks' own lists: a hub that refuses a real id loses what its members know.

use clearinghouse::domain::indicator::Ttp;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus");

fn refused(ids: &[String]) -> Vec<&String> {
    ids.iter().filter(|id| Ttp::parse("ttps", id).is_err()).collect()
}

fn read(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("{CORPUS}/{path}")).ok();
    if text.is_none() {
        println!("skipped: no corpus at {CORPUS}");
    }
    text
}

#[test]
fn every_id_of_disarm_is_accepted() {
    let Some(table) = read("disarm/red_framework_ids.csv") else {
        return;
    };
    let cells = table
        .split([',', '\n', '\r'])
        .map(str::trim)
        .filter(|id| !id.is_empty());
    let ids: Vec<String> = cells.map(String::from).collect();
    println!("{} ids", ids.len());
    assert!(ids.len() > 400, "the list has shrunk to {}", ids.len());
    assert_eq!(refused(&ids), Vec::<&String>::new());
}

#[test]
fn every_id_of_the_kill_chain_is_accepted() {
    let Some(table) = read("meta/Online_Operations_Killchain-TTPs.csv") else {
        return;
    };
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let cells = rows
        .records()
        .flat_map(|row| row.unwrap().iter().take(3).map(String::from).collect::<Vec<_>>());
    // "0. Acquiring assets", "0.1 Acquiring IP addresses", once "2.1. Soliciting information": the dot before the words ends the
    // number and is no part of it.
    let number = |cell: String| {
        cell.split_whitespace()
            .next()
            .map(|id| id.trim_end_matches('.').to_string())
    };
    let ids: Vec<String> = cells.filter_map(number).collect();
    println!("{} ids", ids.len());
    assert!(ids.len() > 400, "the list has shrunk to {}", ids.len());
    assert_eq!(refused(&ids), Vec::<&String>::new());
}
