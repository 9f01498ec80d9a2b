//! Measures what a velocity command costs: the call itself, and the way from the call to the robot's side.
//!
//! ```text
//! cargo run -p ros-bridge --example latency -- [COMMANDS]      default 1000, at 50 Hz
//! ```
#![expect(clippy::print_stdout, reason = "the result of this program")]

use ros_bridge::{Config, agent::Base, base::RobotSide};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

fn percentiles(what: &str, mut samples_us: Vec<f64>) {
    samples_us.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * samples_us.len() as f64) as usize;
        samples_us.get(index.min(samples_us.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    };
    println!(
        "{what}: n {} p50 {:.0} us, p99 {:.0} us, max {:.0} us",
        samples_us.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let commands: u32 = std::env::args().nth(1).map_or(Ok(1000), |count| count.parse())?;
    let domain_id = 1 + u16::try_from(std::process::id() % 100)?;
    let (arrivals, arrived) = sync_channel(1024);
    let _robot = RobotSide::connect(&Config::new(domain_id, "latency_robot"), move |twist, _| {
        // A full channel loses a sample; the counts show it.
        arrivals.try_send((twist.linear.x, Instant::now())).ok();
    })?;
    let base = Base::connect(&Config::new(domain_id, "latency_agent"), |_, _| {})?;
    while arrived.recv_timeout(Duration::from_millis(20)).is_err() {
        base.command(-1.0, 0.0)?;
    }
    let (mut call_us, mut way_us) = (Vec::new(), Vec::new());
    for number in 0..commands {
        let start = Instant::now();
        base.command(f64::from(number), 0.0)?;
        call_us.push(start.elapsed().as_secs_f64() * 1e6);
        let period = Duration::from_millis(20);
        while let Ok((value, at)) = arrived.recv_timeout(period.saturating_sub(start.elapsed())) {
            if value == f64::from(number) {
                way_us.push(at.duration_since(start).as_secs_f64() * 1e6);
            }
        }
    }
    percentiles("call", call_us);
    percentiles("call to robot", way_us);
    println!("{:?}", base.commands_sent());
    Ok(())
}
