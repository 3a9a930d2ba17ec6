//! The process, under the names that Prometheus' own libraries give these numbers. Only Linux tells
//! them.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;

#[derive(Debug)]
pub(super) struct Process;

#[cfg(not(target_os = "linux"))]
impl Collector for Process {
    fn encode(&self, _to: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
impl Collector for Process {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // Without /proc, as in some containers, there are no numbers.
        linux::Numbers::read().map_or(Ok(()), |numbers| numbers.encode(&mut to))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::super::site::gauge;
    use procfs::process::LimitValue;
    use procfs::{ProcResult, WithCurrentSystemInfo};
    use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
    use prometheus_client::metrics::MetricType;
    use prometheus_client::metrics::counter::ConstCounter;
    use std::fmt;

    pub(super) struct Numbers {
        cpu_seconds: f64,
        start_seconds: f64,
        resident_bytes: u64,
        virtual_bytes: u64,
        open_files: usize,
        open_files_max: u64,
        threads: i64,
    }

    impl Numbers {
        #[expect(clippy::cast_precision_loss, reason = "seconds, not ticks, are what is asked for")]
        pub(super) fn read() -> ProcResult<Self> {
            let process = procfs::process::Process::myself()?;
            let stat = process.stat()?;
            let ticks = procfs::ticks_per_second() as f64;
            let open_files_max = match process.limits()?.max_open_files.soft_limit {
                LimitValue::Value(most) => most,
                LimitValue::Unlimited => u64::MAX,
            };
            Ok(Self {
                cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
                start_seconds: procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks,
                resident_bytes: stat.rss_bytes().get(),
                virtual_bytes: stat.vsize,
                open_files: process.fd_count()?,
                open_files_max,
                threads: stat.num_threads,
            })
        }

        pub(super) fn encode(&self, to: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
            let cpu = "process_cpu_seconds";
            let help = "User and system time.";
            let cpu = to.encode_descriptor(cpu, help, None, MetricType::Counter)?;
            ConstCounter::new(self.cpu_seconds).encode(cpu)?;
            gauge(
                to,
                "process_start_time_seconds",
                "When the process started, since the epoch.",
                self.start_seconds,
            )?;
            gauge(
                to,
                "process_resident_memory_bytes",
                "Memory that is resident.",
                self.resident_bytes,
            )?;
            gauge(
                to,
                "process_virtual_memory_bytes",
                "Memory that is mapped.",
                self.virtual_bytes,
            )?;
            gauge(to, "process_open_fds", "Open files and sockets.", self.open_files)?;
            gauge(
                to,
                "process_max_fds",
                "Files and sockets that may be open.",
                self.open_files_max,
            )?;
            gauge(to, "process_threads", "Threads.", self.threads)
        }
    }
}
