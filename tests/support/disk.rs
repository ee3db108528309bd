//! A file system of the test's own, which it may fill up or shut down. It needs root and loop devices.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An ext4 in a file, mounted.
pub struct Disk {
    image: PathBuf,
    pub mounted: PathBuf,
    _temporary: tempfile::TempDir,
}

impl Disk {
    /// Make one of so many bytes and mount it. `None`, and a word about why, where that cannot be done.
    pub fn attach(bytes: u64) -> Option<Disk> {
        let temporary = tempfile::tempdir().unwrap();
        let disk = Disk {
            image: temporary.path().join("image"),
            mounted: temporary.path().join("mounted"),
            _temporary: temporary,
        };
        std::fs::create_dir(&disk.mounted).unwrap();
        File::create(&disk.image).unwrap().set_len(bytes).unwrap();
        // No blocks are kept back for root, who the test runs as: full is to mean full.
        let made = run("mkfs.ext4", &["-q", "-F", "-m", "0", path(&disk.image)]).and_then(|()| disk.mount());
        match made {
            Ok(()) => Some(disk),
            Err(reason) => {
                println!("skipped: no ext4 of our own can be mounted here: {reason}");
                None
            }
        }
    }

    /// Take it away and bring it back, as a restart of the machine does.
    pub fn remount(&self) {
        run("umount", &[path(&self.mounted)]).unwrap();
        self.mount().unwrap();
    }

    /// End all writing as a power cut does: from here on nothing reaches the image, neither data nor journal.
    #[allow(unsafe_code)]
    pub fn cut_power(&self) {
        /// `EXT4_IOC_SHUTDOWN`, which is `_IOR('X', 125, __u32)`.
        const SHUTDOWN: libc::c_ulong = 0x8004_587d;
        /// Neither data nor journal are flushed.
        const NO_LOG_FLUSH: u32 = 2;
        let directory = File::open(&self.mounted).unwrap();
        // SAFETY: the descriptor is open for the call, and the kernel reads four bytes from the pointer.
        let result = unsafe { libc::ioctl(directory.as_raw_fd(), SHUTDOWN, &NO_LOG_FLUSH) };
        assert_eq!(result, 0, "EXT4_IOC_SHUTDOWN: {}", std::io::Error::last_os_error());
    }

    fn mount(&self) -> Result<(), String> {
        // The journal must not commit by itself: the syncs alone are to count.
        run(
            "mount",
            &["-o", "loop,commit=300", path(&self.image), path(&self.mounted)],
        )
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run("umount", &["-l", path(&self.mounted)]);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}
