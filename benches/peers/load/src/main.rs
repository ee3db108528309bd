//! Loads the peers that the hub is held against, and serves the bare tonic echo that is the limit of a hub on the same stack. The
//! credentials are those of a hub's directory and profile, so that all sides do the same cryptography.

mod measure;
mod peer;
mod values;

mod drive;

mod echo_client;
mod echo_server;

mod etcd;
mod nats;
mod postgres;
mod redis;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use drive::Mode;
use peer::Access;

/// Load a peer; prints one JSON object
#[derive(Parser)]
struct Cli {
    /// Threads of the runtime
    #[arg(long, global = true, default_value = "2", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the limit
    Serve {
        /// Directory of a hub, whose server certificate and authority are used
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        port: u16,
    },
    /// Load the limit: bare tonic over mutual TLS
    Echo(echo_client::Load),
    Etcd(Load),
    Nats(Load),
    Postgres(Load),
    Redis(Load),
}

#[derive(Args)]
struct Load {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    mode: Mode,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    // Some clients take the process's provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(usize::from(cli.threads))
        .enable_all()
        .build()?;
    // Spawned, so that the work is done by the runtime's threads and not by this one beside them.
    let running = match cli.command {
        Command::Serve { dir, port } => return runtime.block_on(echo_server::serve(&dir, port)),
        Command::Echo(load) => runtime.spawn(load.run()),
        Command::Etcd(Load { access, mode }) => runtime.spawn(drive::run::<etcd::Etcd>(access, mode)),
        Command::Nats(Load { access, mode }) => runtime.spawn(drive::run::<nats::Nats>(access, mode)),
        Command::Postgres(Load { access, mode }) => runtime.spawn(drive::run::<postgres::Postgres>(access, mode)),
        Command::Redis(Load { access, mode }) => runtime.spawn(drive::run::<redis::Redis>(access, mode)),
    };
    println!("{}", runtime.block_on(running)??);
    Ok(())
}

/// Messages, clients and servers of the limit, as generated.
mod pb {
    tonic::include_proto!("echo");
}
