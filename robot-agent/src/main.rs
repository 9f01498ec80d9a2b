//! Longrein's agent on a robot. Everything is in the library beside it, so that its parts can be tested apart.

fn main() -> std::process::ExitCode {
    robot_agent::program::main()
}
