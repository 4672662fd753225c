from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from services.registry.catalogue import CatalogueError, load, size_bytes
from services.registry.hub import Hub
from services.registry.references import Refusal, parse
from tests.unit.registry.support import make_hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    return make_hub(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.14.2", "docker.io/library/nginx:1.14.2"),
        ("docker.io/library/nginx:alpine", "docker.io/library/nginx:alpine"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("luksa/kubia:v2", "docker.io/luksa/kubia:v2"),
        ("somebody/something:any", "docker.io/somebody/something:any"),
        ("quay.io/some/thing", "quay.io/some/thing:latest"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        ("k8s.gcr.io/pause:3.9", "k8s.gcr.io/pause:3.9"),
    ],
)
def test_names_that_stand_for_something(hub: Hub, name: str, reference: str) -> None:
    assert hub.resolve(name)[0] == reference


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("crane", "denied"),
        ("nosuchofficialimage", "denied"),
        ("library/nothing", "denied"),
        ("somebody/does-not-exist", "denied"),
        ("nginx:nope", "missing-tag"),
        ("luksa/kubia:v9", "missing-tag"),
        ("registry.k8s.io/nothing", "missing-tag"),
        ("nginx@sha256:" + "0" * 64, "missing-tag"),
        ("Nginx", "invalid"),
        ("nginx:", "invalid"),
        ("a b", "invalid"),
        ("", "invalid"),
        ("../../etc/passwd", "invalid"),
        ("x" * 300, "invalid"),
        ("nginx@sha256:12", "invalid"),
    ],
)
def test_names_that_are_refused(hub: Hub, name: str, kind: str) -> None:
    with pytest.raises(Refusal) as caught:
        hub.resolve(name)
    assert caught.value.kind == kind


def test_digests_are_the_same_on_every_start(hub: Hub, tmp_path: Path) -> None:
    again = make_hub(tmp_path)
    for name in ("nginx", "luksa/kubia:v1", "somebody/app"):
        assert hub.resolve(name)[1].digest == again.resolve(name)[1].digest


def test_tags_of_one_image_share_its_digest(hub: Hub) -> None:
    assert hub.resolve("busybox")[1] == hub.resolve("busybox:1.37")[1]
    assert hub.resolve("luksa/kubia:v1")[1].digest != hub.resolve("luksa/kubia:v2")[1].digest


def test_images_on_one_base_share_its_layers(hub: Hub) -> None:
    nginx, redis = (hub.resolve(name)[1] for name in ("nginx", "redis"))
    assert nginx.layers[0].digest == redis.layers[0].digest
    assert nginx.layers[-1].digest != redis.layers[-1].digest


def test_by_digest(hub: Hub) -> None:
    digest = hub.resolve("nginx")[1].digest
    assert hub.resolve(f"nginx@{digest}")[1] == hub.resolve("nginx")[1]


def test_every_image_of_the_catalogue_can_be_built(hub: Hub) -> None:
    for repository, entry in hub.catalogue.images.items():
        for group in entry.tags:
            _, image = hub.resolve(f"{repository}:{group[0]}", "orrery")
            assert all(layer.size >= 0 for layer in image.layers)
            assert image.entrypoint or image.cmd, repository


def test_programs_of_the_catalogue_exist_in_their_images(hub: Hub) -> None:
    for repository, entry in hub.catalogue.images.items():
        for group in entry.tags:
            _, image = hub.resolve(f"{repository}:{group[0]}", "orrery")
            if image.behaviour:
                named = json.loads(image.behaviour)["program"]
                paths = {file.path: file.mode for layer in image.layers for file in hub.files(layer)}
                for program in named if isinstance(named, list) else [named]:
                    assert paths.get(program, 0) & 0o111, (repository, program)


