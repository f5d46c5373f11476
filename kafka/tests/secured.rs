//! Against a real Kafka that lets in only whom it knows: TLS, passwords (SCRAM and PLAIN), and the rights that `deploy/kafka/topics.md` lists. The
//! commands of that page are run as they stand there, so that they are known to be enough and not more.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kafka::{Cluster, Error, Placed, Settings, Topic};

const STEP: Duration = Duration::from_millis(100);
const ANSWER: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_mins(1);

/// The administrator's password and those of the others, who have no rights but those of the page.
const ADMIN: &str = "admin-password";
const USERS: [&str; 4] = ["ingest", "opt-out", "aggregator", "operator"];

/// An authority, and what a broker needs to speak TLS.
struct Certificates {
    authority: String,
    /// Private key and certificate, as Kafka reads them from one file.
    broker: String,
}

impl Certificates {
    fn new() -> Self {
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "Test authority");
        let certificate = authority.self_signed(&authority_key).expect("signed");
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let broker_key = rcgen::KeyPair::generate().expect("a key");
        let broker = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let broker = broker.signed_by(&broker_key, &issuer).expect("signed");
        Self { authority: certificate.pem(), broker: broker_key.serialize_pem() + &broker.pem() }
    }
}

/// A broker with one user who may do everything, and what its clients need.
struct Secured {
    dir: tempfile::TempDir,
    /// Where it is, as clients know it.
    address: String,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka").join(name)
}

/// Runs a script of `deploy/kafka`; what it printed.
fn run(name: &str, arguments: &[&str]) -> String {
    let done = Command::new(script(name)).args(arguments).env("KAFKA_START_SECONDS", "240").output();
    let done = done.expect("the script runs");
    assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

impl Secured {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let certificates = Certificates::new();
        fs::write(dir.path().join("ca.pem"), &certificates.authority).expect("written");
        fs::write(dir.path().join("other-ca.pem"), Certificates::new().authority).expect("written");
        fs::write(dir.path().join("broker.pem"), &certificates.broker).expect("written");
        let users = USERS.map(|user| format!("user_{user}=\"{user}-password\"")).join(" ");
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required";
        let properties = [
            "listener.security.protocol.map=CLIENT:SASL_SSL,CONTROLLER:PLAINTEXT".to_owned(),
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512".to_owned(),
            "sasl.mechanism.inter.broker.protocol=PLAIN".to_owned(),
            format!(
                "listener.name.client.plain.sasl.jaas.config={plain} username=\"admin\" password=\"{ADMIN}\" user_admin=\"{ADMIN}\" {users};"
            ),
            "listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
            "ssl.keystore.type=PEM".to_owned(),
            format!("ssl.keystore.location={}", dir.path().join("broker.pem").display()),
            "ssl.truststore.type=PEM".to_owned(),
            format!("ssl.truststore.location={}", dir.path().join("ca.pem").display()),
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
            // The controller's listener, which nobody but the broker itself uses, knows no names.
            "super.users=User:admin;User:ANONYMOUS".to_owned(),
        ];
        let mut arguments: Vec<&str> = properties.iter().flat_map(|property| ["-s", property]).collect();
        let kafka = dir.path().join("kafka").display().to_string();
        arguments.push(&kafka);
        let address = run("start", &arguments);
        let client = format!(
            "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nssl.truststore.type=PEM\nssl.truststore.location={}\n\
             sasl.jaas.config={plain} username=\"admin\" password=\"{ADMIN}\";\n",
            dir.path().join("ca.pem").display()
        );
        fs::write(dir.path().join("admin.properties"), client).expect("written");
        Self { dir, address }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the commands of the page that call `tool`, with this broker and the changes that one broker needs.
    fn run_page(&self, tool: &str, class: &str, changes: &[(&str, &str)]) {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka/topics.md");
        let page = fs::read_to_string(page).expect("the page");
        let lines: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(tool)).collect();
        assert!(!lines.is_empty(), "no command {tool} on the page");
        let libs = format!("{}/libs/*", run("fetch", &[]));
        for line in lines {
            let mut line = line
                .replace("kafka-1:9092", &self.address)
                .replace("admin.properties", &self.path("admin.properties").display().to_string());
            for (from, to) in changes {
                line = line.replace(from, to);
            }
            let done = Command::new("java")
                .args(["-XX:TieredStopAtLevel=1", "-cp", &libs, class])
                .args(line.split_whitespace())
                .output()
                .expect("java runs");
            let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{tool} {line}: {said}");
        }
    }

    /// Settings of a user.
    fn settings(&self, user: &str, mechanism: &str, password: &str, authority: &str) -> Settings {
        let file = self.path(&format!("{user}.password"));
        fs::write(&file, format!("{password}\n")).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("chmod");
        let properties = [
            ("security.protocol", "SASL_SSL"),
            ("ssl.ca.location", &self.path(authority).display().to_string()),
            ("sasl.mechanism", mechanism),
            ("sasl.username", user),
        ];
        Settings {
            properties: BTreeMap::from(properties.map(|(key, value)| (key.to_owned(), value.to_owned()))),
            sasl_password_file: Some(file),
            brokers: vec![self.address.clone()],
            session_seconds_max: 6,
            ..Settings::default()
        }
    }

    fn cluster(&self, user: &str) -> Cluster {
        let mechanism = if user == "ingest" { "SCRAM-SHA-512" } else { "PLAIN" };
        let settings = self.settings(user, mechanism, &format!("{user}-password"), "ca.pem");
        Cluster::new(&settings).expect("settings")
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        run("stop", &["-k", &self.path("kafka").display().to_string()]);
    }
}

