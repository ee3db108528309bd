//! What the tests of the hub share: a hub on a log in a temporary directory, in process and without a network, with a clock that
//! the test sets, members by a word, and drafts. It refuses to judge: each test brings its own oracle.
#![allow(dead_code, missing_docs)]

pub mod clock;
pub mod drafts;
pub mod waiting;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread::JoinHandle;

use clearinghouse::domain::agent::AgentName;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::{GroupId, MemberId, Timestamp};
use clearinghouse::domain::indicator::Text;
use clearinghouse::domain::member::{MemberKind, Name, Role, Roles, Standing};
use clearinghouse::domain::violation::Violation;
use clearinghouse::domain::warning::WarningLists;
use clearinghouse::hub::erase::Retention;
use clearinghouse::hub::error::HubError;
use clearinghouse::hub::feed::{Batch, Feed};
use clearinghouse::hub::publish::{Item, Outcome};
use clearinghouse::hub::quota::Limits;
use clearinghouse::hub::recall::RecallRules;
use clearinghouse::hub::roster::Asked;
use clearinghouse::hub::roster::Enrolment;
use clearinghouse::hub::{CURSOR_KEY_LEN, Caller, Hub, HubOptions, Making, Step};
use clearinghouse::log::bodies::BodiesOptions;
use clearinghouse::log::entry::{CertificateIssued, Entry, Event};
use clearinghouse::log::{Durability, Log, Options};
use clearinghouse::pki::{Authority, ConnectionLimits, ConnectionRegistry, new_key_and_csr};
use tempfile::TempDir;
use uuid::Uuid;

use clock::Clock;
use waiting::{poll_now, wait};

/// The same for all incarnations of a hub, as a real one keeps it in a file.
const CURSOR_KEY: [u8; CURSOR_KEY_LEN] = [0x5a; CURSOR_KEY_LEN];

/// How a hub is opened.
#[derive(Clone, Copy)]
struct How {
    body_cache_bytes: usize,
    limits: Limits,
    retention: Retention,
}

impl How {
    fn usual() -> How {
        How {
            body_cache_bytes: body_cache_bytes(),
            limits: Limits::DEFAULT,
            retention: Retention::default(),
        }
    }
}

/// The snapshot of an earlier restart, and how many entries were erased then.
pub struct Earlier {
    snapshot: Vec<u8>,
    erased: u64,
}

/// A hub that can be closed and opened again on its log.
pub struct TestHub {
    dir: TempDir,
    how: How,
    clock: Clock,
    admin: Caller,
    running: Option<(Hub, JoinHandle<()>)>,
}

impl TestHub {
    /// A new hub with one member, which operates it.
    pub fn new() -> TestHub {
        TestHub::made(How::usual())
    }

    /// One whose members may take so much of it.
    pub fn with_limits(limits: Limits) -> TestHub {
        TestHub::made(How { limits, ..How::usual() })
    }

    /// One that keeps nothing longer than it must.
    pub fn erasing() -> TestHub {
        let retention = Retention {
            superseded_secs: Some(0),
            retracted_secs: Some(0),
            expired_secs: Some(0),
        };
        TestHub::made(How {
            retention,
            ..How::usual()
        })
    }

    /// One that keeps no body in memory that is on disk: whatever is found is read from there.
    pub fn with_bodies_on_disk() -> TestHub {
        TestHub::made(How {
            body_cache_bytes: 0,
            ..How::usual()
        })
    }

    fn made(how: How) -> TestHub {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let clock = Clock::new();
        let admin = caller(MemberId(Uuid::now_v7()), Role::ALL);
        let events = [
            Event::HubCreated {
                name: "Test hub".into(),
                trust_domain: TRUST_DOMAIN.into(),
            },
            Event::MemberAdmitted {
                member: admin.member,
                name: name("Operator"),
                kind: MemberKind::Research,
            },
            Event::CertificateIssued(Box::new(certificate_of(&admin))),
        ];
        let at = clock.now();
        let entries: Vec<_> = events
            .into_iter()
            .map(|event| Entry { at, actor: None, event }.encode())
            .collect();
        let mut log = Log::create(&log_dir(dir.path()), log_options()).expect("a new log");
        log.append(&entries).expect("the first entries");
        let running = Some(open(log, dir.path(), &clock, how));
        TestHub {
            dir,
            how,
            clock,
            admin,
            running,
        }
    }

