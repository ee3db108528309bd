//! Members and groups by name or id. Owns the search for what a person meant; refuses to guess: an unknown name fails and lists
//! the near ones.

use super::connection::{Connection, call};
use super::failure::Failure;
use super::output::plain;
use crate::grpc::wire;

/// Names nearer than this (Jaro-Winkler) are offered. 0.7 catches slips and word order, and leaves strangers out.
const NEAR_MIN: f64 = 0.7;
/// Most near names offered.
const NEAR_NAMES_MAX: usize = 3;

/// The members and groups that the agent may know of.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    members: Vec<wire::Member>,
    groups: Vec<wire::Group>,
    own_member_id: String,
}

impl Directory {
    /// The members.
    pub async fn of_members(connection: &Connection) -> Result<Directory, Failure> {
        let response = connection
            .membership()
            .list_members(call(wire::ListMembersRequest {}))
            .await;
        let wire::ListMembersResponse { members, own_member_id } =
            response.map_err(|status| connection.failure(status))?.into_inner();
        Ok(Directory {
            members,
            groups: Vec::new(),
            own_member_id,
        })
    }

    /// The members, and the groups that the agent sees.
    pub async fn of_all(connection: &Connection) -> Result<Directory, Failure> {
        let mut directory = Directory::of_members(connection).await?;
        let response = connection
            .membership()
            .list_groups(call(wire::ListGroupsRequest {}))
            .await;
        directory.groups = response
            .map_err(|status| connection.failure(status))?
            .into_inner()
            .groups;
        Ok(directory)
    }

    /// All members.
    pub fn members(&self) -> &[wire::Member] {
        &self.members
    }

    /// All groups that were asked for.
    pub fn groups(&self) -> &[wire::Group] {
        &self.groups
    }

    /// The agent's own member.
    pub fn own_member_id(&self) -> &str {
        &self.own_member_id
    }

    /// The id of a member given by name or id.
    pub fn member_id(&self, text: &str) -> Result<String, Failure> {
        find(
            "member",
            text,
            self.members
                .iter()
                .map(|member| (member.name.as_str(), member.id.as_str())),
        )
    }

    /// The id of a group given by name or id.
    pub fn group_id(&self, text: &str) -> Result<String, Failure> {
        find(
            "group",
            text,
            self.groups.iter().map(|group| (group.name.as_str(), group.id.as_str())),
        )
    }

    /// The name of a member, or its id where it has none here.
    pub fn member_name<'a>(&'a self, id: &'a str) -> &'a str {
        self.member(id).map_or(id, |member| member.name.as_str())
    }

    /// The member with that id.
    pub fn member(&self, id: &str) -> Option<&wire::Member> {
        self.members.iter().find(|member| member.id == id)
    }
}

/// Names are unique ignoring case, and a name may look like an id: an id that exists wins.
fn find<'a>(
    what: &str,
    text: &str,
    known: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> Result<String, Failure> {
    let wanted = text.to_lowercase();
    if let Some((_, id)) = known.clone().find(|(_, id)| **id == wanted) {
        return Ok(id.to_owned());
    }
    if let Some((_, id)) = known.clone().find(|(name, _)| name.to_lowercase() == wanted) {
        return Ok(id.to_owned());
    }
    let near = near(&wanted, known.map(|(name, _)| name));
    let hint = match near.is_empty() {
        true => format!("`clearinghouse {what} list` shows all"),
        false => format!("did you mean {}?", near.join(" or ")),
    };
    Err(Failure::Failed(format!("no {what} {:?}: {hint}", plain(text))))
}

fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let score = |name: &str| {
        let name = name.to_lowercase();
        match !wanted.is_empty() && name.contains(wanted) {
            true => 1.0,
            false => strsim::jaro_winkler(wanted, &name),
        }
    };
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| (score(name), name))
        .filter(|(score, _)| *score >= NEAR_MIN)
        .collect();
    scored.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| left.cmp(right)));
    scored.truncate(NEAR_NAMES_MAX);
    scored
        .into_iter()
        .map(|(_, name)| format!("{:?}", plain(name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190b8a2-7c3e-7def-8a12-3456789abcde";

    fn directory() -> Directory {
        let member = |id: &str, name: &str| wire::Member {
            id: id.into(),
            name: name.into(),
            ..Default::default()
        };
        Directory {
            members: vec![
                member(ID, "Agora Social"),
                member("m2", "Vox Video"),
                member("m3", "Office for Election Security"),
            ],
            groups: vec![wire::Group {
                id: "g1".into(),
                name: "Election 2026".into(),
                ..Default::default()
            }],
            own_member_id: ID.into(),
        }
    }

    #[test]
    fn members_are_found_by_name_in_any_case_and_by_id() {
        for (text, id) in [
            ("Agora Social", ID),
            ("agora social", ID),
            (ID, ID),
            (&ID.to_uppercase(), ID),
            ("VOX VIDEO", "m2"),
        ] {
            assert_eq!(directory().member_id(text).unwrap(), id);
        }
        assert_eq!(directory().group_id("election 2026").unwrap(), "g1");
    }

    #[test]
    fn an_unknown_name_lists_the_near_ones_and_is_never_guessed() {
        for (text, hint) in [
            (
                "Agora Socail",
                "no member \"Agora Socail\": did you mean \"Agora Social\"?",
            ),
            (
                "election",
                "no member \"election\": did you mean \"Office for Election Security\"?",
            ),
            ("zzz", "no member \"zzz\": `clearinghouse member list` shows all"),
            ("", "no member \"\": `clearinghouse member list` shows all"),
        ] {
            let failure = directory().member_id(text).unwrap_err();
            assert_eq!(failure.message().unwrap(), hint);
        }
        assert!(directory().group_id("Agora Social").is_err(), "a member is no group");
    }
}
