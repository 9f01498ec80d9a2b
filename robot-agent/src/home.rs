//! The agent's folder: key, enrolment, and the few facts that must outlive the process.
//!
//! ```text
//! robot.key          private key, PKCS#8 PEM, mode 0600
//! enrolment.json     what the fleet answered when the robot was enrolled
//! credentials.json   the newest certificate, its private key and the fabric key, mode 0600
//! tls.pem, root.pem  the same as files that the message fabric reads
//! settings.dsse.json what the owner allows, signed by the owner
//! epoch.json         the highest epoch ever seen; written before a lease is opened
//! chain.json         SHA-256 of the manifest that was sealed last
//! agent.lock         held by the running agent
//! agent.sock         where the running agent tells how it does
//! estop.latched      there while the emergency stop is latched
//! episodes/<id>/     recordings
//! ```

use anyhow::{Context, Result, bail, ensure};
use fabric_tunnel::Files;
use protocol::api::Enrolled;
use protocol::dsse::Envelope;
use protocol::ids::{EpisodeId, RobotId};
use protocol::keys::{Did, PrivateKey};
use protocol::settings::VerifiedSettings;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `enrolment.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolment {
    /// The fleet-server's URL.
    pub server: String,
    /// The key that was enrolled; the fleet believes no other.
    #[serde(default)]
    pub did: Option<Did>,
    /// What it answered.
    #[serde(flatten)]
    pub enrolled: Enrolled,
}

#[derive(Serialize, Deserialize)]
struct Epoch {
    epoch_highest: u64,
}

#[derive(Serialize, Deserialize)]
struct Chain {
    previous_manifest_sha256: String,
}

/// `credentials.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptCredentials {
    /// The fleet's signed [`protocol::credentials::Credentials`].
    pub envelope: Envelope,
    /// Private TLS key and certificate, PEM.
    pub tls_pem: String,
    /// The robot's fabric key, in hexadecimal.
    pub fabric_key: String,
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
}

impl Home {
    /// The folder, made when missing.
    pub fn open(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir.join("episodes"))
            .with_context(|| format!("making the data folder {}", dir.display()))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The folder as it is: nothing is made, so that whoever only looks leaves nothing that belongs to somebody else.
    pub(crate) fn as_it_is(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Folder of all episodes.
    pub fn episodes(&self) -> PathBuf {
        self.dir.join("episodes")
    }

    /// Folder of an episode.
    pub fn episode(&self, id: EpisodeId) -> PathBuf {
        self.episodes().join(id.to_string())
    }

    /// Every episode's id and folder, oldest first (their ids begin with the time).
    pub fn list_episodes(&self) -> Result<Vec<(EpisodeId, PathBuf)>> {
        let mut episodes = Vec::new();
        for entry in fs::read_dir(self.episodes()).context("reading the folder of episodes")? {
            let path = entry?.path();
            let id = path.file_name().and_then(|name| name.to_str()).and_then(|n| n.parse().ok());
            if let Some(id) = id.filter(|_| path.is_dir()) {
                episodes.push((id, path));
            }
        }
        episodes.sort();
        Ok(episodes)
    }

    /// The robot's key; made when there is none.
    pub fn key_or_new(&self) -> Result<PrivateKey> {
        let path = self.dir.join("robot.key");
        if path.exists() {
            return self.key();
        }
        let key = PrivateKey::generate()
            .map_err(|error| anyhow::anyhow!("no random bytes for a key: {error}"))?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("writing {}", path.display()))?;
        file.write_all(key.to_pem().as_bytes())?;
        file.sync_all()?;
        Ok(key)
    }

    /// The robot's key.
    pub fn key(&self) -> Result<PrivateKey> {
        let path = self.dir.join("robot.key");
        let pem = fs::read_to_string(&path).with_context(|| {
            format!("reading {}: enrol the robot first with `robot-agent enroll`", path.display())
        })?;
        PrivateKey::from_pem(&pem).with_context(|| {
            format!("{}: restore it from a backup, or enrol the robot anew", path.display())
        })
    }

    /// The key that the fleet knows. With another one the robot would run, and nobody would believe it.
    pub fn enrolled_key(&self, enrolment: &Enrolment) -> Result<PrivateKey> {
        let key = self.key()?;
        ensure!(
            enrolment.did.is_none_or(|did| did == key.did()),
            "{} is not the key that was enrolled: restore it from a backup, or enrol the robot anew",
            self.dir.join("robot.key").display()
        );
        Ok(key)
    }

