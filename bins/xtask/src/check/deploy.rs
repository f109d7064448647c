//! The files of a deployment: every pod of the Kubernetes manifests passes the restricted profile
//! of Pod Security, the service knows how many instances there are, and the image builds.
//!
//! The profile: <https://kubernetes.io/docs/concepts/security/pod-security-standards/>.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::step::{execute, report, root};

const MANIFESTS: &str = "docs/deploy/kubernetes";

/// The sources of volumes that the profile allows.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Where the number of instances stands: the kind of the object and the place in it.
const INSTANCES: [(&str, &str); 3] = [
    ("ConfigMap", "/data/PICARCADE_EXPECTED_INSTANCES"),
    ("StatefulSet", "/spec/replicas"),
    ("HorizontalPodAutoscaler", "/spec/minReplicas"),
];

/// Fails with one line for each fault of the manifests, or if the image cannot be built.
pub(crate) fn check() -> Result<()> {
    let mut objects = Vec::new();
    for entry in fs::read_dir(root().join(MANIFESTS)).context("cannot read the manifests")?.flatten() {
        let text = fs::read_to_string(entry.path()).context("cannot read a manifest")?;
        objects.extend(documents(&text).with_context(|| format!("{}", entry.path().display()))?);
    }
    let pods = objects.iter().flat_map(|object| pod(object).map_or_else(BTreeSet::new, faults));
    report(pods.chain(disagreement(&objects)))?;
    image()
}

/// Builds the image if there is a daemon that can.
fn image() -> Result<()> {
    let mut info = Command::new("docker");
    info.arg("info").stdout(Stdio::null()).stderr(Stdio::null());
    if !info.status().is_ok_and(|status| status.success()) {
        println!("there is no docker daemon: the image is not built");
        return Ok(());
    }
    let build = ["build", "--quiet", "--file", "docs/deploy/Dockerfile", "--tag", "picarcade", "."];
    execute(Command::new("docker").args(build).current_dir(root()))
}

fn documents(text: &str) -> Result<Vec<Value>> {
    let documents = serde_norway::Deserializer::from_str(text).map(Value::deserialize);
    Ok(documents.collect::<Result<_, _>>()?)
}

/// Returns the name of an object and the specification of its pods, if it has some.
fn pod(object: &Value) -> Option<(String, &Value)> {
    let place = match object["kind"].as_str()? {
        "Pod" => "/spec",
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        _ => "/spec/template/spec",
    };
    let name = format!("{} {}", object["kind"].as_str()?, object["metadata"]["name"].as_str()?);
    Some((name, object.pointer(place)?))
}

/// Returns one line for each rule of the restricted profile that a pod breaks.
fn faults((name, spec): (String, &Value)) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            faults.insert(format!("{name}: {what}"));
        }
    };
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        demand(spec[shared] != true, &format!("{shared} must not be true"));
    }
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for volume in list(&spec["volumes"]) {
        let sources = volume.as_object().into_iter().flat_map(|volume| volume.keys());
        let is_allowed = |key: &String| key == "name" || VOLUMES.contains(&key.as_str());
        demand(sources.into_iter().all(is_allowed), "a volume has a source that is not allowed");
    }
    let of_pod = &spec["securityContext"];
    demand(list(&of_pod["sysctls"]).is_empty(), "sysctls must not be set");
    let kinds = ["containers", "initContainers", "ephemeralContainers"];
    for container in kinds.iter().flat_map(|kind| list(&spec[*kind])) {
        let own = &container["securityContext"];
        let either = |key: &str| if own[key].is_null() { &of_pod[key] } else { &own[key] };
        demand(own["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation must be false");
        demand(own["privileged"] != true, "privileged must not be true");
        let capabilities = &own["capabilities"];
        demand(list(&capabilities["drop"]).contains(&"ALL".into()), "capabilities must drop ALL");
        let is_harmless = |added: &Value| added == "NET_BIND_SERVICE";
        demand(list(&capabilities["add"]).iter().all(is_harmless), "capabilities must not be added");
        demand(*either("runAsNonRoot") == true, "runAsNonRoot must be true");
        demand(*either("runAsUser") != 0, "runAsUser must not be 0");
        let profile = either("seccompProfile")["type"].as_str();
        demand(matches!(profile, Some("RuntimeDefault" | "Localhost")), "seccompProfile must be set");
        demand(either("seLinuxOptions").is_null(), "seLinuxOptions must not be set");
        demand(own["procMount"].is_null(), "procMount must not be set");
        let is_free = |port: &Value| port["hostPort"].as_u64().unwrap_or(0) == 0;
        demand(list(&container["ports"]).iter().all(is_free), "hostPort must not be set");
    }
    faults
}

/// Returns one line if the numbers of instances differ.
fn disagreement(objects: &[Value]) -> Option<String> {
    let number = |(kind, place): (&str, &str)| {
        let object = objects.iter().find(|object| object["kind"] == kind);
        let value = object.and_then(|object| object.pointer(place));
        value.map_or_else(String::new, |value| value.to_string().trim_matches('"').to_owned())
    };
    let numbers = INSTANCES.map(number);
    let [first, others @ ..] = &numbers;
    let is_equal = !first.is_empty() && others.iter().all(|other| other == first);
    let places = INSTANCES.map(|(kind, place)| format!("{kind} {place}")).join(", ");
    (!is_equal).then(|| format!("the number of instances differs: {places}: {}", numbers.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{disagreement, documents, faults, pod};

    const GOOD: &str = "
kind: Pod
metadata: {name: a}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  volumes: [{name: data, emptyDir: {}}]
  containers:
    - securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
";

    fn faults_of(manifest: &str) -> Vec<String> {
        let objects = documents(manifest).unwrap();
        objects.iter().filter_map(pod).flat_map(faults).collect()
    }

    #[test]
    fn each_rule_of_the_restricted_profile_is_checked() {
        assert_eq!(faults_of(GOOD), Vec::<String>::new());
        for (from, to, words) in [
            ("runAsNonRoot: true", "fsGroup: 1", "runAsNonRoot must be true"),
            ("runAsNonRoot: true", "runAsNonRoot: true, runAsUser: 0", "runAsUser must not be 0"),
            ("RuntimeDefault", "Unconfined", "seccompProfile"),
            ("allowPrivilegeEscalation: false, ", "", "allowPrivilegeEscalation"),
            ("drop: [ALL]", "drop: [ALL], add: [SYS_ADMIN]", "must not be added"),
            ("drop: [ALL]", "drop: [CHOWN]", "drop ALL"),
            ("emptyDir: {}", "hostPath: {path: /}", "volume"),
            ("  volumes:", "  hostNetwork: true\n  volumes:", "hostNetwork"),
            ("    - securityContext", "    - ports: [{hostPort: 80}]\n      securityContext", "hostPort"),
        ] {
            let found = faults_of(&GOOD.replace(from, to));
            assert!(found.len() == 1 && found[0].contains(words), "{to}: {found:?}");
        }
    }

    #[test]
    fn the_numbers_of_instances_must_be_equal() {
        let of = |expected: &str| {
            let text = format!(
                "kind: ConfigMap\ndata: {{PICARCADE_EXPECTED_INSTANCES: \"{expected}\"}}\n---\n\
                 kind: StatefulSet\nspec: {{replicas: 3}}\n---\n\
                 kind: HorizontalPodAutoscaler\nspec: {{minReplicas: 3}}\n"
            );
            disagreement(&documents(&text).unwrap())
        };
        assert_eq!(of("3"), None);
        assert!(of("1").is_some() && disagreement(&[]).is_some());
    }
}
