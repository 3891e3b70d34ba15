//! The program `aimodel-serving`.

fn main() {}
