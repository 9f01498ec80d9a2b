//! `cargo xtask deb`: the Debian package of the robot's agent, for the machine that builds it.

use crate::{progress, result, root, setup};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exposure above which the unit counts as too open, in tenths: `systemd-analyze security` tells 0 (safe) to 10.
const EXPOSURE_MAX: u32 = 20;

/// What GStreamer needs beside the libraries that the program is linked with: sources, converters, encoders.
const PLUGINS: &str = "gstreamer1.0-plugins-base, gstreamer1.0-plugins-good, gstreamer1.0-plugins-bad, \
                       gstreamer1.0-plugins-ugly, gstreamer1.0-libav";

/// Build the Debian package of robot-agent for this machine's architecture.
///
/// The program is the one that the tests run. On a robot (arm64, for example) run it there, or bring a program that was
/// built for it with --program.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the package
    #[arg(long, default_value_os_t = setup::target_dir().join("debian"))]
    out: PathBuf,
    /// A robot-agent that was built before, instead of building it now
    #[arg(long)]
    program: Option<PathBuf>,
    /// Its architecture, as Debian names it, if it is not this machine's
    #[arg(long, requires = "program")]
    architecture: Option<String>,
    /// Check the unit, install the package into an empty root, run the program from there
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let program = match &args.program {
        Some(program) => program.clone(),
        None => setup::binaries()?.join("robot-agent"),
    };
    let package = build(&program, args.architecture.as_deref(), &args.out)?;
    if args.check {
        check(&package)?;
    }
    result(&package.display().to_string());
    Ok(())
}

/// Builds and checks the package from a program, if the tools for it are there: for `cargo xtask test`.
pub fn test(program: &Path) -> Result<()> {
    let missing: Vec<&str> = ["dpkg-deb", "dpkg", "systemd-sysusers"]
        .into_iter()
        .filter(|tool| !is_there(tool))
        .collect();
    if !missing.is_empty() {
        progress(&format!("NOT TESTED: the Debian package; missing: {}", missing.join(", ")));
        return Ok(());
    }
    progress("the Debian package, installed into an empty root");
    let out = setup::target_dir().join("debian");
    check(&build(program, None, &out)?)
}

fn is_there(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|out| out.status.success())
}

