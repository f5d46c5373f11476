//! `deploy/kafka/fetch` finds a Kafka in each of its ways, in the order that it says: with stand-ins for Maven and Docker in `PATH`, and jars that
//! are empty. No network, no broker.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The jar by which a Kafka is known.
const JAR: &str = "libs/kafka_2.13-0.jar";

/// What `docker` does in place of the real one: a container is a name, and copying out of it makes a jar.
const DOCKER: &str = r#"case $1 in
    version) ;;
    create) [[ $2 == no-such/* ]] && exit 1; echo "asked for $2" >&2; echo c1 ;;
    cp) [[ $2 == c1:/opt/kafka/libs ]] && mkdir "$3" && touch "$3/kafka_2.13-0.jar" ;;
    rm) [[ $2 == c1 ]] ;;
    *) exit 2 ;;
esac"#;
/// What `mvn` does: the jars land where they are asked for.
const MAVEN: &str = r#"for argument; do
    [[ $argument == -DoutputDirectory=* ]] && mkdir -p "${argument#*=}" && touch "${argument#*=}/kafka_2.13-0.jar"
done
true"#;

/// A machine with nothing but the usual commands, and a cache of its own.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).expect("made");
        for command in [
            "bash",
            "basename",
            "cat",
            "cp",
            "cut",
            "dirname",
            "flock",
            "gzip",
            "mkdir",
            "mktemp",
            "mv",
            "rm",
            "sed",
            "sha256sum",
            "sha512sum",
            "tar",
            "touch",
        ] {
            let real = ["/usr/bin", "/bin"]
                .iter()
                .map(|bin| Path::new(bin).join(command))
                .find(|path| path.exists());
            std::os::unix::fs::symlink(real.expect(command), bin.join(command)).expect("linked");
        }
        Self { dir }
    }

    fn with(self, command: &str, script: &str) -> Self {
        let path = self.path(&format!("bin/{command}"));
        let shell = self.path("bin/bash");
        fs::write(&path, format!("#!{}\n{script}\n", shell.display())).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A folder `<name>/kafka/libs` with the one jar, and the release that is made of it.
    fn release(&self) -> PathBuf {
        let tree = self.path("release/kafka/libs");
        fs::create_dir_all(&tree).expect("made");
        fs::write(tree.join("kafka_2.13-0.jar"), b"").expect("written");
        let file = self.path("kafka.tgz");
        let packed = Command::new("tar")
            .arg("-czf")
            .arg(&file)
            .arg("-C")
            .arg(self.path("release"))
            .arg("kafka")
            .status();
        assert!(packed.expect("tar runs").success());
        file
    }

    fn fetch(&self, variables: &[(&str, &str)]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka/fetch");
        Command::new(self.path("bin/bash"))
            .arg(script)
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .envs(variables.iter().copied())
            .output()
            .expect("the script runs")
    }

    /// The folder that was printed, after a look that there is a Kafka in it.
    fn found(&self, variables: &[(&str, &str)]) -> PathBuf {
        let output = self.fetch(variables);
        assert!(output.status.success(), "{}", said(&output));
        let home = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end());
        assert!(home.join(JAR).is_file(), "no jar in {}", home.display());
        home
    }

    fn refused(&self, variables: &[(&str, &str)]) -> String {
        let output = self.fetch(variables);
        assert!(!output.status.success() && output.stdout.is_empty(), "{}", said(&output));
        let left = fs::read_dir(self.path("cache/sightline")).into_iter().flatten();
        let left: Vec<_> = left.map(|entry| entry.expect("an entry").file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().contains(".part.")), "left behind: {left:?}");
        said(&output)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn an_installed_kafka_comes_before_all_else() {
    let machine = Machine::new().with("mvn", "exit 1").with("docker", "exit 1");
    machine.release();
    let home = machine.path("release/kafka");
    assert_eq!(machine.found(&[("KAFKA_HOME", text(&home)), ("KAFKA_IMAGE", "a/b")]), home);
    let empty = machine.path("bin");
    assert!(machine.refused(&[("KAFKA_HOME", text(&empty))]).contains("KAFKA_HOME names no Kafka"));
}

#[test]
fn a_release_is_unpacked_once_and_checked_where_its_sum_is_known() {
    let machine = Machine::new();
    let file = machine.release();
    let named = [("KAFKA_TARBALL", text(&file))];
    let home = machine.found(&named);
    assert_eq!(machine.found(&named), home);
    assert_eq!(said(&machine.fetch(&named)), "", "the second time nothing is done");

    let wrong = machine.refused(&[("KAFKA_TARBALL", text(&file)), ("KAFKA_TARBALL_SHA512", "00")]);
    assert!(wrong.contains("not the one in KAFKA_TARBALL_SHA512"), "{wrong}");
    let missing = machine.refused(&[("KAFKA_TARBALL", "none.tgz")]);
    assert!(missing.contains("none.tgz, which is no file"), "{missing}");
    let script = machine.path("bin/mvn");
    fs::write(&script, "text").expect("written");
    assert!(machine.refused(&[("KAFKA_TARBALL", text(&script))]).contains("no gzipped tar file"));
    let no_loader = machine.refused(&[("KAFKA_TARBALL", "https://example.com/kafka.tgz")]);
    assert!(no_loader.contains("neither curl nor wget"), "{no_loader}");
}

#[test]
fn a_release_is_loaded_from_its_address() {
    let machine = Machine::new();
    let file = machine.release();
    let curl = format!(
        "for last; do :; done; [[ $last == https://example.com/k.tgz ]] && cp {} \"$6\"",
        text(&file)
    );
    let machine = machine.with("curl", &curl);
    machine.found(&[("KAFKA_TARBALL", "https://example.com/k.tgz")]);
    let gone = machine.refused(&[("KAFKA_TARBALL", "https://example.com/other.tgz")]);
    assert!(gone.contains("could not be loaded"), "{gone}");
}

#[test]
fn the_jars_are_copied_out_of_an_image() {
    let machine = Machine::new().with("docker", DOCKER).with("mvn", "exit 1");
    let named = [("KAFKA_IMAGE", "apache/kafka:1")];
    let home = machine.found(&named);
    assert_eq!(machine.found(&named), home);
    assert_ne!(machine.found(&[("KAFKA_IMAGE", "apache/kafka:2")]), home, "another image is another Kafka");
    assert!(machine.refused(&[("KAFKA_IMAGE", "no-such/image")]).contains("has no image no-such/image"));

    let machine = Machine::new().with("docker", "exit 1");
    assert!(machine.refused(&named).contains("its daemon does not answer"));
    assert!(Machine::new().refused(&named).contains("needs docker"));
}

#[test]
fn without_a_word_maven_is_asked_and_then_docker() {
    let machine = Machine::new().with("mvn", MAVEN).with("docker", "exit 1");
    let home = machine.found(&[]);
    assert_eq!(machine.found(&[]), home);
    // What is in the cache needs neither.
    let machine = machine.with("mvn", "exit 1");
    assert_eq!(machine.found(&[]), home);

    let machine = Machine::new().with("mvn", "exit 1").with("docker", DOCKER);
    let output = machine.fetch(&[]);
    assert!(said(&output).contains("asked for apache/kafka:"), "{}", said(&output));
    machine.found(&[]);

    let told = Machine::new().with("mvn", "exit 1").refused(&[]);
    for way in ["Maven", "KAFKA_HOME", "KAFKA_TARBALL", "KAFKA_IMAGE"] {
        assert!(told.contains(way), "{way}: {told}");
    }
}
