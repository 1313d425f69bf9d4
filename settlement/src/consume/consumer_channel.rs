//! What the consumer's thread and the settle loop say to each other.

use std::sync::mpsc::{Receiver, Sender};

use crate::consume::decoded_record::DecodedRecord;

/// From the settle loop.
#[derive(Debug)]
pub enum ConsumerCommand {
    /// Go on from these offsets.
    Place {
        /// The assignment that they are for.
        generation: u64,
        /// Partition and next offset.
        positions: Vec<(i32, i64)>,
    },
    /// Forget everything, and ask for positions again.
    Restart {
        /// Unless that has happened meanwhile.
        generation: u64,
    },
    /// For Kafka's information.
    Settled {
        /// Which partition.
        partition: i32,
        /// What comes next.
        next_offset: i64,
    },
}

/// To the settle loop.
#[derive(Debug)]
pub enum ConsumerEvent {
    /// A new assignment, or the same one to begin anew.
    Assigned {
        /// Its number.
        generation: u64,
        /// All that is owned now.
        partitions: Vec<i32>,
    },
    /// Records, gathered by partition, in order.
    Batch {
        /// The assignment under which they were read.
        generation: u64,
        /// Partition and records.
        parts: Vec<(i32, Vec<DecodedRecord>)>,
    },
}

/// Where the settle loop sends its commands.
#[derive(Clone)]
pub struct ConsumerCommands(Sender<ConsumerCommand>);

impl ConsumerCommands {
    /// Never blocks. A consumer that has ended does not mind.
    pub fn send(&self, command: ConsumerCommand) {
        let _ = self.0.send(command);
    }
}

/// Both ends of the way of commands.
pub fn commands() -> (ConsumerCommands, Receiver<ConsumerCommand>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    (ConsumerCommands(sender), receiver)
}
