//! What all tests use: two bases with typed events, and a notebook for what happened.

// Each test program uses its own part of this.
#![allow(dead_code, unreachable_pub)]

use std::sync::{Arc, Mutex};

use esp_event::{Event, EventBase, EventId};

pub static DOORS: EventBase = EventBase::new("DOORS");
pub static LAMPS: EventBase = EventBase::new("LAMPS");

pub const OPENED: EventId = EventId(0);
pub const CLOSED: EventId = EventId(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Opened,
    Closed,
}

impl Event for Door {
    const BASE: &'static EventBase = &DOORS;

    fn id(&self) -> EventId {
        match self {
            Self::Opened => OPENED,
            Self::Closed => CLOSED,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lamp(pub u32);

impl Event for Lamp {
    const BASE: &'static EventBase = &LAMPS;

    fn id(&self) -> EventId {
        EventId(0)
    }
}

/// What handlers write down.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    /// All notes since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Notes when it is dropped.
pub struct NoteOnDrop(pub Notes, pub &'static str);

impl Drop for NoteOnDrop {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}
