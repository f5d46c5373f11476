//! The stand-in as a process of its own, until its input ends: for trying things by hand, and for running the tests as they run against a real
//! server. `cargo run -p test-server --example serve -- sightline secret`, then `CLICKHOUSE_URL=… CLICKHOUSE_USER=sightline CLICKHOUSE_PASSWORD=secret`.

#![allow(clippy::print_stdout, reason = "a tool at the bench, which prints")]

use aggregator::engine::find_library;
use test_server::{Login, TestServer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let login = Login {
        user: words.next().unwrap_or_else(|| Login::default().user),
        password: words.next().unwrap_or_default(),
    };
    let folder = tempfile::tempdir()?;
    let server = TestServer::start_for(&find_library(None)?, folder.path(), login)?;
    println!("CLICKHOUSE_URL={}", server.url());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
