//! What the hostile peers share: connections on which any frame can be written (`raw`), and the arena in which a hub is attacked
//! while an honest member goes on calling.
#![allow(dead_code, missing_docs)]

pub mod raw;

use std::time::{Duration, Instant};

use clearinghouse::grpc::wire;
use wire::query_service_client::QueryServiceClient;

use crate::wire_support::child::{self, ChildHub, Program, Run};
use crate::wire_support::{Client, Credentials, green};

/// An honest call must be answered within this, on a machine that other work shares.
pub const HONEST_MAX: Duration = Duration::from_secs(5);
/// Honest calls during an attack.
const HONEST_CALLS: usize = 20;
/// An attack that takes longer is stopped; most end because the hub hangs up.
pub const ATTACK_MAX: Duration = Duration::from_secs(8);

const MIB: u64 = 1 << 20;

/// A hub of its own, an honest member, and the credentials of a hostile one.
pub struct Arena {
    child: ChildHub,
    honest: Client,
    pub hostile: Credentials,
    _folder: tempfile::TempDir,
}

impl Arena {
    pub async fn open() -> Arena {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("hub");
        child::create(&dir);
        let run = Run {
            program: Program::Clearinghouse,
            ..Run::default()
        };
        let child = tokio::task::block_in_place(|| ChildHub::start(&dir, &run));
        let honest = child.hub.member("Honest Media", wire::MemberKind::Media).await;
        let hostile = child.hub.member("Hostile Social", wire::MemberKind::Platform).await;
        let arena = Arena {
            child,
            honest,
            hostile: hostile.credentials,
            _folder: folder,
        };
        arena.honest_calls().await;
        arena
    }

    pub fn hub(&self) -> &crate::wire_support::TestHub {
        &self.child.hub
    }

    /// Indicators that all members see, with notes of so many bytes.
    pub async fn publish(&self, numbers: std::ops::Range<usize>, note_bytes: usize) {
        let numbers: Vec<usize> = numbers.collect();
        for numbers in numbers.chunks(500) {
            let items = numbers.iter().map(|number| wire::PublishItem {
                request_id: String::new(),
                draft: Some(wire::IndicatorDraft {
                    note: "n".repeat(note_bytes),
                    ..crate::wire_support::draft(&format!("v{number}.example.com"), green())
                }),
            });
            let request = wire::PublishRequest { items: items.collect() };
            self.honest.publisher().publish(request).await.unwrap();
        }
    }

    /// Runs an attack beside honest calls, each of which must be answered in time. Afterwards the hub must not have taken more than
    /// so many MiB more at any moment, and not have panicked.
    pub async fn withstand<T>(&self, growth_max_mib: u64, attack: impl Future<Output = T>) -> T {
        self.child.forget_peak();
        let before = self.child.resident_bytes();
        let (outcome, ()) = tokio::join!(attack, self.honest_calls());
        self.honest_calls().await;
        let growth_mib = self.child.peak_bytes().saturating_sub(before) / MIB;
        println!("memory grew by {growth_mib} MiB at most");
        assert!(
            growth_mib <= growth_max_mib,
            "{growth_mib} MiB more, of {growth_max_mib} at most"
        );
        let complaints = self.child.complaints();
        assert!(!complaints.contains("panicked at"), "{complaints}");
        outcome
    }

    async fn honest_calls(&self) {
        let mut slowest = Duration::ZERO;
        for call in 0..HONEST_CALLS {
            let began = Instant::now();
            let answered = match call % 4 {
                // A new connection now and then: the door must be open too.
                0 => tokio::time::timeout(HONEST_MAX, self.call_anew()).await,
                _ => tokio::time::timeout(HONEST_MAX, self.call()).await,
            };
            answered.unwrap_or_else(|_| panic!("an honest call took longer than {HONEST_MAX:?}"));
            slowest = slowest.max(began.elapsed());
        }
        println!("the slowest of {HONEST_CALLS} honest calls took {slowest:?}");
    }

    async fn call(&self) {
        let mut queries = self.honest.queries();
        queries.get_status(wire::GetStatusRequest {}).await.unwrap();
    }

    async fn call_anew(&self) {
        let channel = self.child.hub.connect(&self.honest.credentials).await;
        let mut queries = QueryServiceClient::new(channel);
        queries.get_status(wire::GetStatusRequest {}).await.unwrap();
    }
}
