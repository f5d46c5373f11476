//! The examples of a cluster under `deploy/`: each role's short and whole configuration mean the same, the compose file runs what is there and
//! agrees with the configurations that it mounts, and the secrets that it draws can be read.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::super::Config;
use super::example;
use super::yaml::{self, Yaml};
use crate::data_dir;

/// The roles, by the names of their commands.
const ROLES: [&str; 3] = ["ingest", "opt-out", "aggregator"];
/// What a stop may take beside the requests that are under way: the forwarder's last frames, the journal's, the leave from a group. A stop that
/// is cut short loses nothing that was answered.
const STOP_SLACK: Duration = Duration::from_secs(15);

fn of_role(role: &str, ending: &str) -> Config {
    let name = format!("cluster/{role}{ending}");
    Config::parse(&example(&name), Some(Path::new(&name))).unwrap_or_else(|error| panic!("{error}"))
}

fn deploy(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

#[test]
fn the_short_and_the_whole_example_of_a_role_mean_the_same() {
    for role in ROLES {
        let short = of_role(role, ".toml");
        assert_eq!(short, of_role(role, ".full.toml"), "{role}");
        assert!(short.kafka.is_on(), "{role} is a part of a cluster");
    }
}

#[test]
fn the_whole_examples_say_what_the_whole_example_of_all_says() {
    let filled = Command::new(deploy("cluster/fill")).arg("--check").output().expect("the script runs");
    assert!(filled.status.success(), "{}", String::from_utf8_lossy(&filled.stderr));
}

#[test]
fn the_roles_of_the_examples_belong_to_one_cluster() {
    let [ingest, opt_out, aggregator] = ROLES.map(|role| of_role(role, ".toml"));
    for other in [&opt_out, &aggregator] {
        assert_eq!(ingest.kafka, other.kafka);
        assert_eq!(ingest.key_file, other.key_file);
    }
    assert!(aggregator.store.has_servers(), "several aggregators meet in servers");
    assert_eq!(ingest.opt_out.lease_seconds, opt_out.opt_out.lease_seconds);
    assert!(!ingest.opt_out.heartbeat_urls.is_empty(), "nodes go on measuring while Kafka is away");
}

#[test]
fn the_first_catalog_can_be_published() {
    let catalog = catalog::Catalog::parse(&example("cluster/catalog.toml"), "catalog.toml");
    assert!(!catalog.expect("is right").campaigns.is_empty());
}

#[test]
fn the_secrets_are_drawn_once_and_can_be_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    let folders = ["keys", "store", "users", "one", "two"].map(path);
    let draw = || {
        let drawn = Command::new(deploy("cluster/secrets")).args(&folders).output().expect("the script runs");
        assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
        String::from_utf8_lossy(&drawn.stdout).lines().count()
    };
    assert_eq!(draw(), 4, "key ring, password, two tokens");
    // Read as the roles read them, with a look at who else may.
    let read = |file: &str| data_dir::read_secret(&path(file)).expect("a secret");
    let all = || {
        ["keys/device.keys", "store/password", "one/keys/operator.token", "two/keys/operator.token"].map(read)
    };
    let first = all();
    event::key::KeyRing::from_file_text(&first[0]).expect("a key ring");
    assert_eq!(first[2], first[3], "one token for the reports of both");
    assert!(first[2].starts_with("sightline_operator_"));

    let hash =
        Sha256::digest(&first[1]).iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
    let user = || fs::read_to_string(path("users/sightline.xml")).expect("the server's user");
    assert!(user().contains(&format!("<password_sha256_hex>{hash}</password_sha256_hex>")));

    assert_eq!(draw(), 0);
    assert!(all() == first && user().contains(&hash), "nothing that is there is drawn anew");
    fs::remove_dir_all(path("two")).expect("removed");
    assert_eq!(draw(), 1);
    assert!(all() == first, "an aggregator that is added gets the same token");
}

/// The compose file.
struct Compose(Yaml);

impl Compose {
    fn read() -> Self {
        Self(yaml::read(&example("compose.yaml")).unwrap_or_else(|error| panic!("compose.yaml: {error}")))
    }