fn said(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let out = command.output().with_context(|| format!("cannot start {shown}"))?;
    let words = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{shown} failed ({}): {words}", out.status);
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

fn put(tree: &Path, name: &str, from: &Path, mode: u32) -> Result<()> {
    let to = tree.join(name);
    fs::create_dir_all(to.parent().context("a file without a folder")?)?;
    fs::copy(from, &to).with_context(|| format!("copying {}", from.display()))?;
    fs::set_permissions(&to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// Builds the package; gives its path.
pub fn build(program: &Path, architecture: Option<&str>, out: &Path) -> Result<PathBuf> {
    let here = said(Command::new("dpkg").arg("--print-architecture"))?;
    let foreign = architecture.filter(|wanted| *wanted != here);
    let architecture = architecture.unwrap_or(&here);
    let tree = out.join("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    let packaging = root().join("robot-agent/packaging");
    put(&tree, "usr/bin/robot-agent", program, 0o755)?;
    if foreign.is_none() {
        setup::run(Command::new("strip").arg(tree.join("usr/bin/robot-agent")))?;
    }
    for (name, from) in [
        ("etc/longrein/robot.toml", packaging.join("robot.toml")),
        ("lib/systemd/system/robot-agent.service", packaging.join("robot-agent.service")),
        ("usr/lib/sysusers.d/robot-agent.conf", packaging.join("robot-agent.sysusers")),
        ("usr/share/doc/robot-agent/copyright", packaging.join("copyright")),
        ("usr/share/doc/robot-agent/README.md", root().join("robot-agent/README.md")),
        ("usr/share/doc/robot-agent/safety.md", root().join("docs/safety.md")),
        ("usr/share/doc/robot-agent/LICENSE-APACHE", root().join("LICENSE-APACHE")),
        ("usr/share/doc/robot-agent/LICENSE-MIT", root().join("LICENSE-MIT")),
    ] {
        put(&tree, name, &from, 0o644)?;
    }
    for script in ["postinst", "prerm", "postrm"] {
        put(&tree, &format!("DEBIAN/{script}"), &packaging.join(script), 0o755)?;
    }
    fs::write(tree.join("DEBIAN/conffiles"), "/etc/longrein/robot.toml\n")?;
    let libraries = libraries(&tree, foreign)?;
    fs::write(tree.join("DEBIAN/control"), control(&tree, architecture, &libraries)?)?;
    let version = env!("CARGO_PKG_VERSION");
    let package = out.join(format!("robot-agent_{version}_{architecture}.deb"));
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "-Zxz", "-z6", "--build"]).arg(&tree).arg(&package);
    // The same sources give the same package.
    if let Ok(time) =
        said(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root()))
    {
        command.env("SOURCE_DATE_EPOCH", time);
    }
    said(&mut command)?;
    fs::remove_dir_all(&tree)?;
    Ok(package)
}

/// The packages of the libraries that the program is linked with.
fn libraries(tree: &Path, foreign: Option<&str>) -> Result<String> {
    let usual = "libc6, libglib2.0-0, libgstreamer1.0-0, libgstreamer-plugins-base1.0-0";
    if let Some(architecture) = foreign {
        progress(&format!(
            "libraries of a program for {architecture} are not looked up here: the usual ones are named"
        ));
        return Ok(usual.to_owned());
    }
    if !is_there("dpkg-shlibdeps") {
        progress("dpkg-shlibdeps (package dpkg-dev) is missing: the usual libraries are named");
        return Ok(usual.to_owned());
    }
    // It wants the folder of a source package.
    let folder = tree.with_file_name("shlibdeps");
    fs::create_dir_all(folder.join("debian"))?;
    fs::write(
        folder.join("debian/control"),
        "Source: robot-agent\n\nPackage: robot-agent\nArchitecture: any\n",
    )?;
    let text = said(
        Command::new("dpkg-shlibdeps")
            .arg("-O")
            .arg(tree.join("usr/bin/robot-agent"))
            .current_dir(&folder),
    )?;
    fs::remove_dir_all(&folder)?;
    let line = text.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    Ok(line.context("dpkg-shlibdeps named no libraries")?.to_owned())
}

fn control(tree: &Path, architecture: &str, libraries: &str) -> Result<String> {
    let size_kib = said(Command::new("du").args(["-sk", "--apparent-size"]).arg(tree))?;
    let size_kib = size_kib.split_whitespace().next().unwrap_or("0").to_owned();
    Ok(format!(
        "Package: robot-agent\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: The Longrein contributors <packages@longrein.invalid>\n\
         Installed-Size: {size_kib}\n\
         Section: misc\n\
         Priority: optional\n\
         Depends: {libraries}, {PLUGINS}, systemd | systemd-standalone-sysusers, ca-certificates\n\
         Recommends: espeak-ng, chrony | systemd-timesyncd\n\
         Suggests: gstreamer1.0-libcamera, gstreamer1.0-vaapi\n\
         Description: lets people and programs drive this robot over the internet, safely\n \
         Longrein's agent: takes a driver's commands through its safety core to a ROS 2\n \
         base, sends video, and records every drive as a signed episode. It decides by\n \
         itself whether the robot may move. No ROS installation is needed.\n",
        version = env!("CARGO_PKG_VERSION"),
    ))
}

/// Installs the package into an empty root, uses it there, and removes it.
fn check(package: &Path) -> Result<()> {
    let folder = package.with_file_name("root");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    for part in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc"] {
        fs::create_dir_all(folder.join(part))?;
    }
    fs::write(folder.join("var/lib/dpkg/status"), "")?;
    let dpkg = |args: &[&str]| {
        let mut command = Command::new("dpkg");
        command.arg(format!("--root={}", folder.display()));
        // Its libraries are those of the machine that checks; its scripts know of other roots.
        command.args([
            "--force-depends",
            "--force-not-root",
            "--force-confold",
            "--force-script-chrootless",
        ]);
        said(command.args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let path = package.display().to_string();
    dpkg(&["--install", &path])?;
    let program = folder.join("usr/bin/robot-agent");
    let version = said(Command::new(&program).arg("--version"))?;
    ensure!(version == concat!("robot-agent ", env!("CARGO_PKG_VERSION")), "it says {version:?}");
    let config = folder.join("etc/longrein/robot.toml");
    said(Command::new(&program).args(["config", "check"]).arg(&config))?;
    users(&folder)?;
    unit(&folder)?;

    // An owner's configuration and data outlive an upgrade and a removal.
    let own = format!("{}\nkeep_uploaded = false\n", "data = \"/var/lib/longrein\"");
    fs::write(&config, &own)?;
    fs::write(folder.join("var/lib/longrein/robot.key"), "a key")?;
    dpkg(&["--install", &path])?;
    ensure!(fs::read_to_string(&config)? == own, "an upgrade overwrote the owner's configuration");
    dpkg(&["--purge", "robot-agent"])?;
    ensure!(!program.exists() && !config.exists(), "a purge left files behind");
    ensure!(folder.join("var/lib/longrein/robot.key").exists(), "a purge removed the robot's key");
    fs::remove_dir_all(&folder)?;
    progress("the package installs, runs, upgrades and goes");
    Ok(())
}

fn users(folder: &Path) -> Result<()> {
    let users = fs::read_to_string(folder.join("etc/passwd"))?;
    let user = users.lines().find(|line| line.starts_with("longrein:"));
    let user = user.context("the package made no user")?;
    ensure!(user.split(':').nth(2) != Some("0"), "the agent must not be root");
    let mode = fs::metadata(folder.join("var/lib/longrein"))?.permissions().mode() & 0o777;
    ensure!(mode == 0o750, "the data folder has mode {mode:o}");
    Ok(())
}

/// Whether systemd takes the unit, and how much it leaves open.
fn unit(folder: &Path) -> Result<()> {
    let installed = folder.join("lib/systemd/system/robot-agent.service");
    let enabled = folder.join("etc/systemd/system/multi-user.target.wants/robot-agent.service");
    if is_there("systemctl") && enabled.symlink_metadata().is_err() {
        bail!("the unit is not enabled");
    }
    if !is_there("systemd-analyze") {
        progress("NOT TESTED: the systemd unit; systemd-analyze is missing");
        return Ok(());
    }
    // It looks for the program, which is here only in the other root.
    let text = fs::read_to_string(&installed)?;
    let program = folder.join("usr/bin/robot-agent").display().to_string();
    let tried = folder.join("robot-agent.service");
    fs::write(&tried, text.replace("/usr/bin/robot-agent", &program))?;
    let out = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(&tried)
        .output()?;
    let words = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success() && words.trim().is_empty(), "systemd-analyze verify: {words}");
    let score = said(
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(format!("--threshold={EXPOSURE_MAX}"))
            .arg(&tried),
    )?;
    progress(score.lines().last().unwrap_or_default().trim());
    fs::remove_file(&tried)?;
    Ok(())
}
