//! One stream's view of its order: first what has happened, then what happens, each change once and in
//! order, until the last one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use contract::ids::OrderId;
use contract::problem::Code;
use tokio::sync::mpsc;

use super::change::{Change, EventId};
use super::registry::{Over, Registration, Registry, count_ends};

/// Follows one order.
pub(crate) struct Follower {
    registration: Registration,
    /// Read from the history, not told yet.
    behind: VecDeque<Arc<Change>>,
    changes: mpsc::Receiver<Arc<Change>>,
    /// The newest that was told, or that the reader has seen before.
    told: Option<EventId>,
    /// The state that was told last is one after which nothing follows by itself.
    at_final: bool,
    over: Option<Over>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A change.
    Change(Arc<Change>),
    /// Nothing any more.
    Over(Over),
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
        let follower =
            Self { registration, behind: VecDeque::new(), changes, told: None, at_final: false, over: None };
        registry.wait_until_read(wait_max).await?;
        Ok(follower)
    }

    /// Begins with the order's history, read after the registration: with what lies behind the event that
    /// the reader has seen, or with the newest.
    pub(super) fn begin(&mut self, mut history: Vec<Change>, seen: Option<EventId>) {
        let Some(last) = history.last() else { return };
        let (last_id, last_seq, is_final) = (last.id, last.id.map(|id| id.seq), last.status.is_final());
        match seen {
            None => drop(history.drain(..history.len() - 1)),
            Some(seen) => {
                history.retain(|change| change.id.is_some_and(|id| id.seq > seen.seq));
                // An id from beyond the newest was never told: what happens next is told.
                self.told = if Some(seen.seq) > last_seq { last_id } else { Some(seen) };
            }
        }
        if is_final && history.is_empty() {
            self.told = last_id;
            self.over = Some(Over::Final);
        }
        self.behind = history.into_iter().map(Arc::new).collect();
    }

    /// Begins with a state that is not settled.
    pub(super) fn begin_unsettled(&mut self, change: Change) {
        self.behind.push_back(Arc::new(change));
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// From where the reader resumes.
    pub(super) fn resume_from(&self) -> Option<EventId> {
        self.told
    }

    /// A number that differs from stream to stream, so that many that end at once do not return at once.
    pub(super) fn spread(&self) -> u64 {
        self.registration.order().0.as_u128() as u64
    }

    /// The next change, or the end.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        loop {
            if let Some(over) = self.over {
                return Poll::Ready(Next::Over(over));
            }
            let change = match self.behind.pop_front() {
                Some(change) => Some(change),
                None => {
                    self.behind = VecDeque::new(); // its memory is needed once
                    match self.changes.poll_recv(context) {
                        Poll::Ready(change) => change,
                        // A delivered order may have been returned since; nothing more comes of itself.
                        Poll::Pending if self.at_final => {
                            count_ends(Over::Final, 1);
                            self.over = Some(Over::Final);
                            continue;
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
            };
            let Some(change) = change else {
                let cut_off = self.registration.registry.why_cut_off();
                self.over = Some(if self.at_final { Over::Final } else { cut_off });
                continue;
            };
            if let Some(id) = change.id {
                if self.told.is_some_and(|told| id.seq <= told.seq) {
                    continue; // the topic tells at least once, and the history had it too
                }
                self.told = Some(id);
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
        registry.set_read(true);
        Follower::register(registry, order(), std::time::Duration::from_secs(1)).await.unwrap()
    }

    /// The sequences that come now, and how it ends where it does.
    fn now(follower: &mut Follower) -> (Vec<i64>, Option<Over>) {
        let mut context = Context::from_waker(Waker::noop());
        let mut seqs = vec![];
        loop {
            match follower.poll_next(&mut context) {
                Poll::Ready(Next::Change(change)) => seqs.push(change.id.map_or(0, |id| id.seq)),
                Poll::Ready(Next::Over(over)) => return (seqs, Some(over)),
                Poll::Pending => return (seqs, None),
            }
        }
    }

    #[tokio::test]
    async fn history_and_changes_that_overlap_are_told_once_and_in_order() {
        let registry = Registry::new(10);
        let (mut new, mut resumed) = (follower(&registry).await, follower(&registry).await);
        // Published between the registration and the reading of the history, which has it too.
        for seq in [3, 5] {
            registry.tell(&Arc::new(created(seq)));
        }
        let history = || [1, 3, 5].map(created).to_vec();
        new.begin(history(), None);
        resumed.begin(history(), Some(EventId { partition: 1, seq: 1 }));
        for seq in [3, 5, 8, 8, 7] {
            registry.tell(&Arc::new(created(seq))); // at least once, and again after a restart of the publisher
        }
        assert_eq!(now(&mut new), (vec![5, 8], None));
        assert_eq!(now(&mut resumed), (vec![3, 5, 8], None));
        registry.tell(&Arc::new(change(9, OrderStatus::Cancelled)));
        assert_eq!(now(&mut new), (vec![9], Some(Over::Final)));
        registry.tell(&Arc::new(created(10)));
        assert_eq!(now(&mut new), (vec![], Some(Over::Final)));
        assert_eq!(new.resume_from(), Some(EventId { partition: 1, seq: 9 }));
    }

    #[tokio::test]
    async fn who_has_seen_the_end_is_told_nothing() {
        let registry = Registry::new(10);
        let history = || vec![created(1), change(4, OrderStatus::Cancelled)];
        for (seen, told) in [(None, vec![4]), (Some(1), vec![4]), (Some(4), vec![]), (Some(5), vec![])] {
            let mut follower = follower(&registry).await;
            follower.begin(history(), seen.map(|seq| EventId { partition: 1, seq }));
            assert_eq!(follower.is_over(), told.is_empty());
            assert_eq!(now(&mut follower), (told, Some(Over::Final)));
        }
    }

    #[tokio::test]
    async fn who_names_an_event_that_never_was_is_told_what_happens_next() {
        let registry = Registry::new(10);
        let mut follower = follower(&registry).await;
        follower.begin(vec![created(1)], Some(EventId { partition: 1, seq: 1000 }));
        registry.tell(&Arc::new(created(2)));
        assert_eq!(now(&mut follower), (vec![2], None));
    }

    #[tokio::test]
    async fn what_follows_a_final_state_is_told_where_it_has_happened_already() {
        let registry = Registry::new(10);
        let mut follower = follower(&registry).await;
        let returned =
            [(1, OrderStatus::InTransit), (2, OrderStatus::Delivered), (3, OrderStatus::RefundRequested)];
        follower.begin(
            returned.map(|(seq, status)| change(seq, status)).to_vec(),
            Some(EventId { partition: 1, seq: 1 }),
        );
        assert_eq!(now(&mut follower), (vec![2, 3], None));
        registry.tell(&Arc::new(change(4, OrderStatus::Refunded)));
        assert_eq!(now(&mut follower), (vec![4], Some(Over::Final)));
    }

    #[tokio::test]
    async fn who_does_not_take_what_comes_is_cut_off_alone_and_knows_where_to_resume() {
        let registry = Registry::new(10);
        let (mut slow, mut quick) = (follower(&registry).await, follower(&registry).await);
        for seq in 1..=40 {
            registry.tell(&Arc::new(created(seq)));
            assert_eq!(now(&mut quick), (vec![seq], None));
        }
        let (seqs, over) = now(&mut slow);
        assert_eq!((seqs.len(), over), (16, Some(Over::Behind)));
        assert_eq!(slow.resume_from(), Some(EventId { partition: 1, seq: 16 }));
        assert!(registry.is_followed(&order()));
        drop((slow, quick));
        assert!(!registry.is_followed(&order()), "nothing is kept of who has left");
    }

    #[tokio::test]
    async fn places_are_limited_and_none_is_given_once_the_gateway_stops() {
        let registry = Registry::new(2);
        let (mut first, second) = (follower(&registry).await, follower(&registry).await);
        let wait = std::time::Duration::from_secs(1);
        assert_eq!(Follower::register(&registry, order(), wait).await.err(), Some(Code::Overloaded));
        drop(second);
        drop(follower(&registry).await);
        registry.close();
        assert_eq!(poll_fn(|context| first.poll_next(context)).await, Next::Over(Over::Stopping));
        assert_eq!(Follower::register(&registry, order(), wait).await.err(), Some(Code::Overloaded));
    }

    #[tokio::test]
    async fn a_stream_begins_only_once_the_topic_is_read() {
        let registry = Registry::new(2);
        let wait = std::time::Duration::from_millis(10);
        assert_eq!(Follower::register(&registry, order(), wait).await.err(), Some(Code::LogUnavailable));
        assert!(!registry.is_followed(&order()));
    }
}
