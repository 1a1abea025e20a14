//! The process: processors, preemptions, and resident memory.

use std::fs;

use crate::fault::{Fault, Outcome, first_line};

/// Pin this process to processors; threads that start later inherit the mask.
pub fn pin(cpus: &[usize]) -> Outcome<()> {
    let refused =
        |reason: String| Fault::input(format!("cannot run on the processors {cpus:?}: {reason}"));
    if cpus.is_empty() || cpus.iter().any(|cpu| *cpu >= libc::CPU_SETSIZE as usize) {
        return Err(refused(format!("expected numbers from 0 to {}", libc::CPU_SETSIZE - 1)));
    }
    // SAFETY: the mask is plain data for which zero is valid, and each number is within it.
    let result = unsafe {
        let mut mask: libc::cpu_set_t = std::mem::zeroed();
        for cpu in cpus {
            libc::CPU_SET(*cpu, &mut mask);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const mask)
    };
    if result == 0 { Ok(()) } else { Err(refused(first_line(std::io::Error::last_os_error()))) }
}

/// Return the number of involuntary context switches of this process.
pub fn preemptions() -> i64 {
    // SAFETY: getrusage fills the structure, for which zero is valid.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage.ru_nivcsw as i64
    }
}

/// Return the resident memory now, in bytes.
pub fn resident_bytes() -> Outcome<u64> {
    status("VmRSS:")
}

/// Return the peak resident memory since the start or `reset_peak`, in bytes.
pub fn peak_bytes() -> Outcome<u64> {
    status("VmHWM:")
}

/// Reset the peak to the resident memory now; return whether the system can do it.
pub fn reset_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn status(field: &str) -> Outcome<u64> {
    let text = fs::read_to_string("/proc/self/status").map_err(|error| {
        Fault::runtime(format!("cannot read /proc/self/status: {}", first_line(error)))
    })?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| Fault::runtime(format!("/proc/self/status has no {field}")))
}
