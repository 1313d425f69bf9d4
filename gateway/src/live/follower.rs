//! One stream's sequence of changes: first the history of its order, then the live changes, each exactly once and in
//! order, until the final one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use contract::ids::OrderId;
use contract::problem::Code;
use tokio::sync::mpsc;

use super::change::{Change, EventId};
use super::registry::{Registration, Registry, StreamEnd, count_ends};

/// The source of one stream's changes.
pub(crate) struct Follower {
    registration: Registration,
    /// Changes from the history that have not been sent yet.
    history: VecDeque<Arc<Change>>,
    changes: mpsc::Receiver<Arc<Change>>,
    /// The newest event that was sent, or that the client had received before.
    last_sent: Option<EventId>,
    /// Whether the status that was sent last is final, so that no further change follows automatically.
    at_final: bool,
    end: Option<StreamEnd>,
}

/// The next element of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A change of the order.
    Change(Arc<Change>),
    /// The end of the stream.
    End(StreamEnd),
}

impl Follower {
    /// Registers a stream of an order, and waits until the topic is read: everything published after this returns
    /// reaches the stream.
    pub(super) async fn register(
        registry: &Arc<Registry>,
        order: OrderId,
        wait_max: Duration,
    ) -> Result<Self, Code> {
        let (registration, changes) = registry.register(order)?;
        let follower = Self {
            registration,
            history: VecDeque::new(),
            changes,
            last_sent: None,
            at_final: false,
            end: None,
        };
        registry.wait_until_consuming(wait_max).await?;
        Ok(follower)
    }

    /// Starts with the order's history, which is read after the registration: with the changes after the last event
    /// that the client has received, or with the newest change.
    pub(super) fn begin(&mut self, mut history: Vec<Change>, last_received: Option<EventId>) {
        let Some(last) = history.last() else { return };
        let (last_id, last_seq, is_final) = (last.id, last.id.map(|id| id.seq), last.status.is_final());
        match last_received {
            None => drop(history.drain(..history.len() - 1)),
            Some(received) => {
                history.retain(|change| change.id.is_some_and(|id| id.seq > received.seq));
                // An ID after the newest event was never sent: the next change is sent.
                self.last_sent = if Some(received.seq) > last_seq { last_id } else { Some(received) };
            }
        }
        if is_final && history.is_empty() {
            self.last_sent = last_id;
            self.end = Some(StreamEnd::Final);
        }
        self.history = history.into_iter().map(Arc::new).collect();
    }

    /// Starts with a status that is not settled.
    pub(super) fn begin_unsettled(&mut self, change: Change) {
        self.history.push_back(Arc::new(change));
    }

    /// Returns whether the stream has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Returns the event from which the client can resume.
    pub(super) fn resume_from(&self) -> Option<EventId> {
        self.last_sent
    }

    /// Returns a number that differs between streams, as jitter: many streams that end at the same time do not
    /// reconnect at the same time.
    pub(super) fn jitter(&self) -> u64 {
        self.registration.order().0.as_u128() as u64
    }

