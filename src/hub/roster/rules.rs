//! What the roster allows: each change of membership against the present state. The same rules hold when a change is asked for
//! and when it is approved days later. Who may ask is not their business.

use crate::domain::id::{GroupId, MemberId, Timestamp};
use crate::domain::member::{Name, Role, Standing};
use crate::log::entry::Event;

use super::{AGENTS_PER_MEMBER_MAX, GROUPS_MAX, MEMBERS_MAX};
use crate::hub::Caller;
use crate::hub::error::HubError;
use crate::hub::views::Views;
use crate::hub::views::roster::{AgentRecord, GroupRecord, MemberRecord};

/// Whether a change waits for a second admin where there is one. What only takes rights away, and can be given back, acts at once.
pub(super) fn waits(event: &Event) -> bool {
    match event {
        Event::MemberStandingChanged { standing, .. } => *standing != Standing::Suspended,
        Event::AgentRevoked { .. } => false,
        _ => true,
    }
}

/// Whether `event` would change anything; an error where the present state forbids it.
pub(super) fn check(views: &Views, event: &Event, now: Timestamp) -> Result<bool, HubError> {
    match event {
        Event::MemberAdmitted { name, .. } => admission(views, name).map(|()| true),
        Event::MemberRenamed { member, name } => renaming(views, *member, name),
        Event::MemberStandingChanged { member, standing, .. } => standing_change(views, *member, *standing, now),
        Event::GroupCreated { name, .. } => creation(views, name).map(|()| true),
        Event::GroupMemberAdded { group, member } => {
            let there = self::group(views, *group)?.members.binary_search(member).is_ok();
            self::member(views, *member, "member_id")?;
            Ok(!there)
        }
        Event::GroupMemberRemoved { group, member } => {
            Ok(self::group(views, *group)?.members.binary_search(member).is_ok())
        }
        Event::InvitationMade { member, agent, .. } => {
            let record = self::member(views, *member, "member_id")?;
            let held = record.agents.get(agent);
            if held.is_some_and(|agent| agent.revoked_at.is_none()) {
                return Err(conflict("agent", "exists; revoke it first, or choose another name"));
            }
            if held.is_none() && record.agents.len() >= AGENTS_PER_MEMBER_MAX {
                return Err(conflict("agent", "is one too many for the member"));
            }
            Ok(true)
        }
        Event::ErasureOrdered { indicator, .. } => {
            let index = views.indicators.find(*indicator);
            let index = index.ok_or(HubError::NotFound { field: "indicator_id" })?;
            let is_erased = views.indicators.is_erased(index);
            Ok(!is_erased && !views.erasures.is_ordered(index))
        }
        _ => Err(conflict("change", "is no change of membership")),
    }
}

fn admission(views: &Views, name: &Name) -> Result<(), HubError> {
    free_for_member(views, name, None)?;
    match views.roster.members().count() >= MEMBERS_MAX {
        true => Err(conflict(
            "name",
            "finds no room: the hub has all the members that it can have",
        )),
        false => Ok(()),
    }
}

fn renaming(views: &Views, id: MemberId, name: &Name) -> Result<bool, HubError> {
    // A removed member may be renamed: that is how its name becomes free for another.
    let record = views.roster.member(id).ok_or(HubError::NotFound { field: "id" })?;
    free_for_member(views, name, Some(id))?;
    Ok(record.name != *name)
}

/// The name of a removed member stays taken: what it published is read under it, and nobody else may be taken for it.
fn free_for_member(views: &Views, name: &Name, own: Option<MemberId>) -> Result<(), HubError> {
    match views.roster.member_named(name) {
        Some(holder) if Some(holder.id) == own => Ok(()),
        Some(holder) if holder.viewer().standing == Standing::Removed => {
            let reason = "is that of a removed member, whose indicators are read under it; rename that member first";
            Err(conflict("name", reason))
        }
        Some(_) => Err(taken("name")),
        None => Ok(()),
    }
}

fn standing_change(views: &Views, id: MemberId, wanted: Standing, now: Timestamp) -> Result<bool, HubError> {
    let record = views.roster.member(id).ok_or(HubError::NotFound { field: "id" })?;
    match (record.viewer().standing, wanted) {
        (Standing::Removed, Standing::Removed) => return Ok(false),
        (Standing::Removed, _) => return Err(conflict("id", "was removed for good; admit it anew under another name")),
        (present, wanted) if present == wanted => return Ok(false),
        _ => {}
    }
    if wanted != Standing::Active && views.roster.admins(now).all(|(member, _)| member == id) {
        return Err(conflict("id", "has the last admins: enrol another first"));
    }
    Ok(true)
}

fn creation(views: &Views, name: &Name) -> Result<(), HubError> {
    let key = name.key();
    if views.roster.groups().any(|group| group.name.key() == key) {
        return Err(taken("name"));
    }
    match views.roster.groups().count() >= GROUPS_MAX {
        true => Err(conflict(
            "name",
            "finds no room: the hub has all the groups that it can have",
        )),
        false => Ok(()),
    }
}

/// A member that was not removed.
fn member<'a>(views: &'a Views, id: MemberId, field: &'static str) -> Result<&'a MemberRecord, HubError> {
    let record = views.roster.member(id);
    let record = record.filter(|record| record.viewer().standing != Standing::Removed);
    record.ok_or(HubError::NotFound { field })
}

fn group(views: &Views, id: GroupId) -> Result<&GroupRecord, HubError> {
    views.roster.group(id).ok_or(HubError::NotFound { field: "group_id" })
}

/// A member that takes part, or why it does not.
pub(in crate::hub) fn active(views: &Views, member: MemberId) -> Result<&MemberRecord, HubError> {
    let record = views.roster.member(member);
    let record = record.ok_or(HubError::Unauthenticated("the member is not known"))?;
    match record.viewer().standing {
        Standing::Active => Ok(record),
        Standing::Suspended => Err(HubError::Unauthenticated("the member is suspended")),
        Standing::Removed => Err(HubError::Unauthenticated("the member was removed")),
    }
}

/// The calling agent, if it still may act: it may have lost its rights while its request waited.
pub(super) fn acting<'a>(views: &'a Views, caller: &Caller) -> Result<&'a AgentRecord, HubError> {
    let agent = active(views, caller.member)?.agents.get(&caller.agent);
    let agent = agent.filter(|agent| agent.revoked_at.is_none());
    agent.ok_or(HubError::Unauthenticated("the agent was revoked"))
}

/// The calling agent, if it still is an admin.
pub(super) fn acting_admin(views: &Views, caller: &Caller) -> Result<(), HubError> {
    match acting(views, caller)?.roles.has(Role::Admin) {
        true => Ok(()),
        false => Err(HubError::Denied("the agent lacks the role admin")),
    }
}

fn taken(field: &'static str) -> HubError {
    conflict(field, "is taken (names that differ in letter case only are the same)")
}

pub(super) fn conflict(field: &'static str, reason: &str) -> HubError {
    HubError::Conflict {
        field,
        reason: reason.to_owned(),
    }
}
