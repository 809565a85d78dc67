//! The `sealwire` binary: everything is in the library.

/// Wipes memory when it is freed: copies of keys and values in the buffers of the AWS SDK, of its HTTP
/// client, of TLS and of sessions, which no type of our own could wipe. `docs/threat-model.md` tells the cost.
#[cfg(feature = "wipe-freed-memory")]
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> std::process::ExitCode {
    sealwire::cli::logging::start();
    sealwire::cli::main()
}
