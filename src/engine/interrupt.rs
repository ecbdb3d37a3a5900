//! Signals become messages: SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal is gone) end a run after the epoch, SIGQUIT at once.

use std::sync::mpsc::Sender;

use anyhow::Result;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    iterator::{Handle, Signals},
};

use super::pool::Message;

/// Sends a message for every signal until dropped.
pub struct Interrupts(Handle);

impl Interrupts {
    pub fn forward(to: Sender<Message>) -> Result<Interrupts> {
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
        let handle = signals.handle();
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let message = if signal == SIGQUIT { Message::Cancel } else { Message::Interrupt };
                if to.send(message).is_err() {
                    return;
                }
            }
        });
        Ok(Interrupts(handle))
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.0.close();
    }
}
