//! What the hub does: publishing, feeds, queries, membership. Everything that hands out an indicator hands out a
//! [`Release`](crate::domain::policy::Release). This room knows no wire format, and above it nobody knows the log.

mod bodies;
mod disk;
pub mod error;
mod folding;
mod given;
mod locked;

mod outcome;
mod queue;
mod sequencer;
mod snapshot;
mod staged;
mod turns;
mod views;
mod writing;

mod guard;

pub mod assess;
pub mod erase;
pub mod publish;
pub mod quota;
pub mod roster;

mod acknowledge;
mod cursor;
pub mod digest;
pub mod disclosure;
pub mod feed;
pub mod query;
pub mod recall;
mod retract;
pub mod subscription;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::agent::AgentName;
use crate::domain::id::{IndicatorId, InvitationId, MemberId, Timestamp};
use crate::domain::indicator::State;
use crate::domain::member::{Role, Roles, Standing};
use crate::domain::warning::WarningLists;
use crate::log::bodies::{BodiesOptions, BodyNumber, BodyReader};
use crate::log::entry::{Actor, DecodeError, Entry, Event};
use crate::log::{Durability, Head, Log, ReadError};
use crate::pki::{Authority, ConnectionRegistry, Identity, PeerCertificate};

use cursor::Sealer;
use erase::{LogHandles, Retention};
use error::HubError;
use feed::alike::CommonBatches;
use locked::{Held, LockedViews};
use quota::Quotas;
use recall::RecallRules;
use sequencer::{Sequencer, Verdict};
use snapshot::Snapshots;
use subscription::Streams;
use turns::Turns;
use views::Views;

pub use cursor::KEY_LEN as CURSOR_KEY_LEN;
pub use disk::Disk;
pub use folding::Folding;
pub use snapshot::Kept as KeptSnapshot;
#[doc(hidden)]
pub use snapshot::{Making, NotMade, Step};
pub use views::erasures::Fault as ErasureFault;

/// The hub. Cheap to clone; all clones are one hub.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    sequencer: Sequencer,
}

/// What the hub is made with, besides its log.
pub struct HubOptions {
    /// Issues certificates.
    pub authority: Authority,
    /// Live connections, to be cut when rights end.
    pub connections: ConnectionRegistry,
    /// Seals cursors.
    pub cursor_key: [u8; CURSOR_KEY_LEN],
    /// The clock: microseconds since 1970.
    pub clock: fn() -> Timestamp,
    /// Lifetime of agents' certificates, in seconds.
    pub certificate_lifetime_secs: u32,
    /// Values that are on many reports by mistake.
    pub warning_lists: WarningLists,
    /// Whether a publication that hits a warning list is refused instead of flagged.
    pub warning_lists_strict: bool,
    /// When taking back is too slow, or too much at once.
    pub recall: RecallRules,
    /// What one member may take of the hub.
    pub limits: quota::Limits,
    /// How long what is over is kept.
    pub retention: Retention,
    /// Where the log lies, to tell how full the disk is.
    pub log_dir: PathBuf,
    /// Opens the log anew, after it stopped for want of space.
    pub reopen: Reopen,
    /// Where the hub keeps what it makes from the log and can make again.
    pub views_dir: PathBuf,
    /// Whether that is to survive a power cut. Without, more of it may have to be made again.
    pub views_durability: Durability,
    /// The limits of the store of bodies.
    pub bodies: BodiesOptions,
}

/// Opens the log anew.
pub type Reopen = Box<dyn FnMut() -> Result<Log, crate::log::OpenError> + Send>;

