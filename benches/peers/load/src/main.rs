//! A tonic server that does nothing, and clients that load it: the limit of what a hub on the same stack can do. Credentials are
//! those of a hub's directory and profile, so that both sides do the same cryptography.

mod client;
mod server;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The limit: bare tonic over mutual TLS
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
    /// Serve; prints `listening on https://HOST:PORT` once it accepts
    Serve {
        /// Directory of a hub, whose server certificate and authority are used
        #[arg(long)]
        dir: PathBuf,
    },
    /// Load a server; prints one JSON object
    Load(client::Load),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(usize::from(cli.threads))
        .enable_all()
        .build()?;
    match cli.command {
        Command::Serve { dir } => runtime.block_on(server::serve(&dir)),
        Command::Load(load) => {
            // Spawned, so that the work is done by the runtime's threads and not by this one beside them.
            let line = runtime.block_on(runtime.spawn(load.run()))??;
            println!("{line}");
            Ok(())
        }
    }
}

/// Messages, clients and servers, as generated.
mod pb {
    tonic::include_proto!("echo");
}
