//! Compiles `proto/` with a protoc written in Rust: no system protoc is needed.

use std::error::Error;
use std::path::PathBuf;

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

const WIRE: [&str; 11] = [
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
    "proto/clearinghouse/storage/v1/entry.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
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
    let mut servers = tonic_prost_build::configure().build_client(false).out_dir(&server_out);
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