/// Sends one message; what became of it.
fn send(cluster: &Cluster, topic: Topic) -> Result<Placed, String> {
    let producer = cluster.producer().expect("a producer");
    let mut delivery = producer.send(topic, b"k", b"v", &[]).expect("there is room");
    delivery.wait(DEADLINE).expect("a fate").map_err(|error| error.to_string())
}

/// Reads a registry to its end.
fn read(cluster: &Cluster, topic: Topic) -> Result<usize, Error> {
    let mut follower = cluster.follow(topic)?;
    let end = follower.end(ANSWER)?;
    let mut count = 0;
    while follower.position() < end {
        count += usize::from(follower.next(STEP)?.is_some());
    }
    Ok(count)
}

/// The first thing that a group's member hears: a message, or why it gets none.
fn join(cluster: &Cluster) -> Result<(), Error> {
    let mut member = cluster.events().expect("a member");
    let begun = Instant::now();
    let heard = loop {
        match member.poll(STEP) {
            Ok(Some(message)) => {
                break member.commit(&[(message.partition, message.offset + 1)]).map(drop);
            }
            Ok(None) => assert!(begun.elapsed() < DEADLINE, "neither a message nor a reason"),
            Err(error) if error.to_string().to_lowercase().contains("authorization") => break Err(error),
            Err(error) => assert!(begun.elapsed() < DEADLINE, "{error}"),
        }
    };
    member.close();
    heard
}