    pub fn hub(&self) -> &Hub {
        &self.running.as_ref().expect("the hub runs").0
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// An admin of the operating member.
    pub fn admin(&self) -> &Caller {
        &self.admin
    }

    /// Closes the hub and opens another on the same log. Feeds of the old one must have been dropped.
    pub fn restart(&mut self) {
        self.close();
        self.open();
    }

    /// Opens a hub that is closed.
    pub fn open(&mut self) {
        let log = Log::open(&log_dir(self.dir.path()), log_options()).expect("the log opens again");
        self.running = Some(open(log, self.dir.path(), &self.clock, self.how));
    }

    /// Where the bodies of indicators lie.
    pub fn bodies_path(&self) -> PathBuf {
        views_dir(self.dir.path()).join("bodies")
    }

    /// Closes the hub, and opens it with the snapshot that it left, with none, and with one from an earlier restart: each time the views
    /// must be the same, byte for byte as they are kept. `earlier` is the earlier one, and becomes the present one.
    pub fn restart_every_way(&mut self, earlier: &mut Option<Earlier>) {
        let erased = self.hub().erased().entries;
        self.close();
        let left = self.snapshot();
        assert_eq!(
            self.reopen_from(None),
            left,
            "a fold of the whole log comes to other views"
        );
        if let Some(earlier) = earlier {
            let kept = self.reopen_from(Some((&earlier.snapshot, earlier.erased == erased)));
            assert_eq!(
                kept, left,
                "an earlier snapshot and a fold of the rest come to other views"
            );
        }
        self.write_snapshot(&left);
        self.open();
        assert_eq!(self.hub().entries_folded(), 0, "the snapshot is used");
        *earlier = Some(Earlier { snapshot: left, erased });
    }

    /// The snapshot that a hub leaves which was opened with this one, or with none, and closed again; and whether it must be used.
    fn reopen_from(&mut self, snapshot: Option<(&[u8], bool)>) -> Vec<u8> {
        match snapshot {
            Some((bytes, _)) => self.write_snapshot(bytes),
            None => std::fs::remove_file(self.snapshot_path()).expect("the snapshot is removed"),
        }
        self.open();
        let (folded, size) = (self.hub().entries_folded(), self.hub().condition().log.size);
        match snapshot {
            None => assert_eq!(folded, size),
            Some((_, is_used)) => assert!(folded < size || !is_used, "{folded} of {size} entries were folded"),
        }
        self.close();
        self.snapshot()
    }

    /// Takes a snapshot that is being made while the hub runs so many steps on, or begins one. None once it is there, or given up.
    pub fn make_snapshot(&self, making: Option<Making>, steps: usize) -> Option<Making> {
        let begun = || self.hub().begin_snapshot().expect("a snapshot is begun");
        let mut making = making.or_else(begun)?;
        for _ in 0..steps {
            making = match self.hub().go_on(making).expect("a snapshot goes on") {
                Step::More(making) => *making,
                Step::Made | Step::GivenUp => return None,
            };
        }
        Some(making)
    }

    /// The snapshot that is there, as one to start from later.
    pub fn keep_snapshot(&self) -> Earlier {
        Earlier {
            snapshot: self.snapshot(),
            erased: self.hub().erased().entries,
        }
    }

    /// Where the hub keeps its views.
    pub fn snapshot_path(&self) -> PathBuf {
        views_dir(self.dir.path()).join("snapshot")
    }

    /// The snapshot that a hub left.
    pub fn snapshot(&self) -> Vec<u8> {
        std::fs::read(self.snapshot_path()).expect("a hub that is closed leaves a snapshot")
    }

    /// Puts a snapshot there while the hub is closed.
    pub fn write_snapshot(&self, bytes: &[u8]) {
        std::fs::write(self.snapshot_path(), bytes).expect("the snapshot is put there");
    }

    /// Where the hub's files lie.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Lets so much time pass that what is over is over for long enough, and writes something by which the log knows the time.
    pub async fn let_time_pass(&self) {
        self.pass_secs(1_300).await;
        let rules = drafts::Rules {
            members: vec![self.admin.member],
            ..drafts::Rules::open(Tlp::Amber)
        };
        let value = format!("hour-{}.example.com", self.clock.now().0);
        let content = drafts::content(&value, rules.handling().expect("a handling"));
        let outcomes = self.hub().publish(&self.admin, vec![Ok(drafts::item(content))]).await;
        assert!(
            matches!(outcomes.as_deref(), Ok([Outcome::Accepted { .. }])),
            "{outcomes:?}"
        );
    }

    /// Lets time pass, and has the hub erase what is due and lies in sealed epochs, or was ordered.
    pub async fn erase(&self) {
        self.let_time_pass().await;
        for _ in 0..2 {
            self.erase_round().await;
        }
    }

    /// One round of erasing.
    pub async fn erase_round(&self) {
        self.hub().erase_due(async |_| {}).await.expect("a round");
    }

    /// Changes the files while the hub is closed.
    pub fn restart_after(&mut self, change: impl FnOnce(&Path)) {
        self.close();
        change(self.dir.path());
        self.restart();
    }

    /// Why a copy of the log cannot be opened.
    pub fn refusal_of(&self, copy: &TempDir) -> String {
        let log = Log::open(&log_dir(copy.path()), log_options()).expect("the log opens");
        match Hub::open(log, options(copy.path(), &self.clock, self.how)) {
            Ok(_) => panic!("the copy can be folded"),
            Err(error) => error.to_string(),
        }
    }

    /// A copy of the log as it is, made while the hub is closed.
    pub fn back_up(&mut self) -> TempDir {
        self.close();
        let copy = tempfile::tempdir().expect("a temporary directory");
        copy_dir(&log_dir(self.dir.path()), &log_dir(copy.path()));
        self.restart();
        copy
    }

    /// Puts a copy in the place of the log: what was written since is lost.
    pub fn restore(&mut self, copy: &TempDir) {
        self.close();
        std::fs::remove_dir_all(log_dir(self.dir.path())).expect("the log is removed");
        copy_dir(&log_dir(copy.path()), &log_dir(self.dir.path()));
        self.restart();
    }

    /// Admits a member, and gives a caller for it that has every role but admin.
    pub async fn member(&self, member_name: &str, kind: MemberKind) -> Caller {
        let card = self.hub().add_member(&self.admin, name(member_name), kind).await;
        caller(
            done(card.expect("a new member")).id,
            [Role::Publisher, Role::Subscriber],
        )
    }

    /// Makes a group of members.
    pub async fn group(&self, group_name: &str, members: &[MemberId]) -> GroupId {
        let group = self.hub().create_group(&self.admin, name(group_name)).await;
        let group = done(group.expect("a new group")).id;
        for member in members {
            let joined = self.hub().add_to_group(&self.admin, group, *member).await;
            joined.expect("a member joins");
        }
        group
    }

    pub async fn set_standing(&self, member: MemberId, standing: Standing) -> Result<(), HubError> {
        let changed = self
            .hub()
            .change_standing(&self.admin, member, standing, Text::default());
        changed.await.map(drop)
    }

    /// Moves the clock and lets the hub notice.
    pub async fn pass_secs(&self, seconds: i64) {
        self.clock.pass_secs(seconds);
        self.hub().tick().await.expect("time passes");
    }

    /// Enrols an agent the way a member does: an invitation, a key made locally, a certificate.
    pub async fn enrol(&self, member: MemberId, agent: &str, roles: Roles) -> Enrolment {
        let agent: AgentName = agent.parse().expect("a name for an agent");
        let invited = self.hub().invite(&self.admin, member, agent, roles, 3_600).await;
        let keys = new_key_and_csr().expect("a key");
        let (invitation, _token) = done(invited.expect("an invitation"));
        let enrolled = self.hub().enroll(invitation, &keys.csr_pem).await;
        enrolled.expect("a certificate")
    }

    /// What a feed has to give without anything more happening; none if it waits for that. Before it delivers to a government it has
    /// the crossing written down, so where it waits it is asked again once all that was proposed to the hub is written.
    pub fn next_now(&self, feed: &mut Feed) -> Option<Result<Batch, HubError>> {
        self.poll_feed(feed).or_else(|| {
            let nothing = Vec::<Result<Item, Violation>>::new();
            wait(self.hub().publish(&self.admin, nothing)).expect("the hub writes");
            self.poll_feed(feed)
        })
    }

    /// A feed that reads bodies from the disk has more to give.
    fn poll_feed(&self, feed: &mut Feed) -> Option<Result<Batch, HubError>> {
        let mut next = Box::pin(feed.next());
        loop {
            let polled = poll_now(next.as_mut());
            if polled.is_some() || self.hub().reads_in_flight() == 0 {
                return polled;
            }
            std::thread::yield_now();
        }
    }

    /// Closes the hub, if it is not.
    pub fn close(&mut self) {
        if let Some((hub, thread)) = self.running.take() {
            hub.close();
            drop(hub);
            thread.join().expect("the sequencer ends in order");
        }
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.close();
        }
    }
}

