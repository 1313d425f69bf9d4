//! The resource usage of the process, under the names of Prometheus' own client libraries, which most dashboards use.
//!
//! The crate `metrics-process` records the same values. It describes them itself, so they would be missing where all
//! other metrics come from their declarations: in the help texts, the registration and the reference.

use metrics::Gauge;
use procfs::process::Process;
use procfs::{ProcResult, WithCurrentSystemInfo};

crate::metrics! {
    // The type is a gauge, because a counter of the crate `metrics` counts whole numbers only.
    static CPU_SECONDS: Gauge = "process_cpu_seconds_total", "Processor time used since the start, in seconds.";
    static RESIDENT_BYTES: Gauge = "process_resident_memory_bytes", "Resident memory, in bytes.";
    static THREADS: Gauge = "process_threads", "Threads of the process.";
    static OPEN_FILES: Gauge = "process_open_fds", "Open file descriptors.";
    static OPEN_FILES_MAX: Gauge = "process_max_fds", "The limit of open file descriptors.";
    static STARTED_AT: Gauge = "process_start_time_seconds", "Start time of the process, in seconds since 1970.";
}

/// The gauges of the process, registered once.
pub struct ProcessMetrics {
    cpu_seconds: Gauge,
    resident_bytes: Gauge,
    threads: Gauge,
    open_files: Gauge,
    open_files_max: Gauge,
    started_at: Gauge,
}

impl Default for ProcessMetrics {
    fn default() -> Self {
        Self {
            cpu_seconds: CPU_SECONDS.handle(),
            resident_bytes: RESIDENT_BYTES.handle(),
            threads: THREADS.handle(),
            open_files: OPEN_FILES.handle(),
            open_files_max: OPEN_FILES_MAX.handle(),
            started_at: STARTED_AT.handle(),
        }
    }
}

impl ProcessMetrics {
    /// Sets the gauges. If `/proc` cannot be read, they keep their values: nothing depends on them.
    pub fn collect(&self) {
        if let Err(error) = self.try_collect() {
            tracing::debug!(%error, "cannot read process metrics from /proc");
        }
    }

    fn try_collect(&self) -> ProcResult<()> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        self.cpu_seconds.set((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64);
        self.resident_bytes.set(stat.rss_bytes().get() as f64);
        self.threads.set(stat.num_threads as f64);
        self.open_files.set(process.fd_count()? as f64);
        if let procfs::process::LimitValue::Value(most) = process.limits()?.max_open_files.soft_limit {
            self.open_files_max.set(most as f64);
        }
        let since_boot = stat.starttime as f64 / procfs::ticks_per_second() as f64;
        self.started_at.set(procfs::boot_time_secs()? as f64 + since_boot);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_reports_its_resource_usage() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || super::ProcessMetrics::default().collect());
        let text = recorder.handle().render();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.trim().parse().expect("a number")
        };
        assert!(value("process_resident_memory_bytes ") > 1e6, "{text}");
        assert!(value("process_open_fds ") >= 3.0);
        assert!(value("process_threads ") >= 1.0);
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64();
        let age = now - value("process_start_time_seconds ");
        assert!((-2.0..600.0).contains(&age), "started {age} s ago");
    }
}