#[test]
fn each_role_has_the_rights_of_the_page_and_needs_no_others() {
    let secured = Secured::start();
    let one_broker = [
        ("--replication-factor 3", "--replication-factor 1"),
        ("min.insync.replicas=2", "min.insync.replicas=1"),
    ];
    secured.run_page("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand", &one_broker);
    secured.run_page("kafka-acls.sh", "org.apache.kafka.tools.AclCommand", &[]);
    secured.run_page("kafka-configs.sh", "kafka.admin.ConfigCommand", &[("PASSWORD", "ingest-password")]);

    let [ingest, opt_out, aggregator, operator] = USERS.map(|user| secured.cluster(user));
    for cluster in [&ingest, &opt_out, &aggregator, &operator] {
        let begun = Instant::now();
        cluster.create_topics().expect("they are there, and each may look");
        assert!(begun.elapsed() < Duration::from_secs(4), "no waiting for what one may not see");
    }
    send(&operator, Topic::Catalog).expect("the operator publishes");
    send(&opt_out, Topic::OptOuts).expect("the opt-out role keeps the registry");
    send(&ingest, Topic::Events).expect("a tracker forwards");
    send(&aggregator, Topic::DeadLetters).expect("an aggregator sets aside");
    for cluster in [&ingest, &opt_out, &aggregator, &operator] {
        assert_eq!(read(cluster, Topic::Catalog).expect("everybody follows the catalog"), 1);
    }
    send(&aggregator, Topic::Desk).expect("an aggregator keeps the desk");
    send(&aggregator, Topic::Catalog).expect("an aggregator changes the catalog");
    assert_eq!(read(&aggregator, Topic::Desk).expect("and follows it"), 1);
    for cluster in [&ingest, &opt_out] {
        assert_eq!(read(cluster, Topic::OptOuts).expect("the registry is followed"), 1);
    }
    join(&aggregator).expect("an aggregator reads and commits");

    let none = |sent: Result<Placed, String>| {
        let why = sent.expect_err("is not allowed").to_lowercase();
        assert!(why.contains("authorization"), "{why}");
    };
    none(send(&ingest, Topic::OptOuts));
    none(send(&ingest, Topic::Catalog));
    none(send(&opt_out, Topic::Events));
    none(send(&opt_out, Topic::Catalog));
    none(send(&aggregator, Topic::Events));
    none(send(&aggregator, Topic::OptOuts));
    none(send(&operator, Topic::OptOuts));
    none(send(&ingest, Topic::Desk));
    none(send(&opt_out, Topic::Desk));
    assert!(read(&ingest, Topic::Desk).is_err(), "who may read reports is none of its business");
    assert!(read(&aggregator, Topic::OptOuts).is_err(), "who opted out is none of its business");
    assert!(join(&ingest).is_err(), "a tracker reads no events");
}

/// Waits until a follower of the catalog is told `why` it gets nothing; other reasons may come before it, such as another address of a name.
fn is_refused(settings: &Settings, why: &str) {
    let cluster = Cluster::new(settings).expect("settings");
    let mut follower = cluster.follow(Topic::Catalog).expect("a follower");
    let begun = Instant::now();
    let mut told = Vec::new();
    while !told.iter().any(|reason: &String| reason.contains(why)) {
        assert!(begun.elapsed() < DEADLINE, "not {why} but {told:?}");
        let heard = follower.next(STEP);
        if let Err(error) = heard {
            assert!(!error.is_final(), "a refusal passes once it is mended: {error}");
            told.push(error.to_string());
        } else {
            assert!(matches!(heard, Ok(None)), "it was let in");
        }
    }
}

#[test]
fn a_broker_that_is_not_the_one_it_says_and_a_wrong_password_end_in_a_reason() {
    let secured = Secured::start();
    let right = secured.settings("admin", "PLAIN", ADMIN, "ca.pem");
    let cluster = Cluster::new(&right).expect("settings");
    cluster.create_topics().expect("the right one is let in");
    send(&cluster, Topic::Catalog).expect("sent");

    let stranger = secured.settings("admin", "PLAIN", ADMIN, "other-ca.pem");
    is_refused(&stranger, "SSL");
    // The certificate is for 127.0.0.1, and this is the same broker by another name.
    let renamed =
        Settings { brokers: vec![secured.address.replace("127.0.0.1", "localhost")], ..right.clone() };
    is_refused(&renamed, "SSL");
    let wrong = secured.settings("admin", "PLAIN", "no-such-password", "ca.pem");
    is_refused(&wrong, "Authentication");
}
