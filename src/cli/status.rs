//! `status`: the hub as this agent may see it. Exit code 1 when it does not accept writes, so that a timer can watch it.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::connection::{Context, call};
use super::failure::Failure;
use super::output::plain;
use super::{json, time};
use crate::grpc::wire;

/// Show the hub's health, its log and the certificates' ends
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  clearinghouse status --profile hub/admin --json\n\nExit code 1 if the hub accepts no writes."
)]
pub struct Status {}

impl Status {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let response = connection.queries().get_status(call(wire::GetStatusRequest {})).await;
        let status = response.map_err(|status| connection.failure(status))?.into_inner();
        let is_writable = status.writable;
        let value = as_json(connection.address(), &status);
        context
            .output
            .result(&value, || as_text(connection.address(), &status))?;
        if is_writable { Ok(()) } else { Err(Failure::Reported) }
    }
}

fn as_json(address: &str, status: &wire::GetStatusResponse) -> Value {
    let wire::GetStatusResponse {
        version,
        hub_name,
        log_size,
        log_root,
        writable,
        read_only_reason,
        server_certificate_expires_at,
        client_certificate_expires_at,
        feeds_open,
        disk_bytes,
        disk_free_bytes,
        recalls_open,
        recalls_overdue,
        entries_erased,
        erased_bytes,
    } = status;
    json!({
        "hub": address,
        "hub_name": hub_name,
        "version": version,
        "log_size": log_size,
        "log_root": json::hex(log_root),
        "writable": writable,
        "read_only_reason": read_only_reason,
        "server_certificate_expires_at": json::moment(server_certificate_expires_at),
        "client_certificate_expires_at": json::moment(client_certificate_expires_at),
        "feeds_open": feeds_open,
        "disk_bytes": disk_bytes,
        "disk_free_bytes": disk_free_bytes,
        "recalls_open": recalls_open,
        "recalls_overdue": recalls_overdue,
        "entries_erased": entries_erased,
        "erased_bytes": erased_bytes,
    })
}

fn as_text(address: &str, status: &wire::GetStatusResponse) -> String {
    let now = Timestamp::now();
    let ends = |moment: &Option<prost_types::Timestamp>| {
        let moment = moment.as_ref().and_then(time::from_wire);
        moment.map_or("unknown".to_owned(), |moment| time::distance(now, moment))
    };
    let health = match status.writable {
        true => "accepts writes".to_owned(),
        false => format!("READ-ONLY: {}", plain(&status.read_only_reason)),
    };
    let mut lines = vec![
        format!(
            "{} at {address}, version {}: {health}",
            plain(&status.hub_name),
            plain(&status.version)
        ),
        format!(
            "log      {} entries, root {}",
            status.log_size,
            json::hex(&status.log_root)
        ),
        format!("hub's certificate ends {}", ends(&status.server_certificate_expires_at)),
        format!("your certificate ends  {}", ends(&status.client_certificate_expires_at)),
    ];
    if status.recalls_open > 0 {
        lines.push(format!(
            "recalls  {} not confirmed by all holders, {} of them overdue",
            status.recalls_open, status.recalls_overdue
        ));
    }
    if status.entries_erased > 0 {
        lines.push(format!(
            "erased   {} entries; {} MiB came back since the start",
            status.entries_erased,
            status.erased_bytes >> 20
        ));
    }
    if status.disk_bytes > 0 {
        let mib = |bytes: u64| bytes >> 20;
        lines.push(format!(
            "disk     {} MiB used, {} MiB free",
            mib(status.disk_bytes),
            mib(status.disk_free_bytes)
        ));
        lines.push(format!("feeds    {} open", status.feeds_open));
    }
    lines.join("\n")
}