pub(crate) struct Shared {
    views: LockedViews,
    bodies: BodyReader,
    reads_in_flight: AtomicU32,
    head: watch::Sender<u32>,
    log_head: RwLock<Head>,
    read_only: RwLock<Option<String>>,
    sealer: Sealer,
    authority: Authority,
    connections: ConnectionRegistry,
    clock: fn() -> Timestamp,
    certificate_lifetime_secs: u32,
    recall: RecallRules,
    quotas: Quotas,
    turns: Arc<Turns>,
    streams: Streams,
    common: CommonBatches,
    log_dir: PathBuf,
    views_dir: PathBuf,
    snapshots: Snapshots,
    log_handles: RwLock<LogHandles>,
    retention: Retention,
    erasure_ordered: Notify,
    bytes_returned: AtomicU64,
    /// Of entries that are erased, where the store has the bodies still.
    bodies_to_erase: Mutex<BTreeSet<BodyNumber>>,
    warning_lists: ArcSwap<WarningLists>,
    warning_lists_strict: bool,
    stopping: CancellationToken,
    server_certificate_ends: AtomicI64,
    feeds_open: AtomicU32,
    entries_folded: u64,
}

/// Why a log cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log could not be read.
    #[error("the log cannot be read: {0}")]
    Read(#[from] ReadError),
    /// An entry is of a newer format, or of none.
    #[error("entry {seq} cannot be decoded: {reason}")]
    Decode {
        /// Its position.
        seq: u64,
        /// Why.
        reason: DecodeError,
    },
    /// What is erased is not what the log says.
    #[error("the log is damaged: {0}")]
    Erasure(#[from] ErasureFault),
    /// The sequencer's thread could not be started.
    #[error("the sequencer cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// An agent whose right to call was checked for this request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its member.
    pub member: MemberId,
    /// Its name within the member.
    pub agent: AgentName,
    /// What it may do.
    pub roles: Roles,
    /// When its certificate ends.
    pub certificate_ends: Timestamp,
}

impl Caller {
    /// Refuses a caller without `role`.
    pub fn require(&self, role: Role) -> Result<(), HubError> {
        let reason = match role {
            Role::Publisher => "the agent lacks the role publisher",
            Role::Subscriber => "the agent lacks the role subscriber",
            Role::Admin => "the agent lacks the role admin",
        };
        self.roles.has(role).then_some(()).ok_or(HubError::Denied(reason))
    }

    fn actor(&self) -> Option<Actor> {
        Some(Actor {
            member: self.member,
            agent: self.agent.clone(),
        })
    }
}

/// An indicator as its bytes go to a reader, without decoding.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Its id.
    pub id: IndicatorId,
    /// Its revision.
    pub revision: u32,
    /// Where it stands in its life.
    pub state: State,
    /// Encoded `clearinghouse.v1.Indicator` without audience and state.
    pub body: Bytes,
    /// What the owner's view adds; only for a release that [`is_own`](crate::domain::policy::Release::is_own).
    pub owner_suffix: Bytes,
}

/// The hub's condition.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The hub's name.
    pub hub_name: String,
    /// Size, root and chain of the log.
    pub log: Head,
    /// Why no writes are accepted; none if they are.
    pub read_only: Option<String>,
}

