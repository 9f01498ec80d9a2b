//! The network between two network namespaces. Needs root: without it nothing is tested, which is said.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail by panicking, and says what it skips"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Answers what comes over TCP and UDP at port 9000, with the address from which it came.
const ECHO: &str = "
import socket, threading
tcp = socket.create_server(('', 9000))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(('', 9000))
def serve():
    while True:
        one, there = tcp.accept()
        one.sendall(one.recv(100) + there[0].encode())
        one.close()
threading.Thread(target=serve, daemon=True).start()
print('there', flush=True)
while True:
    words, there = udp.recvfrom(100)
    udp.sendto(words + there[0].encode(), there)
";

/// Asks it: prints what came back and after how many milliseconds, or 'nothing' after two seconds.
const ASK: &str = "
import socket, sys, time
kind, where = sys.argv[1:]
start = time.monotonic()
try:
    if kind == 'tcp':
        one = socket.create_connection((where, 9000), 2); one.sendall(b'hello '); back = one.makefile().read()
    else:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.settimeout(2)
        one.sendto(b'hello ', (where, 9000)); back = one.recv(200).decode()
    print(back, round((time.monotonic() - start) * 1000))
except TimeoutError:
    print('nothing 0')
";

struct Netem {
    child: Child,
    out: BufReader<ChildStdout>,
    robot: String,
    driver: String,
}

impl Netem {
    /// Nothing without root.
    fn start(profile: &str) -> Option<Self> {
        let id = Command::new("id").arg("-u").output().unwrap();
        if id.stdout.trim_ascii() != b"0" {
            eprintln!("SKIPPED: network namespaces need root");
            return None;
        }
        let name = |end: &str| format!("longrein-{end}-{}", std::process::id());
        let (robot, driver) = (name("r"), name("d"));
        let file = std::env::temp_dir().join(format!("{robot}.toml"));
        std::fs::write(&file, profile).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_netem"))
            .args(["--netns", &robot, &driver, "--profile-file"])
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut netem = Self { child, out, robot, driver };
        netem.wait("listening");
        std::fs::remove_file(file).unwrap();
        Some(netem)
    }

    /// Waits for an event, and gives what was said of it.
    fn wait(&mut self, event: &str) -> serde_json::Value {
        for line in self.out.by_ref().lines() {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            if line["event"] == event {
                return line;
            }
        }
        panic!("netem ended before it said {event}");
    }

    fn order(&mut self, order: &str) -> serde_json::Value {
        writeln!(self.child.stdin.as_mut().unwrap(), "{order}").unwrap();
        self.wait(if order == "stop" {
            "ended"
        } else {
            order.trim_end_matches(char::is_numeric).trim()
        })
    }

    fn inside(&self, space: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", space, "python3", "-c", program]);
        command
    }

    /// What a driver hears that asks the robot, and after how long.
    fn ask(&self, kind: &str, whom: &str) -> (String, u64) {
        let out = self.inside(&self.driver, ASK).args([kind, whom]).output().unwrap();
        let words = String::from_utf8(out.stdout.clone()).unwrap();
        let (back, ms) = words.trim().rsplit_once(' ').unwrap_or_else(|| panic!("{out:?}"));
        (back.to_owned(), ms.parse().unwrap())
    }
}

impl Drop for Netem {
    fn drop(&mut self) {
        // It has ended when the test got that far; else its namespaces go with this.
        if let Some(stdin) = &mut self.child.stdin {
            drop(writeln!(stdin, "stop"));
        }
        drop(self.child.wait());
    }
}

struct Echo(Child);

impl Echo {
    fn start(netem: &Netem) -> Self {
        let mut child = netem.inside(&netem.robot, ECHO).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "there\n");
        Self(child)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn between_namespaces_every_protocol_is_delayed_cut_and_readdressed() {
    let both = "delay_ms = 40.0";
    let Some(mut netem) =
        Netem::start(&format!("name = \"x\"\n[to_driver]\n{both}\n[to_robot]\n{both}\n"))
    else {
        return;
    };
    let echo = Echo::start(&netem);

    let (back, ms) = netem.ask("udp", "10.77.1.1");
    assert_eq!(back, "hello 10.77.2.1");
    assert!((80..500).contains(&ms), "{ms} ms there and back");
    // TCP opens with a round trip of its own, which a relay of UDP could not carry.
    let (back, ms) = netem.ask("tcp", "10.77.1.1");
    assert_eq!(back, "hello 10.77.2.1");
    assert!((160..900).contains(&ms), "{ms} ms for two round trips");

    let cut = Instant::now();
    netem.order("cut 2500");
    assert_eq!(netem.ask("udp", "10.77.1.1").0, "nothing");
    std::thread::sleep(Duration::from_millis(2_600).saturating_sub(cut.elapsed()));
    assert_eq!(netem.ask("udp", "10.77.1.1").0, "hello 10.77.2.1");

    // Who moves is reached at the new address, and no more at the old one.
    assert_eq!(netem.order("move robot")["robot"], "10.77.1.2");
    assert_eq!(netem.ask("udp", "10.77.1.1").0, "nothing");
    assert_eq!(netem.ask("udp", "10.77.1.2").0, "hello 10.77.2.1");
    assert_eq!(netem.order("move driver")["driver"], "10.77.2.2");
    assert_eq!(netem.ask("udp", "10.77.1.2").0, "hello 10.77.2.2");

    drop(echo);
    let end = netem.order("stop");
    assert!(end["to_robot"]["lost_in_outage"].as_u64().unwrap() >= 1, "{end}");
    assert!(end["to_driver"]["packets_out"].as_u64().unwrap() >= 5, "{end}");
    netem.child.wait().unwrap();
    let left = Command::new("ip").args(["netns", "list"]).output().unwrap();
    assert!(
        !String::from_utf8_lossy(&left.stdout).contains(&netem.robot),
        "the namespaces are left"
    );
}
