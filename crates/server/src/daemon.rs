//! Going to the background, and the file that holds the process id.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::settings::Settings;

/// Where the process id goes when the server runs in the background and no file is configured.
const DEFAULT_PIDFILE: &str = "/var/run/ruddle.pid";

/// Continues in the background: a new session, no terminal, standard streams to nowhere. The
/// caller's process ends with success, so whatever can fail loudly (listening, above all) should be
/// done before. The working directory and other open files stay.
///
/// Must be called before a thread is started: only the calling thread lives on.
///
/// Compat: one fork, as upstream. A second one would only keep the server from acquiring a terminal
/// by opening one, and it opens none.
///
/// # Errors
/// The system refuses to fork, or has no `/dev/null`.
pub fn to_background() -> io::Result<()> {
    nix::unistd::daemon(true, false).map_err(io::Error::from)
}

/// Where the process id is to be written, if anywhere.
pub fn pidfile_path(settings: &Settings) -> Option<PathBuf> {
    match &settings.pidfile {
        None if settings.daemonize => Some(PathBuf::from(DEFAULT_PIDFILE)),
        configured => configured.clone(),
    }
}

/// A written pidfile; removed when this is dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes this process's id to `path`, replacing what is there. Call after [`to_background`].
    ///
    /// # Errors
    /// The file cannot be written. Compat: upstream serves without it; log the error and go on.
    pub fn write(path: &Path) -> io::Result<PidFile> {
        let path = std::path::absolute(path)?;
        fs::write(&path, format!("{}\n", std::process::id()))?;
        Ok(PidFile { path })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Someone may have removed it already; there is nothing to be done about other errors.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_pidfile_lives_as_long_as_its_owner() {
        let path = std::env::temp_dir().join(format!("ruddle-pid-{}", std::process::id()));
        let file = PidFile::write(&path).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{}\n", std::process::id())
        );
        drop(file);
        assert!(!path.exists());
        assert!(PidFile::write(Path::new("/nonexistent/x")).is_err());
    }

    #[test]
    fn a_daemon_has_a_pidfile_by_default() {
        let mut settings = Config::default().settings().clone();
        assert_eq!(pidfile_path(&settings), None);
        settings.daemonize = true;
        assert_eq!(
            pidfile_path(&settings),
            Some(PathBuf::from(DEFAULT_PIDFILE))
        );
        settings.pidfile = Some(PathBuf::from("x"));
        assert_eq!(pidfile_path(&settings), Some(PathBuf::from("x")));
    }
}