impl Hub {
    /// Folds `log` and starts the sequencer. The thread ends, and closes the log, after [`Hub::close`].
    pub fn open(log: Log, options: HubOptions) -> Result<(Hub, std::thread::JoinHandle<()>), OpenError> {
        let (views_dir, durability) = (&options.views_dir, options.views_durability);
        let (snapshots, views) = Snapshots::fold(views_dir, durability, options.bodies, &log.reader())?;
        let head = log.head();
        let HubOptions {
            authority,
            connections,
            cursor_key,
            clock,
            certificate_lifetime_secs,
            warning_lists,
            warning_lists_strict,
            recall,
            limits,
            retention,
            log_dir,
            reopen,
            views_dir,
            views_durability: _,
            bodies: _,
        } = options;
        let shared = Arc::new(Shared {
            head: watch::channel(views.indicators.ordinal()).0,
            bodies: views.indicators.bodies(),
            reads_in_flight: AtomicU32::default(),
            views: LockedViews::new(views),
            log_head: RwLock::new(head),
            read_only: RwLock::new(None),
            sealer: Sealer::new(&cursor_key),
            authority,
            connections,
            clock,
            certificate_lifetime_secs,
            recall,
            quotas: Quotas::new(limits),
            turns: Turns::of_this_machine(),
            streams: Streams::default(),
            common: CommonBatches::default(),
            log_dir,
            views_dir,
            log_handles: RwLock::new(LogHandles::of(&log)),
            retention,
            erasure_ordered: Notify::new(),
            bytes_returned: AtomicU64::default(),
            bodies_to_erase: Mutex::default(),
            warning_lists: ArcSwap::from_pointee(warning_lists),
            warning_lists_strict,
            stopping: CancellationToken::new(),
            server_certificate_ends: AtomicI64::default(),
            feeds_open: AtomicU32::default(),
            entries_folded: head.size - snapshots.kept().map_or(0, |kept| kept.entries),
            snapshots,
        });
        let (sequencer, thread) = Sequencer::start(log, reopen, shared.clone())?;
        let hub = Hub { shared, sequencer };
        hub.detach_crashed();
        Ok((hub, thread))
    }

    /// The agent behind a certificate, if it may call now: a member that is active, an agent that is not revoked, a certificate
    /// that was issued and has not ended. Asked on every request, so that a change acts on open connections.
    pub fn authenticate(&self, certificate: &PeerCertificate) -> Result<Caller, HubError> {
        let Identity::Agent { member, agent } = &certificate.identity else {
            return Err(HubError::Denied(
                "an invitation's certificate opens the enrolment service only",
            ));
        };
        let views = self.shared.read();
        let unknown = HubError::Unauthenticated("the certificate belongs to no agent of this hub");
        let member = views.roster.member(*member).ok_or(unknown.clone())?;
        match member.viewer().standing {
            Standing::Active => {}
            Standing::Suspended => return Err(HubError::Unauthenticated("the member is suspended")),
            Standing::Removed => return Err(HubError::Unauthenticated("the member was removed")),
        }
        let record = member.agents.get(agent).ok_or(unknown)?;
        if record.revoked_at.is_some() {
            return Err(HubError::Unauthenticated("the agent was revoked"));
        }
        let serial = certificate.serial.as_bytes();
        let issued = record.certificates.iter().find(|issued| issued.serial == serial);
        let issued = issued.ok_or(HubError::Unauthenticated("the certificate was replaced or revoked"))?;
        if issued.not_after <= self.now() {
            return Err(HubError::Unauthenticated("the certificate has ended; enrol again"));
        }
        Ok(Caller {
            member: member.id,
            agent: agent.clone(),
            roles: record.roles,
            certificate_ends: issued.not_after,
        })
    }

    /// The invitation behind a certificate.
    pub fn authenticate_invitation(&self, certificate: &PeerCertificate) -> Result<InvitationId, HubError> {
        match &certificate.identity {
            Identity::Invitation(invitation) => Ok(*invitation),
            Identity::Agent { .. } => Err(HubError::Denied("enrolment needs an invitation's certificate")),
        }
    }

    /// Lets time pass: ends the embargoes and validities that are due, and tries a log that stopped for want of space. To be called at least once a second.
    pub async fn tick(&self) -> Result<(), HubError> {
        if self.condition().read_only.is_some() {
            self.sequencer.revive();
        }
        let now = self.now();
        if self.shared.read().indicators.next_due().is_none_or(|due| due > now) {
            return Ok(());
        }
        let entry = Entry {
            at: now,
            actor: None,
            event: Event::ClockTicked { now },
        };
        self.sequencer
            .propose(move |_, staged| {
                if !staged.alone() {
                    return Ok(Verdict::AfterOthers);
                }
                staged.push(entry.clone());
                Ok(Verdict::answer(()))
            })
            .await
    }

    /// How the hub is.
    pub fn condition(&self) -> Condition {
        Condition {
            hub_name: self.shared.read().hub_name.clone(),
            log: *self
                .shared
                .log_head
                .read()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
            read_only: self
                .shared
                .read_only
                .read()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .clone(),
        }
    }

