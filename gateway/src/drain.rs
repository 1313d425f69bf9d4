//! Shutdown, after the public listener has stopped accepting: streams, queues, producers, then everything that the last
//! responses needed. Each step has a time limit.

use std::time::Duration;

use process::shutdown::finish;
use tokio::task::JoinHandle;

use crate::connect::Connections;
use crate::tasks::Tasks;

/// How long streams may take to close, beyond the time that connections had.
const STREAMS_MAX: Duration = Duration::from_secs(1);
/// How long batchers may take to empty their queues.
const QUEUES_MAX: Duration = Duration::from_secs(7);
/// How long the producers may take to deliver their messages.
const FLUSH_MAX: Duration = Duration::from_secs(3);
/// How long each of the last tasks may take to end.
const LAST_TASK_MAX: Duration = Duration::from_secs(1);

/// Ends the tasks in the order in which they are no longer needed.
pub async fn drain(connections: Connections, tasks: Tasks, admin_listener: JoinHandle<()>) {
    for task in tasks.live {
        finish("live updates", STREAMS_MAX, async { drop(task.await) }).await;
    }
    tasks.drain.cancel();
    tasks.batchers.close();
    finish("queues", QUEUES_MAX, tasks.batchers.wait()).await;

    let Connections { gateway, producer, command_producer, .. } = connections;
    let flush = move || command_producer.flush(FLUSH_MAX).and(producer.flush(FLUSH_MAX));
    if !matches!(tokio::task::spawn_blocking(flush).await, Ok(Ok(()))) {
        tracing::warn!("producer did not flush in time; the outbox still holds its batches");
    }

    tasks.stop.cancel();
    finish("admin listener", LAST_TASK_MAX, async { drop(admin_listener.await) }).await;
    for task in tasks.lease {
        finish("lease", LAST_TASK_MAX, async { drop(task.await) }).await;
    }
    gateway.redis.quit().await;
    tracing::info!("gateway has stopped");
}
