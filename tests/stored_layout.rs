//! A stored indicator is sent to readers as it lies, so the stored messages must have the layout of the wire's. When the two part
//! ways, this fails, and the hub must translate between them.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

const SHARED: [&str; 5] = ["Indicator", "Observable", "Handling", "Targets", "Evidence"];

fn message(package: &str, name: &str) -> DescriptorProto {
    let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    let set = FileDescriptorSet::decode(bytes.as_slice()).unwrap();
    let files = set.file.into_iter().filter(|file| file.package() == package);
    let mut found = files
        .flat_map(|file| file.message_type)
        .filter(|message| message.name() == name);
    found.next().unwrap_or_else(|| panic!("{package} has no {name}"))
}

/// Number to (name, label, how it is encoded). An enum and a uint32 are the same bytes; a message is known by its last name.
fn layout(message: &DescriptorProto) -> BTreeMap<i32, (String, i32, String)> {
    let encoding = |field: &prost_types::FieldDescriptorProto| match field.r#type() {
        Type::Enum | Type::Uint32 => "varint".to_owned(),
        Type::Message => field.type_name().rsplit('.').next().unwrap_or_default().to_owned(),
        other => other.as_str_name().to_owned(),
    };
    let field = |field: &prost_types::FieldDescriptorProto| {
        (
            field.number(),
            (field.name().to_owned(), field.label() as i32, encoding(field)),
        )
    };
    message.field.iter().map(field).collect()
}

#[test]
fn stored_messages_have_the_layout_of_the_wire() {
    for name in SHARED {
        let stored = layout(&message("clearinghouse.storage.v1", name));
        let wire = layout(&message("clearinghouse.v1", name));
        assert!(!wire.is_empty());
        assert_eq!(stored, wire, "{name}");
    }
}

#[test]
fn layouts_that_differ_are_told_apart() {
    assert_ne!(
        layout(&message("clearinghouse.v1", "Member")),
        layout(&message("clearinghouse.v1", "Group"))
    );
}