    /// Polls for the next change or the end of the stream.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        loop {
            if let Some(end) = self.end {
                return Poll::Ready(Next::End(end));
            }
            let change = match self.history.pop_front() {
                Some(change) => Some(change),
                None => {
                    self.history = VecDeque::new(); // frees the memory
                    match self.changes.poll_recv(context) {
                        Poll::Ready(change) => change,
                        // A delivered order may have been returned since, which the queue would contain. No other
                        // change follows automatically.
                        Poll::Pending if self.at_final => {
                            count_ends(StreamEnd::Final, 1);
                            self.end = Some(StreamEnd::Final);
                            continue;
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
            };
            let Some(change) = change else {
                let reason = self.registration.registry.disconnect_reason();
                self.end = Some(if self.at_final { StreamEnd::Final } else { reason });
                continue;
            };
            if let Some(id) = change.id {
                if self.last_sent.is_some_and(|last| id.seq <= last.seq) {
                    continue; // the topic delivers at least once, and the history may contain the event, too
                }
                self.last_sent = Some(id);
                self.at_final = change.status.is_final();
            }
            return Poll::Ready(Next::Change(change));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use contract::lifecycle::OrderStatus;
    use contract::timestamp::Timestamp;

    use super::*;

    fn order() -> OrderId {
        "019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9".parse().unwrap()
    }

    fn change(seq: i64, status: OrderStatus) -> Change {
        let id = Some(EventId { partition: 1, seq });
        Change { order_id: order(), id, status, cancel_reason: None, at: Timestamp(seq as u64) }
    }

    fn created(seq: i64) -> Change {
        change(seq, OrderStatus::Created)
    }

    async fn follower(registry: &Arc<Registry>) -> Follower {
        registry.set_consuming(true);
        Follower::register(registry, order(), std::time::Duration::from_secs(1)).await.unwrap()
    }

    /// Returns the sequences that are available drain, and the end if it is reached.
    fn drain(follower: &mut Follower) -> (Vec<i64>, Option<StreamEnd>) {
        let mut context = Context::from_waker(Waker::noop());
        let mut seqs = vec![];
        loop {
            match follower.poll_next(&mut context) {
                Poll::Ready(Next::Change(change)) => seqs.push(change.id.map_or(0, |id| id.seq)),
                Poll::Ready(Next::End(end)) => return (seqs, Some(end)),
                Poll::Pending => return (seqs, None),
            }
        }
    }

    #[tokio::test]
    async fn overlapping_history_and_changes_are_sent_once_and_in_order() {
        let registry = Registry::new(10);
        let (mut new, mut resumed) = (follower(&registry).await, follower(&registry).await);
        // Published between the registration and the query of the history, which contains it, too.
        for seq in [3, 5] {
            registry.publish(&Arc::new(created(seq)));
        }
        let history = || [1, 3, 5].map(created).to_vec();
        new.begin(history(), None);
        resumed.begin(history(), Some(EventId { partition: 1, seq: 1 }));
        for seq in [3, 5, 8, 8, 7] {
            registry.publish(&Arc::new(created(seq))); // delivered at least once, and again after a restart of the publisher
        }
        assert_eq!(drain(&mut new), (vec![5, 8], None));
        assert_eq!(drain(&mut resumed), (vec![3, 5, 8], None));
        registry.publish(&Arc::new(change(9, OrderStatus::Cancelled)));
        assert_eq!(drain(&mut new), (vec![9], Some(StreamEnd::Final)));
        registry.publish(&Arc::new(created(10)));
        assert_eq!(drain(&mut new), (vec![], Some(StreamEnd::Final)));
        assert_eq!(new.resume_from(), Some(EventId { partition: 1, seq: 9 }));
    }

    #[tokio::test]
    async fn a_client_that_has_received_the_final_event_gets_no_further_one() {
        let registry = Registry::new(10);
        let history = || vec![created(1), change(4, OrderStatus::Cancelled)];
        for (received, expected) in
            [(None, vec![4]), (Some(1), vec![4]), (Some(4), vec![]), (Some(5), vec![])]
        {
            let mut follower = follower(&registry).await;
            follower.begin(history(), received.map(|seq| EventId { partition: 1, seq }));
            assert_eq!(follower.has_ended(), expected.is_empty());
            assert_eq!(drain(&mut follower), (expected, Some(StreamEnd::Final)));
        }
    }

    #[tokio::test]
    async fn a_client_with_an_unknown_event_id_receives_the_next_change() {
        let registry = Registry::new(10);
        let mut follower = follower(&registry).await;
        follower.begin(vec![created(1)], Some(EventId { partition: 1, seq: 1000 }));
        registry.publish(&Arc::new(created(2)));
        assert_eq!(drain(&mut follower), (vec![2], None));
    }

    #[tokio::test]
    async fn changes_after_a_final_status_are_sent_if_they_have_already_happened() {
        let registry = Registry::new(10);
        let mut follower = follower(&registry).await;
        let returned =
            [(1, OrderStatus::InTransit), (2, OrderStatus::Delivered), (3, OrderStatus::RefundRequested)];
        follower.begin(
            returned.map(|(seq, status)| change(seq, status)).to_vec(),
            Some(EventId { partition: 1, seq: 1 }),
        );
        assert_eq!(drain(&mut follower), (vec![2, 3], None));
        registry.publish(&Arc::new(change(4, OrderStatus::Refunded)));
        assert_eq!(drain(&mut follower), (vec![4], Some(StreamEnd::Final)));
    }

    #[tokio::test]
    async fn a_slow_client_is_disconnected_alone_with_the_event_id_to_resume_from() {
        let registry = Registry::new(10);
        let (mut slow, mut quick) = (follower(&registry).await, follower(&registry).await);
        for seq in 1..=40 {
            registry.publish(&Arc::new(created(seq)));
            assert_eq!(drain(&mut quick), (vec![seq], None));
        }
        let (seqs, end) = drain(&mut slow);
        assert_eq!((seqs.len(), end), (16, Some(StreamEnd::Behind)));
        assert_eq!(slow.resume_from(), Some(EventId { partition: 1, seq: 16 }));
        assert!(registry.is_followed(&order()));
        drop((slow, quick));
        assert!(!registry.is_followed(&order()), "the registry keeps nothing of a closed stream");
    }

    #[tokio::test]
    async fn streams_are_limited_and_none_is_opened_after_shutdown_begins() {
        let registry = Registry::new(2);
        let (mut first, second) = (follower(&registry).await, follower(&registry).await);
        let wait = std::time::Duration::from_secs(1);
        assert_eq!(Follower::register(&registry, order(), wait).await.err(), Some(Code::Overloaded));
        drop(second);
        drop(follower(&registry).await);
        registry.close();
        assert_eq!(poll_fn(|context| first.poll_next(context)).await, Next::End(StreamEnd::Stopping));
        assert_eq!(Follower::register(&registry, order(), wait).await.err(), Some(Code::Overloaded));
    }

    #[tokio::test]
    async fn a_stream_opens_only_after_the_consumer_of_the_topic_has_started() {
        let registry = Registry::new(2);
        let wait = std::time::Duration::from_millis(10);
        assert_eq!(Follower::register(&registry, order(), wait).await.err(), Some(Code::LogUnavailable));
        assert!(!registry.is_followed(&order()));
    }
}
