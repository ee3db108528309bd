//! `enroll`, `renew` and `rotate`: an agent's key is made here and never leaves; the hub certifies it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::connection::{Connection, Context, Credentials, call, canonical_address};
use super::enrolment_key::EnrolmentKey;
use super::failure::Failure;
use super::json;
use super::output::plain;
use super::profile::{self, Pair, Profile, Settings};
use crate::grpc::wire;
use crate::pki::{self, InvitationToken, KeyAndCsr, TOKEN_CHARS_MAX};

/// Make a key here, have it certified with an invitation's token, and write a profile
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  clearinghouse enroll --hub hub.example:7443 --ca ca.pem --token-file token --out profiles/feed\n\n\
An attempt that was cut short is simply made again: its key waits beside DIR, and the token still opens for that key."
)]
pub struct Enroll {
    /// The hub's authority certificate (PEM), received by a channel that you trust
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The file with the token; `-` reads stdin
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// The directory of the new profile, which must be empty or not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Replace this agent's key and certificate with new ones
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  clearinghouse renew --profile profiles/feed\n\n\
Run it from a timer: a certificate that has ended cannot be renewed, only replaced by a new invitation. The old one stays valid\n\
until it ends; `rotate` ends it at once.")]
pub struct Renew {}

/// Replace this agent's key and certificate, and end the old ones at once
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  clearinghouse rotate --profile profiles/feed\n\n\
For a key that others may have seen. Whatever still runs with the old one is cut off within a second. If this command was cut\n\
short, run it again.")]
pub struct Rotate {}

impl Enroll {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let Some(hub) = &context.hub else {
            return Err(Failure::Usage(
                "--hub HOST:PORT is required: where is the hub?".to_owned(),
            ));
        };
        let hub = canonical_address(hub)?;
        let token = read_token(&self.token_file)?;
        let authority_pem = fs::read_to_string(&self.ca).map_err(|error| Failure::of(self.ca.display(), error))?;
        // Before the token is spent: a profile that cannot be written would waste it.
        profile::check_free(&self.out)?;
        let key = EnrolmentKey::take_up_or_make(&self.out)?;
        let (profile, expires_at) = enroll(&hub, &token, &authority_pem, &self.out, &key.fresh).await?;
        profile.create()?;
        key.discard();
        let Settings {
            hub,
            member,
            member_name,
            agent,
        } = &profile.settings;
        let value = json!({
            "profile": self.out.display().to_string(),
            "hub": hub,
            "member": {"id": member, "name": member_name},
            "agent": agent,
            "expires": json::moment(&expires_at),
        });
        context.output.result(&value, || {
            let expires = json::moment(&expires_at);
            format!(
                "enrolled {} of {} until {}: profile {}",
                plain(agent),
                plain(member_name),
                expires.as_str().unwrap_or("?"),
                self.out.display()
            )
        })
    }
}

/// Enrols that key. Nothing is written here.
pub async fn enroll(
    hub: &str,
    token: &InvitationToken,
    authority_pem: &str,
    out: &Path,
    key: &KeyAndCsr,
) -> Result<(Profile, Option<prost_types::Timestamp>), Failure> {
    let credentials = Credentials {
        hub,
        certificate_pem: token.certificate_pem(),
        key_pem: token.key_pem(),
        authority_pem,
    };
    let connection = Connection::open(&credentials).await?;
    let response = connection
        .enrolment()
        .enroll(call(wire::EnrollRequest {
            csr_pem: key.csr_pem.clone(),
        }))
        .await;
    let wire::EnrollResponse {
        certificate_chain_pem,
        ca_pem,
        member,
        agent,
        expires_at,
    } = response.map_err(|status| connection.failure(status))?.into_inner();
    let (member, agent) = (member.unwrap_or_default(), agent.unwrap_or_default());
    let settings = Settings {
        hub: connection.address().to_owned(),
        member: member.id,
        member_name: member.name,
        agent: agent.name,
    };
    let pair = Pair {
        key_pem: key.key_pem.clone(),
        certificate_pem: certificate_chain_pem,
    };
    // The hub's own word counts, where it gives one: it may be moving to a new authority.
    let authority_pem = if ca_pem.is_empty() {
        authority_pem.to_owned()
    } else {
        ca_pem
    };
    Ok((Profile::new(out, settings, pair, authority_pem), expires_at))
}

impl Renew {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let expires = replace_pair(context).await?;
        let value = json!({"profile": context.profile_dir()?.display().to_string(), "expires": expires});
        context
            .output
            .result(&value, || format!("renewed until {}", expires.as_str().unwrap_or("?")))
    }
}

impl Rotate {
    /// Runs it. The new pair is on disk before the old one ends, so that a crash between them leaves a profile that works.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let expires = replace_pair(context).await?;
        let connection = Connection::open(&Credentials::of(&context.load_profile()?)).await?;
        let request = wire::EndOtherCertificatesRequest {};
        let response = connection.membership().end_other_certificates(call(request)).await;
        let wire::EndOtherCertificatesResponse { ended } =
            response.map_err(|status| connection.failure(status))?.into_inner();
        let profile = context.profile_dir()?.display().to_string();
        context
            .output
            .result(&json!({"profile": profile, "expires": expires, "ended": ended}), || {
                let expires = expires.as_str().unwrap_or("?");
                format!("rotated: a new key until {expires}; older certificates ended: {ended}")
            })
    }
}

/// Gets a certificate for a new key and stores both in the profile; says when it ends.
async fn replace_pair(context: &Context) -> Result<Value, Failure> {
    let profile = context.load_profile()?;
    let connection = Connection::open(&Credentials::of(&profile)).await?;
    let fresh = pki::new_key_and_csr().map_err(|error| Failure::of("cannot make a key", error))?;
    let request = wire::RenewCertificateRequest { csr_pem: fresh.csr_pem };
    let response = connection.membership().renew_certificate(call(request)).await;
    let wire::RenewCertificateResponse {
        certificate_chain_pem,
        expires_at,
    } = response.map_err(|status| connection.failure(status))?.into_inner();
    profile.replace_pair(&Pair {
        key_pem: fresh.key_pem,
        certificate_pem: certificate_chain_pem,
    })?;
    Ok(json::moment(&expires_at))
}

fn read_token(path: &Path) -> Result<InvitationToken, Failure> {
    let failed = |error| Failure::of(path.display(), error);
    let mut text = String::new();
    // One byte more than a token may have shows that there is more.
    let limit = TOKEN_CHARS_MAX as u64 + 2;
    match path == Path::new("-") {
        true => std::io::stdin().take(limit).read_to_string(&mut text),
        false => fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text)),
    }
    .map_err(failed)?;
    text.trim().parse().map_err(|error| Failure::of(path.display(), error))
}
