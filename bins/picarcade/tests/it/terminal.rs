//! A terminal for a process to write to, and what it writes there.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;

use nix::pty::{Winsize, openpty};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The process's end, and the lines that come out of the other until everybody has left the terminal.
pub fn terminal() -> (OwnedFd, UnboundedReceiver<String>) {
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).unwrap();
    let (told, lines) = unbounded_channel();
    std::thread::spawn(move || {
        // It ends with an error, as terminals do.
        let written = BufReader::new(File::from(terminal.master)).lines().map_while(Result::ok);
        written.for_each(|line| drop(told.send(plain(&line))));
    });
    (terminal.slave, lines)
}

/// A line without what colours it.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.find(char::is_ascii_alphabetic);
        } else {
            text.push(letter);
        }
    }
    text.trim_end().to_owned()
}
