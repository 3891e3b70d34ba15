//! Generates the messages from the server's own protocol file.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = "../../serving/proto";
    println!("cargo::rerun-if-changed={proto}");
    let mut prost = tonic_prost_build::Config::new();
    prost.bytes(["."]);
    let descriptors = protox::compile(["inference.proto"], [proto])?;
    tonic_prost_build::configure()
        .build_client(false)
        .compile_fds_with_config(descriptors, prost)?;
    Ok(())
}
