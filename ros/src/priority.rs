//! The scheduling priority of the few threads between a command and the wheels.

/// How a thread is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Like any other.
    Ordinary,
    /// Ahead of ordinary work, by its share of the processor.
    Raised,
    /// Ahead of everything that is not real-time, at once.
    Realtime,
}

/// Nice value of the control path. Control threads work for microseconds at a time, so this costs the others nothing;
/// beside encoders and renderers it takes milliseconds off the slowest wake-ups.
const NICE: i32 = -10;

/// The lowest real-time priority: ahead of all ordinary work, behind whatever else is real-time on the robot.
const REALTIME: i32 = 1;

/// Puts the calling thread, and those that it starts from now on, ahead of ordinary work. Needs root, `CAP_SYS_NICE`
/// or a raised `RLIMIT_NICE` (systemd: `LimitNICE=-10`); without it nothing changes, and false is given.
pub fn raise() -> bool {
    // None is the calling thread: on Linux, niceness belongs to threads.
    rustix::process::setpriority_process(None, NICE).is_ok()
}

/// Gives the calling thread the processor as soon as it wants it, whatever ordinary work there is; threads that it starts
/// are ordinary again. Only for a thread whose work is short and bounded: it is not taken off before it waits. Needs root,
/// `CAP_SYS_NICE` or a raised `RLIMIT_RTPRIO` (systemd: `LimitRTPRIO=1`); without it the thread is raised, if that is
/// allowed. Tells what came of it.
pub fn realtime() -> Priority {
    // The niceness counts should somebody make the thread an ordinary one again.
    match (raise(), first_in_first_out()) {
        (_, true) => Priority::Realtime,
        (true, false) => Priority::Raised,
        (false, false) => Priority::Ordinary,
    }
}

#[expect(unsafe_code, reason = "no library at hand sets a thread's scheduling policy without it")]
fn first_in_first_out() -> bool {
    let param = libc::sched_param { sched_priority: REALTIME };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the call reads one `sched_param`, which lives until it returns, and keeps no pointer to it. 0 is the calling
    // thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const param) == 0 }
}

/// Nice value of work that may wait.
const NICE_LATER: i32 = 10;

/// Puts the calling thread behind ordinary work. Anybody may do this.
pub fn lower() {
    // Fails only for a thread that was put further back already.
    rustix::process::setpriority_process(None, NICE_LATER).unwrap_or_default();
}
