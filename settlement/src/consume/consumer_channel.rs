//! The messages between the consumer's thread and the settle loop.

use tokio::sync::mpsc;

use super::decoded_record::DecodedRecord;

/// A message from the settle loop to the consumer.
#[derive(Debug)]
pub enum ConsumerCommand {
    /// Fetch from these offsets.
    Seek {
        /// The generation of the assignment that the offsets are for.
        generation: u64,
        /// Each partition with its next offset.
        positions: Vec<(i32, i64)>,
    },
    /// Drop all gathered records and announce the assignment again, so that the settle loop reads the positions.
    Restart {
        /// The generation that failed. The consumer ignores the command if it has begun another one since.
        generation: u64,
    },
    /// Commit an offset to Kafka, for monitoring tools.
    Settled {
        /// The settled partition.
        partition: i32,
        /// The offset of the next record to settle.
        next_offset: i64,
    },
}

/// A message from the consumer to the settle loop.
#[derive(Debug)]
pub enum ConsumerEvent {
    /// A new assignment, or a restart of the same one.
    Assigned {
        /// The number of the assignment.
        generation: u64,
        /// All partitions that this process owns now.
        partitions: Vec<i32>,
    },
    /// A batch of records.
    Batch {
        /// The generation under which the records were read.
        generation: u64,
        /// Each partition with its records, in order.
        parts: Vec<(i32, Vec<DecodedRecord>)>,
    },
}

/// The capacity for commands. A batch sends one command per partition at most, and there are at most 1000
/// partitions, so that the settle loop does not wait for the consumer between the partitions of a batch.
const COMMANDS_MAX: usize = 1024;

/// The sender that the settle loop uses for its commands.
#[derive(Clone)]
pub struct ConsumerCommands(mpsc::Sender<ConsumerCommand>);

impl ConsumerCommands {
    /// Sends a command, and waits while the channel is full. This cannot deadlock: the consumer receives commands in
    /// every iteration of its loop, and it never waits for the settle loop. A command to a consumer that has ended
    /// is dropped.
    pub async fn send(&self, command: ConsumerCommand) {
        let _ = self.0.send(command).await;
    }
}

/// Creates the channel for commands.
pub fn commands() -> (ConsumerCommands, mpsc::Receiver<ConsumerCommand>) {
    let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
    (ConsumerCommands(sender), receiver)
}