    fn services(&self) -> &BTreeMap<String, Yaml> {
        self.0.get("services").map()
    }

    /// Services that run a role, with its name.
    fn roles(&self) -> Vec<(&str, &Yaml, &str)> {
        let role = |service: &Yaml| {
            let command = service.find("command")?.list();
            ROLES.into_iter().find(|role| command.first().is_some_and(|first| first.text() == *role))
        };
        let services = self.services().iter();
        services.filter_map(|(name, service)| Some((name.as_str(), service, role(service)?))).collect()
    }
}

/// `(what is mounted, where)` of a service.
fn mounts(service: &Yaml) -> Vec<(&str, &str)> {
    let each = service.find("volumes").map_or(&[][..], Yaml::list).iter();
    each.map(|volume| {
        let mut parts = volume.text().split(':');
        (parts.next().expect("a source"), parts.next().expect("a place"))
    })
    .collect()
}

/// Which mounted thing a path in a container belongs to.
fn holds<'a>(service: &'a Yaml, path: &Path) -> Option<&'a str> {
    mounts(service).into_iter().find(|(_, place)| path.starts_with(place)).map(|(source, _)| source)
}

#[test]
fn the_compose_file_runs_two_trackers_two_aggregators_and_the_opt_out_page() {
    let compose = Compose::read();
    let mut roles: Vec<&str> = compose.roles().iter().map(|(_, _, role)| *role).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["aggregator", "aggregator", "ingest", "ingest", "opt-out"]);
    for (name, service, _) in compose.roles() {
        assert_eq!(service.get("read_only").text(), "true", "{name}");
        assert_ne!(service.get("user").text().split(':').next(), Some("0"), "{name}");
        assert_eq!(service.get("cap_drop").list()[0].text(), "ALL", "{name}");
    }
}

#[test]
fn every_service_of_the_compose_file_gets_what_it_names() {
    let compose = Compose::read();
    let volumes = compose.0.get("volumes").map();
    let networks = compose.0.get("networks").map();
    let mut used = Vec::new();
    for (name, service) in compose.services() {
        for (source, place) in mounts(service) {
            if source.starts_with('.') {
                assert!(deploy(source).is_file(), "{name} mounts {source} at {place}, which is no file");
            } else {
                assert!(volumes.contains_key(source), "{name} mounts {source}, which is no volume");
                used.push(source);
            }
        }
        for network in service.find("networks").map_or(&[][..], Yaml::list) {
            assert!(networks.contains_key(network.text()), "{name}: {}", network.text());
        }
        for (other, condition) in service.find("depends_on").map(Yaml::map).into_iter().flatten() {
            let on = compose.services().get(other).unwrap_or_else(|| panic!("{name} depends on {other}"));
            match condition.get("condition").text() {
                "service_healthy" => assert!(on.find("healthcheck").is_some(), "{other} has no health check"),
                "service_completed_successfully" => {
                    assert_ne!(on.get("restart").text(), "unless-stopped", "{other} never completes");
                }
                other => panic!("{name}: {other}"),
            }
        }
        let image = service.get("image").text();
        let first = image.split('/').next().unwrap_or_default();
        assert!(!first.contains('.'), "{name}: {image} names a registry");
        for script in service.find("entrypoint").map_or(&[][..], Yaml::list) {
            let own = script.text().strip_prefix("/usr/local/bin/sightline-").expect("a script of the image");
            let line = format!("COPY deploy/cluster/{own} {}\n", script.text());
            assert!(example("cluster/Dockerfile").contains(&line), "the image has no {}", script.text());
        }
    }
    for volume in volumes.keys() {
        assert!(used.contains(&volume.as_str()), "nobody mounts the volume {volume}");
    }
    let build = compose.services()["ingest-1"].get("build");
    let context = deploy(build.get("context").text());
    assert!(context.join("Cargo.lock").is_file() && context.join(build.get("dockerfile").text()).is_file());
}

