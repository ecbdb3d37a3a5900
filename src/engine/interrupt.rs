//! Ctrl-C and SIGTERM become messages.

use std::sync::mpsc::Sender;

use anyhow::Result;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::{Handle, Signals},
};

/// Sends `make()` for every SIGINT and SIGTERM until dropped.
pub struct Interrupts(Handle);

impl Interrupts {
    pub fn forward<T: Send + 'static>(to: Sender<T>, make: fn() -> T) -> Result<Interrupts> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let handle = signals.handle();
        std::thread::spawn(move || {
            for _ in signals.forever() {
                if to.send(make()).is_err() {
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
