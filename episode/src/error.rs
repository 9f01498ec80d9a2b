//! Why an episode could not be written or read.

use std::path::PathBuf;

/// Why an operation on an episode failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EpisodeError {
    /// The file system refused.
    #[error("{}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A recording can't be written or read.
    #[error("{}", path.display())]
    Mcap {
        /// The recording.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: mcap::McapError,
    },
    /// A JSON file of the episode can't be read.
    #[error("{}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A document can't be written as JSON.
    #[error("a document has no JSON form")]
    Document(#[source] serde_json::Error),
    /// The lease in the episode can't be read.
    #[error("the episode's lease can't be read")]
    Lease(#[source] protocol::dsse::EnvelopeError),
    /// The manifest was refused.
    #[error("the manifest was refused")]
    Manifest(#[from] crate::manifest::ManifestError),
    /// A message is not what its channel says.
    #[error("a message on {topic} can't be read")]
    Message {
        /// The channel's topic.
        topic: String,
        /// What the decoder found.
        #[source]
        source: ros_msgs::CdrError,
    },
    /// The folder is not what it should be.
    #[error("{}: {what}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
}

impl EpisodeError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn mcap(path: impl Into<PathBuf>) -> impl FnOnce(mcap::McapError) -> Self {
        let path = path.into();
        move |source| match source {
            mcap::McapError::Io(source) => Self::Io { path, source },
            source => Self::Mcap { path, source },
        }
    }

    pub(crate) fn json(path: impl Into<PathBuf>) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.into();
        move |source| Self::Json { path, source }
    }

    pub(crate) fn folder(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Folder { path: path.into(), what: what.into() }
    }

    /// Whether the disk is full: the recorder can't go on, but nothing else is wrong.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
    }
}
