//! The hub under load: who it is, whether it may be loaded at all, and connections to it. Refuses a hub that is not on this
//! machine unless the user says that it is meant.

use std::net::IpAddr;
use std::path::Path;

use super::load::Load;
use super::meter::Server;
use super::thin::Client;
use crate::cli::connection::{Connection, Context, Credentials, canonical_address};
use crate::cli::failure::Failure;
use crate::cli::filter;
use crate::cli::names::Directory;
use crate::cli::profile::Profile;
use crate::grpc::wire;

/// A hub that may be loaded.
pub struct Target {
    profile: Profile,
    directory: Directory,
    server: Option<Server>,
}

impl Target {
    /// Checks that the hub may be loaded, finds its process, and asks for its groups and members.
    pub async fn of(context: &Context, server_pid: Option<u32>, any_hub: bool) -> Result<Target, Failure> {
        let profile = context.load_profile()?;
        let address = canonical_address(&profile.settings.hub)?;
        let port = loopback_port(&address);
        if port.is_none() && !any_hub {
            return Err(Failure::Usage(format!(
                "{address} is not on this machine: a bench fills a hub's log for ever; say --yes-this-hub if that is meant"
            )));
        }
        let server = match (server_pid, port) {
            (Some(pid), _) => Some(Server::of_pid(pid)?),
            (None, Some(port)) => Server::listening_on(port),
            (None, None) => None,
        };
        if server.is_none() {
            context.output.note(
                "the hub's process was not found: its processor time and memory are left out (--server-pid names it)",
            );
        }
        let connection = Connection::open(&Credentials::of(&profile)).await?;
        let directory = Directory::of_all(&connection).await?;
        Ok(Target {
            profile,
            directory,
            server,
        })
    }

    /// The hub's process.
    pub fn server(&self) -> Option<Server> {
        self.server
    }

    /// Where the profile lies.
    pub fn profile_dir(&self) -> &Path {
        self.profile.dir()
    }

    /// The drafts of `seed`; a part of them is for the publisher's groups, where it is in any.
    pub fn load(&self, seed: u64) -> Load {
        let own = self.directory.own_member_id();
        let joined = self
            .directory
            .groups()
            .iter()
            .filter(|group| group.member_ids.iter().any(|member| member == own));
        Load::new(seed, joined.map(|group| group.id.clone()).collect())
    }

    /// The filter that an expression means.
    pub fn filter(&self, expression: &str) -> Result<wire::Filter, Failure> {
        filter::read(Some(expression), &self.directory)
    }

    /// `clients` clients over `connections` connections of their own.
    pub async fn clients(&self, clients: usize, connections: usize) -> Result<Vec<Client>, Failure> {
        clients_of(&self.profile, &self.profile, clients, connections).await
    }

    /// Clients of another agent of the same hub.
    pub async fn clients_as(
        &self,
        other: &Profile,
        clients: usize,
        connections: usize,
    ) -> Result<Vec<Client>, Failure> {
        clients_of(other, &self.profile, clients, connections).await
    }
}

/// With the credentials of one profile and the address of another: an agent's own file may name an old port.
async fn clients_of(
    agent: &Profile,
    hub: &Profile,
    clients: usize,
    connections: usize,
) -> Result<Vec<Client>, Failure> {
    let credentials = Credentials {
        hub: &hub.settings.hub,
        ..Credentials::of(agent)
    };
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections.min(clients) {
        opened.push(Client::new(&Connection::open(&credentials).await?));
    }
    Ok(opened.iter().cycle().take(clients).cloned().collect())
}

/// The port, if the address is one of this machine's loopback interface.
fn loopback_port(address: &str) -> Option<u16> {
    let (host, port) = address.strip_prefix("https://")?.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    port.parse().ok().filter(|_| is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded_unasked() {
        for (address, expected) in [
            ("https://127.0.0.1:8443", Some(8443)),
            ("https://localhost:1", Some(1)),
            ("https://[::1]:8443", Some(8443)),
            ("https://127.8.8.8:8443", Some(8443)),
            ("https://192.0.2.1:8443", None),
            ("https://hub.example:8443", None),
            ("https://localhost.hub.example:8443", None),
            ("https://127.0.0.1.hub.example:8443", None),
            ("https://0.0.0.0:8443", None),
        ] {
            assert_eq!(loopback_port(address), expected, "{address}");
        }
    }
}
