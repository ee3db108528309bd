//! The stage: a hub in this process, its members, and an enrolled connection for each. The same calls as the commands make.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::narrator::Narrator;
use super::script::{GROUP, MEMBERS, Place};
use crate::cli::connection::{Connection, Credentials, call};
use crate::cli::enroll::enroll;
use crate::cli::failure::Failure;
use crate::cli::names::Directory;
use crate::cli::profile::Profile;
use crate::cli::words;
use crate::config::{Config, Overrides};
use crate::domain::member::{MemberKind, Role};
use crate::grpc::wire;
use crate::pki;
use crate::serve::{self, InitRequest, ServeError};

/// A running hub with four enrolled members.
pub struct Stage {
    stop: Arc<Notify>,
    hub: JoinHandle<Result<(), ServeError>>,
    actors: Vec<Actor>,
    group_id: String,
}

/// A member, connected by its agent.
pub struct Actor {
    /// Its name.
    pub name: &'static str,
    /// Its id.
    pub id: String,
    /// Its agent's connection.
    pub connection: Connection,
    /// All members' names.
    pub directory: Directory,
}

impl Stage {
    /// Creates the hub, runs it, and admits the members.
    pub async fn open(dir: &Path, narrator: &Narrator) -> Result<Stage, Failure> {
        narrator
            .scene("A hub, and four members that do not fully trust each other")
            .await;
        let hub_dir = dir.join("hub");
        let request = InitRequest {
            dir: hub_dir.clone(),
            name: "Demo Exchange".to_owned(),
            hosts: Vec::new(),
        };
        tokio::task::block_in_place(|| serve::init(&request)).map_err(|error| Failure::Failed(error.to_string()))?;
        let (stop, hub, address) = start(&hub_dir).await?;
        narrator
            .tell(&format!(
                "the hub listens on https://{address}: TLS 1.3, client certificates required"
            ))
            .await;
        let opened = admit_all(dir, &hub_dir, address, narrator).await;
        let (actors, group_id) = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                stop.notify_one();
                // The first failure is the one to report.
                let _ = hub.await;
                return Err(failure);
            }
        };
        Ok(Stage {
            stop,
            hub,
            actors,
            group_id,
        })
    }

    /// The member at that place.
    pub fn actor(&self, place: Place) -> &Actor {
        &self.actors[place]
    }

    /// All members, in the order of the script.
    pub fn actors(&self) -> &[Actor] {
        &self.actors
    }

    /// The group's id.
    pub fn group_id(&self) -> &str {
        &self.group_id
    }

    /// Stops the hub as SIGTERM would.
    pub async fn close(self) -> Result<(), Failure> {
        drop(self.actors);
        self.stop.notify_one();
        match self.hub.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::of("the hub", error)),
            Err(error) => Err(Failure::of("the hub died", error)),
        }
    }
}

type Running = (Arc<Notify>, JoinHandle<Result<(), ServeError>>, SocketAddr);

async fn start(hub_dir: &Path) -> Result<Running, Failure> {
    let overrides = Overrides {
        listen: Some("127.0.0.1:0".to_owned()),
    };
    let config = Config::load(hub_dir, overrides).map_err(|error| Failure::Failed(error.to_string()))?;
    let (tell, told) = oneshot::channel();
    let stop = Arc::new(Notify::new());
    let asked = stop.clone();
    let hub = tokio::spawn(async move {
        let on_ready = |address| {
            // Whoever waited for it has given up.
            let _ = tell.send(address);
        };
        let never_reload = || -> serve::ReloadSignal { Box::pin(std::future::pending()) };
        serve::run(config, on_ready, never_reload, asked.notified()).await
    });
    match told.await {
        Ok(address) => Ok((stop, hub, address)),
        Err(_) => match hub.await {
            Ok(Err(error)) => Err(Failure::of("the hub did not start", error)),
            _ => Err(Failure::Failed("the hub did not start".to_owned())),
        },
    }
}

async fn admit_all(
    dir: &Path,
    hub_dir: &Path,
    address: SocketAddr,
    narrator: &Narrator,
) -> Result<(Vec<Actor>, String), Failure> {
    let admin_profile = Profile::load(&hub_dir.join("admin"))?;
    let admin = Connection::open(&Credentials::of(&admin_profile)).await?;
    let hub = format!("https://{address}");
    let group_id = create_group(&admin).await?;
    let mut actors = Vec::new();
    for (name, kind, agent) in MEMBERS {
        let id = add_member(&admin, name, kind).await?;
        let request = wire::AddGroupMemberRequest {
            group_id: group_id.clone(),
            member_id: id.clone(),
        };
        admin
            .membership()
            .add_group_member(call(request))
            .await
            .map_err(|status| admin.failure(status))?;
        let out = dir.join("profiles").join(agent);
        let connection = enrol(&admin, &hub, &id, agent, &admin_profile.authority_pem, out).await?;
        narrator
            .tell(&format!(
                "{name:<30} {:<10}  its key was made here and certified for a week",
                kind.name()
            ))
            .await;
        actors.push(Actor {
            name,
            id,
            connection,
            directory: Directory::default(),
        });
    }
    for actor in &mut actors {
        actor.directory = Directory::of_members(&actor.connection).await?;
    }
    narrator.tell(&format!("all four are in the group {GROUP}")).await;
    Ok((actors, group_id))
}

async fn create_group(admin: &Connection) -> Result<String, Failure> {
    let response = admin
        .membership()
        .create_group(call(wire::CreateGroupRequest { name: GROUP.to_owned() }))
        .await;
    let group = response.map_err(|status| admin.failure(status))?.into_inner().group;
    Ok(group.unwrap_or_default().id)
}

async fn add_member(admin: &Connection, name: &str, kind: MemberKind) -> Result<String, Failure> {
    let request = wire::AddMemberRequest {
        name: name.to_owned(),
        kind: words::number(&MemberKind::ALL, kind),
    };
    let response = admin.membership().add_member(call(request)).await;
    Ok(response
        .map_err(|status| admin.failure(status))?
        .into_inner()
        .member
        .unwrap_or_default()
        .id)
}

async fn enrol(
    admin: &Connection,
    hub: &str,
    member_id: &str,
    agent: &str,
    authority_pem: &str,
    out: PathBuf,
) -> Result<Connection, Failure> {
    let roles = [Role::Publisher, Role::Subscriber].map(|role| words::number(&Role::ALL, role));
    let request = wire::CreateInvitationRequest {
        member_id: member_id.to_owned(),
        agent: agent.to_owned(),
        roles: roles.to_vec(),
        lifetime_secs: 0,
    };
    let response = admin.membership().create_invitation(call(request)).await;
    let token = response.map_err(|status| admin.failure(status))?.into_inner().token;
    let token = token.parse().map_err(|error| Failure::of("the invitation", error))?;
    let key = pki::new_key_and_csr().map_err(|error| Failure::of("cannot make a key", error))?;
    let (profile, _) = enroll(hub, &token, authority_pem, &out, &key).await?;
    profile.create()?;
    Connection::open(&Credentials::of(&profile)).await
}
