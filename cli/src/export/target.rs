//! The target of an export: standard output, or a file that is created atomically.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::failure::Failure;

/// The permissions of a new file, before the umask.
const MODE: u32 = 0o666;

/// An open target.
pub(super) enum Target {
    Stdout(io::Stdout),
    /// A temporary file in the same folder, renamed at the end.
    New {
        file: BufWriter<NamedTempFile>,
        path: PathBuf,
        replace: bool,
    },
    /// A pipe or a device, which is written directly.
    Special(File),
}

impl Target {
    /// Opens a target. An existing file is an error unless it may be replaced.
    pub(super) fn open(path: &Path, replace: bool) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::Stdout(io::stdout()));
        }
        let failed = |error| Failure::file(path, error);
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
            Ok(found) if !found.is_file() => {
                return File::options().write(true).open(path).map(Self::Special).map_err(failed);
            }
            Ok(_) if !replace => return Err(already_exists(path)),
            _ => {}
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut named = tempfile::Builder::new();
        named.prefix(".flashsale-export-").permissions(std::fs::Permissions::from_mode(MODE));
        let file = BufWriter::new(named.tempfile_in(folder).map_err(failed)?);
        Ok(Self::New { file, path: path.to_owned(), replace })
    }

    /// Flushes the target, and gives a new file its final name.
    pub(super) fn commit(self) -> Result<(), Failure> {
        match self {
            Self::Stdout(mut out) => out.flush().map_err(Failure::Output),
            Self::Special(_) => Ok(()),
            Self::New { file, path, replace } => {
                let failed = |error| Failure::file(&path, error);
                let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
                file.as_file().sync_all().map_err(failed)?;
                let renamed = if replace { file.persist(&path) } else { file.persist_noclobber(&path) };
                match renamed {
                    Ok(_) => Ok(()),
                    Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                        Err(already_exists(&path))
                    }
                    Err(error) => Err(failed(error.error)),
                }
            }
        }
    }
}

fn already_exists(path: &Path) -> Failure {
    Failure::Usage(format!("{} already exists: pass --force to overwrite it", path.display()))
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::New { file, .. } => file.write(bytes),
            Self::Special(file) => file.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::New { file, .. } => file.flush(),
            Self::Special(file) => file.flush(),
        }
    }
}
