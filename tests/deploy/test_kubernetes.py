"""deploy/kubernetes: kustomize builds it, valid, under the restricted standard; its placeholders are refused."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.api.server import GRACE_S
from service.settings import SettingsError, describe, load

HERE = Path(__file__).parents[2] / "deploy" / "kubernetes"
Manifest = dict[str, Any]


def _documents(path: Path) -> list[Manifest]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


KUSTOMIZATION = _documents(HERE / "kustomization.yaml")[0]
MANIFESTS = [one for name in KUSTOMIZATION["resources"] for one in _documents(HERE / name)]
SECRET = _documents(HERE / "secret.example.yaml")[0]
DATA = next(one["data"] for one in MANIFESTS if one["kind"] == "ConfigMap")


def _pod(manifest: Manifest) -> Manifest | None:
    spec = manifest.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    found: Manifest | None = spec.get("template", {}).get("spec")
    return found


PODS = [(one, pod) for one in MANIFESTS if (pod := _pod(one))]
STAYING = [(one, pod) for one, pod in PODS if one["kind"] == "Deployment"]


@pytest.mark.parametrize("manifest", [*MANIFESTS, SECRET], ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_each_manifest_is_valid(manifest: Manifest) -> None:
    kubernetes_validate.validate(manifest, "1.32", strict=True)


def test_each_file_is_in_the_kustomization() -> None:
    there = {path.name for path in HERE.glob("*.yaml")}
    assert there == {*KUSTOMIZATION["resources"], "kustomization.yaml", "secret.example.yaml"}


def test_kustomize_builds_it() -> None:
    tool = shutil.which("kubectl")
    if tool is None:
        pytest.skip("There is no kubectl here: the manifests were checked one by one.")
    done = subprocess.run([tool, "kustomize", str(HERE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert len(built) == len(MANIFESTS)
    for one in built:
        kubernetes_validate.validate(one, "1.32", strict=True)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "enlace"
        for pod in filter(None, [_pod(one)]):
            assert pod["containers"][0]["image"] == "registry.example.org/enlace:0.1.0"


def test_what_runs() -> None:
    found = {(one["kind"], one["metadata"]["name"]) for one in MANIFESTS}
    deployments = {("Deployment", name) for name in ("api", "worker", "adt-listener")}
    wanted = {("Job", "migrate"), ("CronJob", "backup"), ("Service", "api"), ("Service", "adt-listener")}
    assert found >= deployments | wanted | {("PodDisruptionBudget", "api"), ("NetworkPolicy", "nothing-unless-named")}
    verbs = {one["metadata"]["name"]: pod["containers"][0]["command"][:2] for one, pod in PODS}
    assert verbs == {
        "api": ["enlace", "serve"],
        "worker": ["enlace", "worker"],
        "adt-listener": ["enlace", "adt-listener"],
        "migrate": ["enlace", "migrate"],
        "backup": ["sh", "-c"],
    }


@pytest.mark.parametrize(("manifest", "pod"), PODS, ids=lambda one: one.get("kind", ""))
def test_each_pod_is_under_the_restricted_standard(manifest: Manifest, pod: Manifest) -> None:
    assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
    context = pod["securityContext"]
    assert context["runAsNonRoot"] and context["runAsUser"] == context["fsGroup"] == 10001
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= set(container["resources"]["requests"]) and "memory" in container["resources"]["limits"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/run/secrets/enlace", "/tmp", "/app/var"}


@pytest.mark.parametrize(("manifest", "pod"), STAYING, ids=lambda one: one.get("metadata", {}).get("name", ""))
def test_a_rolling_update_loses_no_request(manifest: Manifest, pod: Manifest) -> None:
    spec, (container,) = manifest["spec"], pod["containers"]
    # Nobody asks the worker; its volume can be in one place only.
    asked = manifest["metadata"]["name"] != "worker"
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": int(not asked), "maxSurge": int(asked)}
    drain = int(DATA["ENLACE_DRAIN_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] > drain + GRACE_S + 5
    ready = container["readinessProbe"]
    assert ready["periodSeconds"] * ready["failureThreshold"] < drain
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("readiness", "liveness", "startup")}
    assert paths == {"readiness": "/readyz", "liveness": "/healthz", "startup": "/healthz"}
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    assert ports[ready["httpGet"]["port"]] in ("8000", DATA["ENLACE_HEALTH_PORT"])


def test_receipts_of_the_audit_outlive_their_pod() -> None:
    (worker,) = (pod for one, pod in PODS if one["metadata"]["name"] == "worker")
    claims = {volume["name"]: volume.get("persistentVolumeClaim", {}).get("claimName") for volume in worker["volumes"]}
    assert ("PersistentVolumeClaim", claims["var"]) in {(one["kind"], one["metadata"]["name"]) for one in MANIFESTS}


def test_selectors_find_their_pods() -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"] for one, _ in STAYING]
    for one in MANIFESTS:
        if one["kind"] in ("Service", "PodDisruptionBudget"):
            wanted = one["spec"]["selector"]
            wanted = wanted.get("matchLabels", wanted)
            assert any(wanted.items() <= found.items() for found in labels), one["metadata"]["name"]


def _environment(tmp_path: Path, **changed: str) -> dict[str, str]:
    """What a container would see: ConfigMap and Secret, the keys as files."""
    given = SECRET["stringData"] | changed
    for name in ("secret.key", "audit.key"):
        (tmp_path / name).write_text(given[name])
        (tmp_path / name).chmod(0o440)
    files = {f"ENLACE_{name}_KEY_FILE": str(tmp_path / f"{name.lower()}.key") for name in ("SECRET", "AUDIT")}
    return DATA | files | {"ENLACE_DATABASE_URL": given["ENLACE_DATABASE_URL"]}


def test_the_settings_are_known_and_fit_production(tmp_path: Path) -> None:
    assert set(DATA) <= {name for name, _default, _sentence in describe()}
    url = "postgresql://enlace:x7Gq9@postgres.example.org:5432/enlace"
    keys = {"secret.key": "k" * 64, "audit.key": "a" * 64}
    load(_environment(tmp_path, ENLACE_DATABASE_URL=url, **keys)).check()


def test_each_placeholder_of_the_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(_environment(tmp_path)).check()
    named = {problem.split()[0] for problem in caught.value.problems}
    assert named == {"ENLACE_DATABASE_URL", "ENLACE_SECRET_KEY_FILE", "ENLACE_AUDIT_KEY_FILE"}
