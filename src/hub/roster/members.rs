//! Changes of members and groups that admins ask for. Each becomes one event; `rules` and `approval` decide what becomes of it.

use super::approval::Asked;
use super::{GroupCard, MemberCard, rules};
use crate::domain::id::{GroupId, MemberId};
use crate::domain::indicator::Text;
use crate::domain::member::{MemberKind, Name, Standing};
use crate::hub::error::HubError;
use crate::hub::{Caller, Hub, new_id};
use crate::log::entry::Event;

impl Hub {
    /// Admits a member.
    pub async fn add_member(
        &self,
        caller: &Caller,
        name: Name,
        kind: MemberKind,
    ) -> Result<Asked<MemberCard>, HubError> {
        let member = MemberId(new_id());
        self.ask_of_member(caller, member, Event::MemberAdmitted { member, name, kind })
            .await
    }

    /// Gives a member another name. One that was removed may be renamed too, which frees its name.
    pub async fn rename_member(
        &self,
        caller: &Caller,
        member: MemberId,
        name: Name,
    ) -> Result<Asked<MemberCard>, HubError> {
        self.ask_of_member(caller, member, Event::MemberRenamed { member, name })
            .await
    }

    /// Suspends, resumes or removes a member. Removal is for good.
    pub async fn change_standing(
        &self,
        caller: &Caller,
        member: MemberId,
        standing: Standing,
        reason: Text<500>,
    ) -> Result<Asked<MemberCard>, HubError> {
        if member == caller.member && standing != Standing::Active {
            return Err(rules::conflict("id", "is your own member: nobody locks themselves out"));
        }
        let reason = reason.as_str().to_owned();
        let event = Event::MemberStandingChanged {
            member,
            standing,
            reason,
        };
        self.ask_of_member(caller, member, event).await
    }

    /// Makes a group without members.
    pub async fn create_group(&self, caller: &Caller, name: Name) -> Result<Asked<GroupCard>, HubError> {
        let group = GroupId(new_id());
        self.ask_of_group(caller, group, Event::GroupCreated { group, name })
            .await
    }

    /// Puts a member into a group: it sees what the group already holds.
    pub async fn add_to_group(
        &self,
        caller: &Caller,
        group: GroupId,
        member: MemberId,
    ) -> Result<Asked<GroupCard>, HubError> {
        self.ask_of_group(caller, group, Event::GroupMemberAdded { group, member })
            .await
    }

    /// Takes a member out of a group: what it saw by the group alone leaves its mirrors.
    pub async fn remove_from_group(
        &self,
        caller: &Caller,
        group: GroupId,
        member: MemberId,
    ) -> Result<Asked<GroupCard>, HubError> {
        self.ask_of_group(caller, group, Event::GroupMemberRemoved { group, member })
            .await
    }

    async fn ask_of_member(
        &self,
        caller: &Caller,
        member: MemberId,
        event: Event,
    ) -> Result<Asked<MemberCard>, HubError> {
        Ok(match self.ask(caller, event).await? {
            Some(pending) => Asked::Pending(pending),
            None => Asked::Done(self.member(member)?),
        })
    }

    async fn ask_of_group(&self, caller: &Caller, group: GroupId, event: Event) -> Result<Asked<GroupCard>, HubError> {
        Ok(match self.ask(caller, event).await? {
            Some(pending) => Asked::Pending(pending),
            None => Asked::Done(self.group(group)?),
        })
    }
}
