//! Says once a second which of a robot's topics are alive, without driving it.
//!
//! ```text
//! cargo run -p ros-bridge --example probe -- [DOMAIN] [SECONDS]      default: ROS_DOMAIN_ID or 0, 10 s
//! ```
#![expect(clippy::print_stdout, reason = "the result of this program")]

use ros_bridge::{Config, agent::Base};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let domain = arguments.next().or_else(|| std::env::var("ROS_DOMAIN_ID").ok());
    let domain_id = domain.map_or(Ok(0), |domain| domain.parse())?;
    let seconds: u32 = arguments.next().map_or(Ok(10), |seconds| seconds.parse())?;
    let base = Base::connect(&Config::new(domain_id, "longrein_probe"), |_, _| {})?;
    let mut before = base.health();
    for _ in 0..seconds {
        std::thread::sleep(Duration::from_secs(1));
        let now = base.health();
        for (topic, before) in now.iter().zip(&before) {
            let rate = topic.received - before.received;
            print!("{} {rate}/s", topic.topic);
            if topic.malformed > 0 {
                print!(" ({} of another type)", topic.malformed);
            }
            if topic.publishers == 0 {
                print!(" (no publisher)");
            }
            print!("  ");
        }
        println!("subscribers to commands {}", base.command_subscribers());
        before = now;
    }
    Ok(())
}
