//! Installing what the commands need: Debian or Ubuntu packages, npm packages, a Python environment, the build.

use crate::{progress, root};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// What building and running needs.
const PACKAGES: &[&str] = &[
    "build-essential",
    "pkg-config",
    "libgstreamer1.0-dev",
    "libgstreamer-plugins-base1.0-dev",
    "gstreamer1.0-tools",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-plugins-ugly",
    "gstreamer1.0-libav",
    "espeak-ng",
];

/// What a headless browser and the peers of the tests need on top.
const TEST_PACKAGES: &[&str] = &[
    "chromium",
    "firefox-esr",
    "fonts-dejavu-core",
    "python3-venv",
    "iproute2",
    "nftables",
    "gstreamer1.0-nice",
    "faketime",
    "coturn",
];

/// What the peers of the benchmark need on top.
pub const BENCH_PACKAGES: &[&str] =
    &["python3-gi", "gir1.2-gst-plugins-base-1.0", "gir1.2-gst-plugins-bad-1.0"];

/// Independent peers and readers for the tests, from PyPI.
const PYTHON_PACKAGES: &[&str] = &[
    "cyclonedds==11.0.1",
    "mcap",
    "mcap-ros2-support",
    "rosbags",
    "pyarrow",
    "av",
    "numpy",
    "cryptography",
    "requests",
    "opencv-python-headless",
    "websocket-client",
];

/// Runs `command` with its output shown, and fails with its words when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot start {shown}"))?;
    ensure!(status.success(), "{shown} failed ({status})");
    Ok(())
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f=${Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|out| out.stdout.starts_with(b"install ok installed"))
}

/// Whether this is the superuser.
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

/// Installs those of `packages` that are missing.
pub fn install(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|p| !is_installed(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    progress(&format!("installing system packages: {}", missing.join(" ")));
    ensure!(
        Path::new("/usr/bin/apt-get").exists(),
        "this is neither Debian nor Ubuntu: install the counterparts of {} and run the command again",
        missing.join(" ")
    );
    let apt = |args: &[&str]| {
        let mut command = if is_root() {
            Command::new("apt-get")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.arg("apt-get");
            sudo
        };
        command.args(["-y", "-q"]).args(args).env("DEBIAN_FRONTEND", "noninteractive");
        // Standard output is for results; apt's words are progress.
        command.stdout(std::io::stderr());
        run(&mut command)
    };
    apt(&["update"])?;
    let mut args = vec!["install", "--no-install-recommends"];
    args.extend(missing);
    apt(&args)
}

/// System packages for building and running.
pub fn system_packages() -> Result<()> {
    install(PACKAGES)
}

/// System packages for the headless browser and the peers as well.
pub fn test_packages() -> Result<()> {
    install(PACKAGES)?;
    install(TEST_PACKAGES)
}

/// Where Chromium is.
pub fn chromium() -> Result<PathBuf> {
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .context("no Chromium found; install the package 'chromium'")
}

/// Where Firefox is.
pub fn firefox() -> Result<PathBuf> {
    ["/usr/bin/firefox-esr", "/usr/bin/firefox"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .context("no Firefox found; install the package 'firefox-esr'")
}

fn check_node() -> Result<()> {
    let out = Command::new("node")
        .arg("--version")
        .output()
        .context("Node.js is missing: install version 20 or newer (https://nodejs.org)")?;
    let text = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    let major = text.trim_start_matches('v').split('.').next().and_then(|m| m.parse::<u32>().ok());
    if major.is_none_or(|major| major < 20) {
        bail!("Node.js {text} is too old: install version 20 or newer (https://nodejs.org)");
    }
    Ok(())
}

fn newest(path: &Path) -> Option<SystemTime> {
    let meta = path.metadata().ok()?;
    if !meta.is_dir() {
        return meta.modified().ok();
    }
    std::fs::read_dir(path)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name() != "node_modules" && entry.file_name() != "dist")
        .filter_map(|entry| newest(&entry.path()))
        .max()
}

/// Installs the npm packages of `folder` when its lock file changed.
pub fn npm_install(folder: &Path) -> Result<()> {
    check_node()?;
    let stamp = folder.join("node_modules/.package-lock.json");
    let lock = folder.join("package-lock.json");
    let fresh = match (stamp.metadata().and_then(|m| m.modified()), newest(&lock)) {
        (Ok(stamp), Some(lock)) => stamp >= lock,
        _ => false,
    };
    if fresh {
        return Ok(());
    }
    progress(&format!("installing npm packages of {}", shown(folder)));
    run(Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .stdout(std::io::stderr()))
}

fn shown(folder: &Path) -> String {
    folder.strip_prefix(root()).unwrap_or(folder).display().to_string()
}

/// Builds the cockpit when a source is newer than the build. Returns its folder.
pub fn web() -> Result<PathBuf> {
    let folder = root().join("pilot-gateway/web");
    npm_install(&folder)?;
    let index = folder.join("dist/index.html");
    let built = index.metadata().and_then(|m| m.modified()).ok();
    if built.is_none() || built < newest(&folder) {
        progress("building the cockpit");
        run(Command::new("npm")
            .args(["run", "--silent", "build"])
            .current_dir(&folder)
            .stdout(std::io::stderr()))?;
    }
    Ok(folder.join("dist"))
}

/// Builds every program, once in a process: what was begun with is what is measured to its end. Returns the folder that
/// they are in.
pub fn binaries() -> Result<PathBuf> {
    static BUILT: Mutex<bool> = Mutex::new(false);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if *built {
        return Ok(target_dir().join("debug"));
    }
    progress("building the programs (the first time takes minutes)");
    run(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--workspace", "--bins"])
        .current_dir(root()))?;
    *built = true;
    Ok(target_dir().join("debug"))
}

/// Cargo's target folder.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Builds every program and every example, the peers of the benchmark among them.
pub fn examples() -> Result<()> {
    run(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--workspace", "--bins", "--examples"])
        .current_dir(root()))
}

/// As [`python`], with further packages.
pub fn python_with(packages: &[&str]) -> Result<PathBuf> {
    let interpreter = python()?;
    progress(&format!("installing Python packages: {}", packages.join(" ")));
    run(Command::new(&interpreter)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(packages)
        .stdout(std::io::stderr()))?;
    Ok(interpreter)
}

/// A Python with the peers of the tests, in the target folder. Returns its interpreter.
pub fn python() -> Result<PathBuf> {
    let venv = target_dir().join("python");
    let interpreter = venv.join("bin/python");
    let wanted = PYTHON_PACKAGES.join("\n");
    let stamp = venv.join("longrein-packages.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(interpreter);
    }
    progress("installing Python packages for the tests");
    std::fs::create_dir_all(target_dir())?;
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    run(Command::new(&interpreter)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(PYTHON_PACKAGES)
        .stdout(std::io::stderr()))?;
    std::fs::write(&stamp, wanted)?;
    Ok(interpreter)
}

/// Everything that any command needs.
pub fn everything() -> Result<()> {
    test_packages()?;
    web()?;
    npm_install(&root().join("tests/browser"))?;
    python()?;
    binaries()?;
    progress("ready");
    Ok(())
}

/// A program of crates.io in this version, built once beside the rest.
pub fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let tools = target_dir().join("tools");
    let tool = tools.join("bin").join(name);
    if !tool.exists() {
        progress(&format!("installing {name} (once)"));
        run(Command::new("cargo")
            .args(["install", "--locked", "--debug", name, "--version", version, "--root"])
            .arg(&tools)
            .current_dir(root()))?;
    }
    Ok(tool)
}