    /// Indicators ever published, for metrics.
    pub fn indicators_published(&self) -> usize {
        self.shared.read().indicators.len()
    }

    /// How many entries the start had to fold: those that were in no snapshot.
    pub fn entries_folded(&self) -> u64 {
        self.shared.entries_folded
    }

    /// Feeds open now.
    pub fn feeds_open(&self) -> u32 {
        self.shared.feeds_open.load(Ordering::Relaxed)
    }

    /// When the server's certificate ends.
    pub fn server_certificate_ends(&self) -> Timestamp {
        Timestamp(self.shared.server_certificate_ends.load(Ordering::Relaxed))
    }

    /// Told by whoever reads the certificates.
    pub fn set_server_certificate_ends(&self, ends: Timestamp) {
        self.shared.server_certificate_ends.store(ends.0, Ordering::Relaxed);
    }

    /// How full the disk is. Looks at the files: not for a hot path.
    pub fn disk(&self) -> Disk {
        Disk::look(&self.shared.log_dir)
    }

    /// Puts other warning lists in the place of the present ones.
    pub fn set_warning_lists(&self, lists: WarningLists) {
        self.shared.warning_lists.store(Arc::new(lists));
    }

    /// Ends all feeds, so that connections can drain. What is in flight may still be written.
    pub fn end_feeds(&self) {
        self.shared.stopping.cancel();
    }

    /// Writes what is waiting, closes the log, and refuses all further changes.
    pub fn close(&self) {
        self.sequencer.stop();
    }

    /// The hub's clock.
    pub fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }
}

/// A new UUIDv7: the millisecond, then randomness alone. The counter that is usual within a millisecond would tell a member how
/// many ids others were given between two of its own.
fn new_id() -> Uuid {
    let (secs, nanos) = uuid::Timestamp::now(uuid::NoContext).to_unix();
    // The thread's generator is cryptographic and seeded by the system; asking the system for each id costs more than the id.
    let random: [u8; 10] = rand::random();
    uuid::Builder::from_unix_timestamp_millis(secs * 1_000 + u64::from(nanos / 1_000_000), &random).into_uuid()
}

impl Shared {
    fn read(&self) -> Held<RwLockReadGuard<'_, Views>> {
        self.views.read()
    }

    fn write(&self) -> Held<RwLockWriteGuard<'_, Views>> {
        self.views.write()
    }

    /// What is left here after a crash is found again by the fold of the next start.
    fn bodies_to_erase(&self) -> MutexGuard<'_, BTreeSet<BodyNumber>> {
        self.bodies_to_erase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_handles(&self) -> LogHandles {
        let handles = self.log_handles.read();
        handles.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether something is to be erased, or is being.
    fn is_erasing(&self, views: &Views) -> bool {
        !views.erasures.due().is_empty() || !self.bodies_to_erase().is_empty()
    }

    fn set_read_only(&self, reason: Option<String>) {
        *self.read_only.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = reason;
    }

    /// Tells everybody who waits that entries are durable and applied, and cuts the connections of those who lost their rights.
    fn after_write<'a>(&self, head: Head, ordinal: u32, entries: impl Iterator<Item = &'a Entry>) {
        *self.log_head.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = head;
        self.head.send_replace(ordinal);
        for entry in entries {
            match &entry.event {
                Event::OtherCertificatesEnded { member, agent, kept } => {
                    self.connections.cancel_other_certificates(*member, agent, kept);
                }
                Event::AgentRevoked { member, agent, .. } => {
                    self.connections.cancel_agent(*member, agent);
                }
                Event::MemberStandingChanged { member, standing, .. } if *standing != Standing::Active => {
                    self.connections.cancel_member(*member);
                }
                Event::ErasureOrdered { .. } => self.erasure_ordered.notify_one(),
                _ => {}
            }
        }
    }
}
