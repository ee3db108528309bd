//! What happens in one world alone: the observer may not see it.

use clearinghouse::domain::member::Role;

use super::hub_support::waiting::wait;
use super::script::{Other, Secret, Shown, VALUES};
use super::world::{Held, World, wrap};

impl World<'_> {
    pub(super) fn secret(&mut self, secret: &Secret) {
        match secret {
            Secret::Publish {
                by,
                value,
                campaign,
                hidden,
                copies,
                request,
            } => {
                // The platform's public indicators must stay new ones.
                let campaign = if *by == Other::Platform { 2 } else { *campaign };
                for copy in 0..*copies {
                    let value = (value + copy) % VALUES.len();
                    let content = self.content(value, campaign, self.hidden_rules(*by as usize, *hidden));
                    let request = format!("request {}", request + copy);
                    let held = self.publish(*by as usize, &request, content, (value, campaign, false));
                    self.secret.extend(held);
                }
            }
            Secret::Revise { item, hidden } => {
                if let Some(at) = wrap(*item, self.secret.len()) {
                    let rules = self.hidden_rules(self.secret[at].owner, *hidden);
                    self.secret[at] = self.revise(self.secret[at], rules);
                }
            }
            Secret::Retract { item } => {
                if let Some(at) = wrap(*item, self.secret.len()) {
                    let held = self.secret.remove(at);
                    self.retract(held);
                }
            }
            Secret::ReviseLost { item, hidden } => {
                if let Some(at) = wrap(*item, self.lost.len()) {
                    let rules = self.hidden_rules(self.lost[at].owner, *hidden);
                    self.lost[at] = self.revise(self.lost[at], rules);
                }
            }
            // It stays in its place, so that both worlds count alike.
            Secret::RetractLost { item } => {
                if let Some(at) = wrap(*item, self.lost.len()) {
                    self.retract(self.lost[at]);
                }
            }
            Secret::Enrol { member } => {
                let roles = [Role::Subscriber].into_iter().collect();
                let member = self.others[*member as usize].member;
                self.agents += 1;
                let name = format!("agent-{}", self.agents);
                wait(self.stage.hub.enrol(member, &name, roles));
            }
            others => {
                self.secret_of_groups(others);
                self.secret_reaction(others);
            }
        }
    }

    fn secret_reaction(&mut self, secret: &Secret) {
        match secret {
            Secret::React {
                by,
                item,
                verdict,
                independent,
            } => {
                if let Some(at) = wrap(*item, self.secret.len()) {
                    self.react(by.number(), self.secret[at], *verdict, *independent, true);
                }
            }
            Secret::ReactToLost { by, item, verdict } => {
                if let Some(at) = wrap(*item, self.lost.len()) {
                    self.react(by.number(), self.lost[at], *verdict, true, true);
                }
            }
            Secret::ReactWithoutConsent {
                by,
                item,
                verdict,
                independent,
            } if self.observer_governs && *by == Other::Research => {
                let seen: Vec<Held> = self.shown.iter().chain(&self.own).copied().collect();
                if let Some(at) = wrap(*item, seen.len()) {
                    self.react(by.number(), seen[at], *verdict, *independent, false);
                }
            }
            // Nobody but in secret publishes for that campaign.
            Secret::Stream { by, what } => self.stream(by.number(), Some(2), *what),
            Secret::Busy { by } => self.keep_busy(by.number()),
            Secret::Cross { item } => {
                if let Some(at) = wrap(*item, self.secret.len()) {
                    let agency = &self.others[Other::Government.number()];
                    drop(wait(self.hub().indicator(agency, self.secret[at].id)));
                }
            }
            _ => {}
        }
    }

    fn secret_of_groups(&mut self, secret: &Secret) {
        match secret {
            Secret::NewGroup { member } => {
                let name = format!("Secret {} {}", self.number, self.secret_groups.len());
                let group = wait(self.stage.hub.group(&name, &[self.others[*member as usize].member]));
                self.secret_groups.push(group);
            }
            Secret::LeaveGroup { group, member } => {
                let at = 1 + group;
                if let Some(group) = self.secret_groups.get(at) {
                    let hub = &self.stage.hub;
                    let member = self.others[*member as usize].member;
                    wait(hub.hub().remove_from_group(hub.admin(), *group, member)).expect("a member leaves");
                }
            }
            Secret::PublishToLeftGroup { value } if self.left => {
                let content = self.content(*value, 2, self.shown_rules(Shown::ByGroup));
                let held = self.publish(1, "", content, (*value, 2, true));
                self.secret.extend(held);
            }
            Secret::RetractInLeftGroup { item } if self.left => {
                let in_group: Vec<Held> = self.lost.iter().filter(|held| held.by_group).copied().collect();
                if let Some(at) = wrap(*item, in_group.len()) {
                    self.retract(in_group[at]);
                }
            }
            _ => {}
        }
    }
}
