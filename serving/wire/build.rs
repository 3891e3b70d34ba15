//! Generates the protocol's Rust code and its descriptor set from `proto/`, without protoc.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let proto = "../proto";
    println!("cargo::rerun-if-changed={proto}");
    let descriptors = protox::compile(["inference.proto"], [proto])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("inference.bin"), descriptors.encode_to_vec())?;

    let mut prost = tonic_prost_build::Config::new();
    prost.bytes(["."]);
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds_with_config(descriptors, prost)?;
    Ok(())
}
