//! The scheduling priority of the few threads between a command and the wheels.

/// Nice value of the control path. Control threads work for microseconds at a time, so this costs the others nothing;
/// beside encoders and renderers it takes milliseconds off the slowest wake-ups.
const NICE: i32 = -10;

/// Puts the calling thread, and those that it starts from now on, ahead of ordinary work. Needs root, `CAP_SYS_NICE`
/// or a raised `RLIMIT_NICE` (systemd: `LimitNICE=-10`); without it nothing changes, and false is given.
pub fn raise() -> bool {
    // None is the calling thread: on Linux, niceness belongs to threads.
    rustix::process::setpriority_process(None, NICE).is_ok()
}

/// Nice value of work that may wait.
const NICE_LATER: i32 = 10;

/// Puts the calling thread behind ordinary work. Anybody may do this.
pub fn lower() {
    // Fails only for a thread that was put further back already.
    rustix::process::setpriority_process(None, NICE_LATER).unwrap_or_default();
}