@pytest.mark.parametrize(
    ("text", "size"), [("57MB", 57_000_000), ("1.5 kB", 1500), ("2GiB", 2 * 1024**3), ("900", 900), (0, 0)]
)
def test_sizes(text: object, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("images: {x: {colour: red}}", "a.yaml: image x: unknown field 'colour'"),
        ("images: {x: {base: nothing}}", "a.yaml: image x: there is no layer nothing"),
        ("layers: {x: {size: big}}", "a.yaml: layer x: not a size: big"),
        ("- just a list", "a.yaml: a table is wanted at the top"),
        ("a: [", "a.yaml:"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, document: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(document)
    problems = load(tmp_path).problems
    assert len(problems) == 1
    assert problems[0].startswith(words)
    assert "\n" not in problems[0]


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"there are no \*\.yaml files in"):
        load(tmp_path)


def test_one_broken_image_leaves_the_others(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.yaml").write_text("images: {me/bad: {behaviour: {program: 3}}, me/good: {cmd: [x]}}")
    hub = make_hub(tmp_path / "data", images)
    assert hub.resolve("me/good")[0] == "docker.io/me/good:latest"
    with pytest.raises(Refusal) as caught:
        hub.resolve("me/bad")
    assert str(caught.value) == (
        "the image catalogue is wrong: a.yaml: image me/bad: behaviour.program: an absolute path is wanted"
    )


BOOKS = Path("/work/shared/manifests")


@pytest.mark.parametrize(
    "image",
    [
        *("luksa/kubia", "luksa/kubia:v1", "luksa/kubia:v2", "luksa/kubia:v3", "luksa/kubia:v4"),
        *("luksa/kubia-unhealthy", "luksa/batch-job", "luksa/ssd-monitor", "luksa/fortune:env", "luksa/curl"),
        *("kiamol/ch02-hello-kiamol", "kiamol/ch02-whoami", "kiamol/ch03-numbers-api", "kiamol/ch03-sleep"),
        *("kiamol/ch03-numbers-web", "kiamol/ch03-numbers-web:v2", "heejeong/crane"),
        *(
            "nginx",
            "httpd",
            "caddy",
            "redis",
            "memcached",
            "mysql",
            "mariadb",
            "postgres",
            "mongo",
            "rabbitmq",
        ),
        *(
            "busybox",
            "alpine",
            "ubuntu",
            "debian",
            "python:3.12-slim",
            "node:22-alpine",
            "golang:1.25-alpine",
        ),
        *("openjdk:17", "eclipse-temurin:21-jre", "tomcat:10", "wordpress:6.8-apache", "ghost", "nextcloud"),
        *(
            "haproxy",
            "traefik:v3.6",
            "registry:2",
            "hello-world",
            "fluentd",
            "prom/prometheus",
            "jenkins/jenkins",
        ),
        *(
            "grafana/grafana",
            "hashicorp/vault",
            "hashicorp/consul",
            "zookeeper",
            "apache/kafka",
            "bitnami/kafka",
        ),
        *("curlimages/curl", "nicolaka/netshoot", "hashicorp/http-echo", "traefik/whoami"),
        *("stefanprodan/podinfo", "k8s.gcr.io/pause:3.1", "registry.k8s.io/pause:3.10.1"),
        *("registry.k8s.io/e2e-test-images/agnhost:2.53", "registry.k8s.io/echoserver:1.4"),
        *(
            "registry.k8s.io/nginx-slim:0.8",
            "registry.k8s.io/hpa-example",
            "gcr.io/google-samples/hello-app:1.0",
        ),
    ],
)
def test_what_people_use_is_known_by_name(hub: Hub, image: str) -> None:
    _, repository, tag = parse(image)
    assert repository in hub.catalogue.images, f"{repository} is only the generic server"
    hub.image(repository, tag)


@pytest.mark.skipif(not BOOKS.is_dir(), reason="the manifests of the books are not on this machine")
def test_every_image_of_the_books_is_known(hub: Hub) -> None:
    named = {
        match[1]
        for path in BOOKS.rglob("*.yaml")
        for match in re.finditer(r"image: *[\"']?([^\s\"']+)", path.read_text())
    }
    assert named
    for image in named:
        _, repository, tag = parse(image)
        assert repository in hub.catalogue.images, image
        hub.image(repository, tag)


def test_the_catalogue_has_no_problems(hub: Hub) -> None:
    assert hub.catalogue.problems == ()


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("127.0.0.1:5001/crane", "docker.io/library/crane"),
        ("localhost:5001/me/app:v1", "docker.io/me/app"),
        ("localhost/me/app", "docker.io/me/app"),
        ("127.0.0.1:5001/quay.io/x/y", "quay.io/x/y"),
        ("registry.example.com:5000/me/app", "registry.example.com:5000/me/app"),
    ],
)
def test_this_registry_under_its_own_address_is_the_hub(name: str, repository: str) -> None:
    assert parse(name)[1] == repository


def test_digests_agree_between_the_doors(hub: Hub) -> None:
    _, image = hub.resolve("nginx")
    for digest, document in image.documents.items():
        assert "sha256:" + hashlib.sha256(document.data).hexdigest() == digest
    for layer in image.layers:
        assert "sha256:" + hashlib.sha256(layer.blob()).hexdigest() == layer.digest
        assert len(layer.blob()) == layer.length


def test_private_repositories_are_their_owners(hub: Hub) -> None:
    with pytest.raises(Refusal) as caught:
        hub.resolve("orrery/private")
    assert caught.value.kind == "denied"
    with pytest.raises(Refusal):
        hub.resolve("orrery/private", "me")
    assert hub.resolve("orrery/private", "orrery")[0] == "docker.io/orrery/private:latest"
    assert "docker.io/orrery/private" not in hub.names()
    assert "docker.io/orrery/private" in hub.names("orrery")
