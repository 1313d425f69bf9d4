//! Which files there are is read when the crate is compiled: a new one must compile it again.

fn main() {
    println!("cargo:rerun-if-changed=shop");
    println!("cargo:rerun-if-changed=operator");
}
