//! Tells the linker to pack the addresses that are adjusted when the program starts.
//!
//! They are read once, all of them, and stay in memory as a megabyte of the file. Packed they are a fiftieth. The C library of the
//! machine has to know the packing: GNU's does since 2.36.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|have| have == value);
    let is_for_this_machine = env::var("HOST").ok() == env::var("TARGET").ok();
    if is_for_this_machine
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && c_library_unpacks()
    {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// `glibc 2.36`.
fn c_library_unpacks() -> bool {
    let Ok(told) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else { return false };
    let told = String::from_utf8_lossy(&told.stdout);
    let mut version =
        told.trim().trim_start_matches("glibc ").split('.').map_while(|part| part.parse::<u32>().ok());
    (version.next(), version.next()) >= (Some(2), Some(36))
}