    /// Keeps a second agent away from the folder for as long as the file is open: two would both drive the base.
    pub fn lock(&self) -> Result<File> {
        let path = self.dir.join("agent.lock");
        let file = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                bail!("another robot-agent runs with {}; stop it first", self.dir.display())
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("locking {}", path.display()))
            }
        }
    }

    /// Whether an agent runs with the folder. Changes nothing, so that a check does not keep one from starting.
    pub fn is_locked(&self) -> Result<bool> {
        let path = self.dir.join("agent.lock");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("asking for the lock of {}", path.display()))
            }
        }
    }

    /// What the fleet answered.
    pub fn enrolment(&self) -> Result<Enrolment> {
        match self.read("enrolment.json")? {
            Some(enrolment) => Ok(enrolment),
            None => bail!(
                "this robot is not enrolled: {} has no enrolment.json. Get a code from the fleet's operator and \
                 run `robot-agent enroll --server URL --code CODE --data {}`",
                self.dir.display(),
                self.dir.display()
            ),
        }
    }

    /// Keeps what the fleet answered.
    pub fn write_enrolment(&self, enrolment: &Enrolment) -> Result<()> {
        self.write("enrolment.json", enrolment)
    }

    /// The owner's settings, as they were signed.
    pub fn settings(&self) -> Result<Option<Envelope>> {
        self.read("settings.dsse.json")
    }

    /// Keeps the owner's settings. Only after this do they count.
    pub fn write_settings(&self, settings: &Envelope) -> Result<()> {
        self.write("settings.dsse.json", settings)
    }

    /// Forgets settings that none of `owners` has signed: they were another owner's.
    pub fn forget_settings_unless_of(&self, owners: &[Did], robot: &RobotId) -> Result<()> {
        let Some(settings) = self.settings()? else { return Ok(()) };
        if VerifiedSettings::verify(settings, robot, owners).is_ok() {
            return Ok(());
        }
        fs::remove_file(self.dir.join("settings.dsse.json"))
            .or_else(missing_is_fine)
            .context("removing the settings of another owner")
    }

    /// What lets this robot into the message fabric, if it was ever let in.
    pub fn credentials(&self) -> Result<Option<KeptCredentials>> {
        self.read("credentials.json")
    }

    /// Keeps credentials.
    pub fn write_credentials(&self, kept: &KeptCredentials) -> Result<()> {
        self.write_bytes("credentials.json", &serde_json::to_vec_pretty(kept)?, 0o600)
    }

    /// Writes the files that the message fabric reads whenever it connects.
    pub fn write_tls(&self, tls_pem: &str, root_pem: &str) -> Result<Files> {
        self.write_bytes("tls.pem", tls_pem.as_bytes(), 0o600)?;
        self.write_bytes("root.pem", root_pem.as_bytes(), 0o644)?;
        Ok(self.tls_files())
    }

    /// Where those files are, whether they are there or not.
    pub fn tls_files(&self) -> Files {
        Files { tls_pem: self.dir.join("tls.pem"), root_pem: self.dir.join("root.pem") }
    }

    /// Puts the key aside, so that the next [`Home::key_or_new`] makes another. Episodes that were signed with it stay
    /// verifiable by its public key.
    pub fn retire_key(&self) -> Result<()> {
        let (path, old) = (self.dir.join("robot.key"), self.dir.join("robot.key.old"));
        fs::rename(&path, &old)
            .or_else(missing_is_fine)
            .with_context(|| format!("renaming {}", path.display()))?;
        // A chain of manifests is one key's.
        fs::remove_file(self.dir.join("chain.json"))
            .or_else(missing_is_fine)
            .context("removing chain.json")
    }

    /// Removes what makes this machine the robot: keys, enrolment, credentials and episodes. Other files stay.
    pub fn wipe(&self) -> Result<()> {
        // Keys first: a wipe that is cut off in the middle leaves nothing that still speaks for the robot.
        let files = [
            "robot.key",
            "robot.key.old",
            "credentials.json",
            "tls.pem",
            "root.pem",
            "enrolment.json",
            "settings.dsse.json",
            "epoch.json",
            "chain.json",
            "estop.latched",
        ];
        for name in files {
            let path = self.dir.join(name);
            fs::remove_file(&path)
                .or_else(missing_is_fine)
                .with_context(|| format!("removing {}", path.display()))?;
        }
        let episodes = self.episodes();
        fs::remove_dir_all(&episodes)
            .with_context(|| format!("removing {}", episodes.display()))?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).context("writing the folder")
    }

    /// The highest epoch ever seen.
    pub fn epoch_highest(&self) -> Result<u64> {
        Ok(self.read::<Epoch>("epoch.json")?.map_or(0, |epoch| epoch.epoch_highest))
    }

    /// Makes an epoch durable. A lease may be opened only after this.
    pub fn write_epoch(&self, epoch_highest: u64) -> Result<()> {
        self.write("epoch.json", &Epoch { epoch_highest })
    }

    /// SHA-256 of the manifest that was sealed last.
    pub fn previous_manifest(&self) -> Result<Option<String>> {
        Ok(self.read::<Chain>("chain.json")?.map(|chain| chain.previous_manifest_sha256))
    }

    /// Keeps the SHA-256 of the manifest that was sealed last.
    pub fn write_previous_manifest(&self, sha256: &str) -> Result<()> {
        self.write("chain.json", &Chain { previous_manifest_sha256: sha256.to_owned() })
    }

    /// Whether the emergency stop was latched when the agent ended.
    pub fn estop_latched(&self) -> bool {
        self.dir.join("estop.latched").exists()
    }

    /// Keeps whether the emergency stop is latched.
    pub fn write_estop(&self, latched: bool) -> Result<()> {
        let path = self.dir.join("estop.latched");
        if latched {
            return self.write("estop.latched", &true);
        }
        fs::remove_file(&path)
            .or_else(missing_is_fine)
            .with_context(|| format!("removing {}", path.display()))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.dir.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let value = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged; restore it from a backup", path.display()))?;
        Ok(Some(value))
    }

    /// Writes a file so that after a crash there is either the old one or the new one, whole.
    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        self.write_bytes(name, &serde_json::to_vec_pretty(value)?, 0o644)
    }

    fn write_bytes(&self, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let (part, path) = (self.dir.join(format!("{name}.part")), self.dir.join(name));
        let what = || format!("writing {}", path.display());
        // What an earlier crash left may have another mode.
        fs::remove_file(&part).or_else(missing_is_fine).with_context(what)?;
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(mode).open(&part).with_context(what)?;
        file.write_all(bytes).with_context(what)?;
        file.sync_all().with_context(what)?;
        fs::rename(&part, &path).with_context(what)?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).with_context(what)
    }
}

