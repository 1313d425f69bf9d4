//! Supervision of the tasks and threads that a process needs. If one of them ends although the process does not stop, by
//! a panic or by a return, the process stops and reports an error: whatever starts processes starts it again. Otherwise
//! it would continue without a part of its work, and nothing would show it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The error of a process that stops because one of its tasks has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task `{0}` has ended unexpectedly")]
pub struct TaskEnded(pub &'static str);

/// Watches the tasks of a process. Clones watch for the same process.
#[derive(Debug, Clone)]
pub struct Supervisor {
    stop: CancellationToken,
    ended: Arc<Mutex<Option<TaskEnded>>>,
}

impl Supervisor {
    /// Creates the supervisor of the process that stops when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, ended: Arc::default() }
    }

    /// Returns a guard, to be kept for as long as a task or thread works.
    pub fn guard(&self, task: &'static str) -> TaskGuard {
        TaskGuard { task, supervisor: self.clone() }
    }

    /// Returns the work of a task, supervised.
    pub fn watch<F: Future<Output = ()>>(
        &self,
        task: &'static str,
        work: F,
    ) -> impl Future<Output = ()> + use<F> {
        let guard = self.guard(task);
        async move {
            work.await;
            drop(guard);
        }
    }

    /// Returns an error if a task ended before the process was to stop.
    pub fn result(&self) -> Result<(), TaskEnded> {
        self.ended.lock().clone().map_or(Ok(()), Err)
    }
}

/// Stops the process if it is dropped before the process is to stop.
#[derive(Debug)]
#[must_use = "the task is supervised for as long as the guard exists"]
pub struct TaskGuard {
    task: &'static str,
    supervisor: Supervisor,
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        if self.supervisor.stop.is_cancelled() {
            return;
        }
        let ended = TaskEnded(self.task);
        tracing::error!(task = self.task, "the process stops, because one of its tasks has ended");
        self.supervisor.ended.lock().get_or_insert(ended);
        self.supervisor.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_before_the_process_stops_it() {
        for panics in [false, true] {
            let stop = CancellationToken::new();
            let supervisor = Supervisor::new(stop.clone());
            let task = tokio::spawn(supervisor.watch("work", async move { assert!(!panics, "on purpose") }));
            assert_eq!(task.await.is_err(), panics);
            assert!(stop.is_cancelled());
            assert_eq!(supervisor.result(), Err(TaskEnded("work")));
        }
    }

    #[tokio::test]
    async fn tasks_that_end_when_the_process_stops_are_no_error() {
        let stop = CancellationToken::new();
        let supervisor = Supervisor::new(stop.clone());
        let ends = stop.clone();
        let task = tokio::spawn(supervisor.watch("work", async move { ends.cancelled().await }));
        stop.cancel();
        task.await.unwrap();
        assert_eq!(supervisor.result(), Ok(()));
    }
}
