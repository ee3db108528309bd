//! Compiles `proto/` with a protoc written in Rust: no system protoc is needed. Besides, digests the sources that views are folded by.

use std::error::Error;
use std::path::{Path, PathBuf};

/// Responses that carry indicators, or an outcome for each of many items: the server writes their bytes itself (`grpc::encoded`).
const ENCODED_RESPONSES: [&str; 7] = [
    "PublishResponse",
    "PublishStreamResponse",
    "RetractResponse",
    "SubscribeResponse",
    "LookupResponse",
    "GetIndicatorResponse",
    "SearchIndicatorsResponse",
];

/// Requests whose items the server decodes one by one (`grpc::items`).
const REQUESTS_OF_ITEMS: [&str; 2] = ["PublishRequest", "PublishStreamRequest"];

const WIRE: [&str; 12] = [
    "proto/clearinghouse/v1/observable.proto",
    "proto/clearinghouse/v1/indicator.proto",
    "proto/clearinghouse/v1/member.proto",
    "proto/clearinghouse/v1/publish_service.proto",
    "proto/clearinghouse/v1/feed_service.proto",
    "proto/clearinghouse/v1/query_service.proto",
    "proto/clearinghouse/v1/membership_service.proto",
    "proto/clearinghouse/v1/assessment_service.proto",
    "proto/clearinghouse/v1/recall_service.proto",
    "proto/clearinghouse/v1/disclosure_service.proto",
    "proto/clearinghouse/v1/erasure_service.proto",
    "proto/clearinghouse/storage/v1/entry.proto",
];

/// What decides which views a log is folded into, and how they are kept in a snapshot.
const SOURCES_OF_VIEWS: [&str; 6] = [
    "Cargo.lock",
    "proto/clearinghouse/storage",
    "src/domain",
    "src/hub/views",
    "src/log/bodies",
    "src/log/entry",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut digest = Fnv1a::default();
    for path in SOURCES_OF_VIEWS {
        println!("cargo:rerun-if-changed={path}");
        digest.add_tree(Path::new(path))?;
    }
    println!("cargo:rustc-env=CLEARINGHOUSE_VIEWS={}", digest.0);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut files = WIRE.to_vec();
    files.push("proto/clearinghouse/storage/v1/indicator.proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(&files)?;
    let descriptors = compiler.file_descriptor_set();
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    // Messages and clients, and the servers whose responses need no care.
    tonic_prost_build::configure()
        .build_server(false)
        .bytes(".clearinghouse.storage.v1")
        .compile_fds(descriptors.clone())?;

    // Servers, in a pass of their own: the messages are those of the first pass.
    let server_out = out.join("server");
    std::fs::create_dir_all(&server_out)?;
    let mut servers = tonic_prost_build::configure()
        .build_client(false)
        .codec_path("crate::grpc::codec::SmallBuffers")
        .out_dir(&server_out);
    for response in ENCODED_RESPONSES {
        servers = servers.extern_path(format!(".clearinghouse.v1.{response}"), "crate::grpc::encoded::Encoded");
    }
    for request in REQUESTS_OF_ITEMS {
        servers = servers.extern_path(format!(".clearinghouse.v1.{request}"), "crate::grpc::items::Items");
    }
    servers
        .extern_path(".clearinghouse.v1", "crate::grpc::wire")
        .compile_fds(descriptors)?;
    Ok(())
}

/// The hash of Fowler, Noll and Vo, in 64 bits: it has to notice changes, not enemies.
struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Fnv1a {
        Fnv1a(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn add_tree(&mut self, path: &Path) -> Result<(), Box<dyn Error>> {
        if path.is_dir() {
            let mut inner: Vec<PathBuf> = std::fs::read_dir(path)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<_, _>>()?;
            inner.sort();
            return inner.iter().try_for_each(|path| self.add_tree(path));
        }
        self.add(path.to_string_lossy().as_bytes());
        self.add(&std::fs::read(path)?);
        Ok(())
    }
}