fn missing_is_fine(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_outlive_the_process_does() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        assert_eq!(home.epoch_highest().unwrap(), 0);
        home.write_epoch(9).unwrap();
        home.write_previous_manifest("ab").unwrap();
        home.write_estop(true).unwrap();
        let did = home.key_or_new().unwrap().did();
        let again = Home::open(dir.path()).unwrap();
        assert_eq!(again.epoch_highest().unwrap(), 9);
        assert_eq!(again.previous_manifest().unwrap().as_deref(), Some("ab"));
        assert!(again.estop_latched());
        again.write_estop(false).unwrap();
        again.write_estop(false).unwrap();
        assert!(!again.estop_latched());
        assert_eq!(again.key_or_new().unwrap().did(), did);
    }

    #[test]
    fn a_second_agent_and_another_key_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let held = home.lock().unwrap();
        assert!(home.lock().unwrap_err().to_string().contains("another robot-agent"));
        assert!(home.is_locked().unwrap());
        drop(held);
        assert!(!home.is_locked().unwrap());
        home.lock().unwrap();
        let did = home.key_or_new().unwrap().did();
        let fleet_did = PrivateKey::from_seed(&[1; 32]).did();
        let enrolled = Enrolled {
            robot: "a".parse().unwrap(),
            fleet_did,
            zenoh_endpoint: "tcp/127.0.0.1:1".to_owned(),
            owners: vec![],
        };
        let own = Enrolment { server: String::new(), did: Some(did), enrolled };
        home.write_enrolment(&own).unwrap();
        assert_eq!(home.enrolled_key(&home.enrolment().unwrap()).unwrap().did(), did);
        let other = Enrolment { did: Some(fleet_did), ..own };
        assert!(home.enrolled_key(&other).unwrap_err().to_string().contains("not the key"));
    }

    #[test]
    fn a_damaged_epoch_is_an_error_and_not_zero() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        fs::write(dir.path().join("epoch.json"), "{").unwrap();
        assert!(home.epoch_highest().unwrap_err().to_string().contains("damaged"));
        assert!(home.enrolment().unwrap_err().to_string().contains("robot-agent enroll"));
    }
}
