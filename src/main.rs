#![allow(missing_docs)]
fn main() {
    println!("{}", thawline::rng::Draws::new(0, "", 0, "").uniform());
}
