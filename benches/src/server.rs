//! The servers that are compared: started with a folder of their own on one CPU, waited for, stopped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use tempfile::TempDir;

use crate::beacon::{Beacons, Campaign};
use crate::cpu::Tree;
use crate::load::{Pace, Plan, run};

/// Longest time until a server answers its first request.
const START: Duration = Duration::from_secs(20);

/// Longest time until a server has ended after SIGTERM.
const STOP: Duration = Duration::from_secs(15);

/// The campaign that every beacon of a measurement belongs to.
pub fn campaign() -> Campaign {
    Campaign { campaign: "bench".to_owned(), placement: "p1".to_owned() }
}

/// The catalog that knows it.
const CATALOG: &str = r#"
[[campaign]]
id = "bench"
name = "Measurement"
time_zone = "Asia/Shanghai"
[[campaign.placement]]
id = "p1"
name = "Placement"
medium = "Medium"
"#;

/// A running server. It ends with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: TempDir,
}

/// Keeps the calling thread, and every process that it starts from now on, on one CPU.
///
/// # Errors
/// When there is no such CPU.
pub fn stay_on(cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).with_context(|| format!("cannot run on CPU {cpu}"))
}

impl Server {
    /// nginx with `benches/nginx.conf`, which says where it listens.
    ///
    /// # Errors
    /// When nginx is not there or does not answer.
    pub fn nginx(conf: &Path, listens: &[SocketAddr]) -> Result<Self> {
        let conf = fs::canonicalize(conf).with_context(|| format!("{} is not there", conf.display()))?;
        let folder = folder()?;
        let program =
            ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("nginx"));
        command.arg("-p").arg(folder.path()).args(["-e", "stderr", "-c"]).arg(conf);
        Self::start(command, folder, listens)
    }

    /// The floor beside this program.
    ///
    /// # Errors
    /// When it does not start.
    pub fn floor(listen: SocketAddr) -> Result<Self> {
        let mut command = Command::new(beside("floor")?);
        command.arg("--listen").arg(listen.to_string());
        Self::start(command, folder()?, &[listen])
    }

    /// The product's tracker alone, with one lane and a journal of this durability (`os`, `fsync`).
    ///
    /// # Errors
    /// When the binary is not there or does not start.
    pub fn sightline(program: &Path, listen: SocketAddr, durability: &str) -> Result<Self> {
        let folder = folder()?;
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        fs::write(folder.path().join("catalog.toml"), CATALOG)?;
        let (data, catalog) = (data.display(), folder.path().join("catalog.toml"));
        let config = format!(
            "data = \"{data}\"\ncatalog = \"{}\"\n[tracker]\nlisten = \"{listen}\"\nlanes = 1\n[journal]\ndurability = \"{durability}\"\n\
             [opt_out]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n",
            catalog.display()
        );
        let path = folder.path().join("config.toml");
        fs::write(&path, config)?;
        let mut command = Command::new(program);
        command.args([OsStr::new("ingest"), OsStr::new("--config"), path.as_os_str()]);
        Self::start(command, folder, &[listen])
    }

    fn start(mut command: Command, folder: TempDir, listens: &[SocketAddr]) -> Result<Self> {
        let log = folder.path().join("log");
        command
            .stdin(std::process::Stdio::null())
            .stdout(File::create(folder.path().join("out"))?)
            .stderr(File::create(&log)?);
        let program = command.get_program().to_owned();
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let mut server = Self { child, folder };
        for listen in listens {
            if let Err(error) = server.wait_for(*listen) {
                let said = fs::read_to_string(&log).unwrap_or_default();
                bail!("{} does not answer on {listen}: {error}\n{said}", program.display());
            }
        }
        Ok(server)
    }

    /// Waits for the first answer.
    fn wait_for(&mut self, listen: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            let plan = Plan {
                address: listen,
                connections: 1,
                pace: Pace::PerSecond(20.0),
                warm_up: Duration::ZERO,
                measured: Duration::from_millis(50),
                server_pid: None,
            };
            let outcome = run(&plan, &mut Beacons::new(&listen.to_string(), &campaign(), 0));
            match outcome {
                Ok(report) if report.errors() == 0 => return Ok(()),
                _ if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
                Ok(report) => bail!("{} errors in its answers", report.errors()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory of it and its children that is in RAM, bytes.
    pub fn resident_bytes(&self) -> u64 {
        Tree::of(self.pid()).resident_bytes()
    }

    /// Its folder: configuration, log, data. It goes with this value.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it.
    ///
    /// # Errors
    /// When it did not end by itself after SIGTERM.
    pub fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            kill_process(pid, Signal::TERM)?;
        }
        let deadline = Instant::now() + STOP;
        while self.child.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                self.child.kill()?;
                self.child.wait()?;
                bail!("the server did not end within {STOP:?} of SIGTERM");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is left to be said about a server that does not want to end.
        let _ = self.stop();
    }
}

/// A folder beside the programs, on their disk: the system's folder for temporary files may lie in memory, where a sync costs nothing.
fn folder() -> Result<TempDir> {
    let programs = beside("")?;
    tempfile::Builder::new().prefix("bench-").tempdir_in(&programs).context("no folder for a server")
}

/// A program in the folder of the one that runs.
///
/// # Errors
/// When this program's own place is not known.
pub fn beside(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}