#[test]
fn what_a_configuration_names_is_mounted_and_its_ports_are_those_of_the_service() {
    let compose = Compose::read();
    for (name, service, role) in compose.roles() {
        let command: Vec<&str> = service.get("command").list().iter().map(Yaml::text).collect();
        let [_, "--config", at] = *command else { panic!("{name}: {command:?}") };
        let source =
            holds(service, Path::new(at)).unwrap_or_else(|| panic!("{name}: nothing mounted at {at}"));
        assert_eq!(source, format!("./cluster/{role}.toml"), "{name}");
        let config = of_role(role, ".toml");

        let named = [Some(&config.data), config.key_file.as_ref(), config.store.password_file.as_ref()];
        for path in named.into_iter().flatten() {
            assert!(holds(service, path).is_some(), "{name}: nothing is mounted at {}", path.display());
        }
        assert_eq!(holds(service, &config.data), Some(name), "each has a data folder of its own");

        let (listen, drain) = match role {
            "ingest" => (config.tracker.listen, u64::from(config.tracker.limits.drain_seconds_max)),
            "opt-out" => (config.opt_out.listen, config.opt_out.limits.drain_seconds_max),
            _ => (config.reports.listen, 0),
        };
        assert!(listen.ip().is_unspecified() && config.admin.listen.ip().is_unspecified(), "{name}");
        for port in service.get("ports").list() {
            let parts: Vec<&str> = port.text().split(':').collect();
            assert!(
                matches!(*parts, ["127.0.0.1", _, inner] if inner == listen.port().to_string()),
                "{name}: {}, but it listens on {listen}",
                port.text()
            );
        }
        let health: Vec<&str> =
            service.get("healthcheck").get("test").list().iter().map(Yaml::text).collect();
        let admin = config.admin.listen.port().to_string();
        assert_eq!(health, ["CMD", "/usr/local/bin/sightline-ready", &admin], "{name}");

        let grace = service.get("stop_grace_period").text().strip_suffix('s').and_then(|s| s.parse().ok());
        let grace = Duration::from_secs(grace.expect("seconds"));
        assert!(grace >= Duration::from_secs(drain) + STOP_SLACK, "{name}: stopped after {grace:?}");
    }
}

#[test]
fn the_addresses_in_the_configurations_are_those_of_the_services() {
    let compose = Compose::read();
    let services = compose.services();
    let shares_network = |name: &str, other: &str| {
        let of =
            |name: &str| services[name].get("networks").list().iter().map(Yaml::text).collect::<Vec<_>>();
        of(name).iter().any(|network| of(other).contains(network))
    };
    for (name, _, role) in compose.roles() {
        let config = of_role(role, ".toml");
        let listeners = services["kafka"].get("environment").get("KAFKA_ADVERTISED_LISTENERS").text();
        for broker in &config.kafka.brokers {
            assert_eq!(listeners, format!("CLIENT://{broker}"), "{name}");
            assert!(shares_network(name, "kafka"), "{name} does not reach Kafka");
        }
        for server in config.store.servers.iter().filter(|_| role == "aggregator") {
            let ping: Vec<_> = services["clickhouse"].get("healthcheck").get("test").list().iter().collect();
            let port = server.rsplit(':').next().expect("a port");
            assert_eq!(*server, format!("http://clickhouse:{port}"));
            assert!(
                ping.iter().any(|word| word.text() == format!("http://127.0.0.1:{port}/ping")),
                "{server}"
            );
            assert!(shares_network(name, "clickhouse"), "{name} does not reach ClickHouse");
        }
        for url in &config.opt_out.heartbeat_urls {
            let port = of_role("opt-out", ".toml").opt_out.listen.port();
            assert_eq!(*url, format!("http://opt-out:{port}"));
            assert!(services.contains_key("opt-out") && shares_network(name, "opt-out"));
        }
    }
    let secrets: Vec<_> = services["secrets"].get("command").list().iter().map(Yaml::text).collect();
    for path in secrets {
        assert!(holds(&services["secrets"], Path::new(path)).is_some(), "nothing is mounted at {path}");
    }
}
