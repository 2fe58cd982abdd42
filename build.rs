//! Where the program may be loaded is not known before it is. On Linux what has to be adjusted then is listed in a form that
//! takes a few pages instead of hundreds, which all have to be read at each start and stay in memory.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
