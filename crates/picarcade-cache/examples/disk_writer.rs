//! A process that changes a cache directory without end, to test what a kill leaves.
//!
//! `disk_writer DIRECTORY`: writes entry after entry, and removes every third one again. Prints the
//! number of each entry when its changes are on disk.
#![allow(clippy::print_stdout)]

use std::{env, io::Write, time::Duration};

use picarcade_cache::{DiskRemote, Key, KeyVersion, Remote};

const LIFETIME: Duration = Duration::from_secs(3600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = env::args().nth(1).ok_or("usage: disk_writer DIRECTORY")?;
    let disk = DiskRemote::open(directory, 64 << 20).await?;
    for number in 0_u64.. {
        let key = Key::builder("numbers", 1).part_u64(number).finish();
        let value = number.to_le_bytes().repeat(256);
        disk.write("numbers", &key, value.into(), LIFETIME, KeyVersion::NONE).await?;
        if number % 3 == 0 {
            disk.remove("numbers", &key, LIFETIME).await?;
        }
        println!("{number}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