/// A caller as the hub makes it of a certificate.
pub fn caller(member: MemberId, roles: impl IntoIterator<Item = Role>) -> Caller {
    Caller {
        member,
        agent: "agent".parse().expect("a name for an agent"),
        roles: roles.into_iter().collect(),
        certificate_ends: Timestamp(i64::MAX),
    }
}

/// What the log holds of an agent that enrolled: who changes the roster must be known to it.
fn certificate_of(caller: &Caller) -> CertificateIssued {
    CertificateIssued {
        member: caller.member,
        agent: caller.agent.clone(),
        roles: caller.roles,
        serial: vec![1],
        not_before: Clock::START,
        not_after: caller.certificate_ends,
        public_key_sha256: [0; 32],
        invitation: None,
        certificate: Vec::new(),
    }
}

pub fn name(text: &str) -> Name {
    Name::parse("name", text).expect("a name")
}

/// For the timers of feeds: a thread that polls them must have entered it.
pub fn runtime() -> tokio::runtime::Runtime {
    let built = tokio::runtime::Builder::new_current_thread().enable_time().build();
    built.expect("a runtime")
}

const TRUST_DOMAIN: &str = "test.clearinghouse";

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy_dir(&path, &target),
            false => drop(std::fs::copy(&path, &target).expect("a copy")),
        }
    }
}

fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

fn views_dir(dir: &Path) -> PathBuf {
    dir.join("views")
}

/// Without syncs, for speed: what these tests prove does not depend on power cuts. Little memory, for there are many.
pub fn log_options() -> Options {
    Options {
        cache_bytes: 1 << 20,
        ballast_bytes: 0,
        durability: Durability::SkipSync,
        ..Options::default()
    }
}

/// All tests of the hub can be run with bodies on disk alone: `CLEARINGHOUSE_BODY_CACHE=0`.
fn body_cache_bytes() -> usize {
    let given = std::env::var("CLEARINGHOUSE_BODY_CACHE").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(1 << 20)
}

fn open(log: Log, dir: &Path, clock: &Clock, how: How) -> (Hub, JoinHandle<()>) {
    Hub::open(log, options(dir, clock, how)).expect("the log can be folded")
}

fn options(dir: &Path, clock: &Clock, how: How) -> HubOptions {
    let log_path = log_dir(dir);
    let again = log_path.clone();
    HubOptions {
        authority: authority(),
        connections: ConnectionRegistry::new(ConnectionLimits::DEFAULT),
        cursor_key: CURSOR_KEY,
        clock: clock.function(),
        certificate_lifetime_secs: 86_400,
        recall: RecallRules::DEFAULT,
        warning_lists: WarningLists::default(),
        warning_lists_strict: false,
        limits: how.limits,
        retention: how.retention,
        log_dir: log_path,
        reopen: Box::new(move || Log::open(&again, log_options())),
        views_dir: views_dir(dir),
        views_durability: Durability::SkipSync,
        bodies: BodiesOptions {
            cache_bytes: how.body_cache_bytes,
        },
    }
}

/// What was asked for, of a hub whose one admin needs no second.
fn done<T>(asked: Asked<T>) -> T {
    match asked {
        Asked::Done(done) => done,
        Asked::Pending(_) => panic!("a change waits for a second admin"),
    }
}

/// One authority for all hubs of a test program: keys are slow to make.
fn authority() -> Authority {
    static DIR: OnceLock<TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let trust_domain = TRUST_DOMAIN.parse().expect("a trust domain");
        Authority::create(dir.path(), &trust_domain, "Test hub", Clock::START).expect("an authority");
        dir
    });
    Authority::open(dir.path()).expect("the authority opens")
}
