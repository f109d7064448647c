//! A terminal for a process to write to, and the lines that it writes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;

use nix::pty::{Winsize, openpty};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Returns the process's end, and the lines from the other end until no process has the terminal
/// open.
pub fn terminal() -> (OwnedFd, UnboundedReceiver<String>) {
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).unwrap();
    let (sender, lines) = unbounded_channel();
    std::thread::spawn(move || {
        // The read ends with an error, as terminals do.
        let written = BufReader::new(File::from(terminal.master)).lines().map_while(Result::ok);
        written.for_each(|line| drop(sender.send(plain(&line))));
    });
    (terminal.slave, lines)
}

/// Returns a line without its color codes.
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
