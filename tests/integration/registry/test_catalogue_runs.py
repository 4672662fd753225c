"""The images of the catalogue, pulled over gRPC and started on a machine whose time is turned by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from services.runtime.container import Container
from services.runtime.http import Request
from services.runtime.images import ImageStore, LayerStore
from services.runtime.model import ContainerState, MountConfig, Resources
from services.runtime.network import Connection
from services.runtime.registry_client import RegistryClient
from tests.integration.registry.conftest import registry
from tests.unit.runtime.harness import Bench, bench

NUMBERS = count()
MEBIBYTE = 1024 * 1024


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Bench]:
    """A machine that pulls from a real registry."""
    async with (
        registry(tmp_path / "data") as doors,
        RegistryClient(doors.address) as client,
        bench(tmp_path / "machine") as machine,
    ):
        machine.machine.images = ImageStore(client, LayerStore())
        yield machine


async def start(it: Bench, image: str, *command: str, **fields: Any) -> Container:
    sandbox = fields.pop("sandbox", None) or it.sandbox(f"pod-{next(NUMBERS)}")
    container = await it.start(image, *command, sandbox=sandbox, **fields)
    await it.clock.advance(0)
    return container


async def get(it: Bench, container: Container, path: str = "/", port: int = 8080) -> tuple[int, str]:
    response = await it.kernel.call(
        it.machine.network.http(container.sandbox.namespace, "127.0.0.1", port, Request("GET", path))
    )
    return response.status, response.body.decode()


class TestMisbehaving:
    async def test_well(self, it: Bench) -> None:
        container = await start(it, "orrery/well")
        await it.clock.advance(1)
        assert await get(it, container) == (200, f"hello from {container.hostname}\n")
        it.kernel.spawn(container.stop(30))
        await it.clock.advance(1)
        assert (container.state, container.exit_code) == (ContainerState.EXITED, 0)

    async def test_leaky(self, it: Bench) -> None:
        limit = Resources(memory_limit_bytes=50 * MEBIBYTE)
        container = await start(it, "orrery/leaky", resources=limit)
        await it.clock.advance(3)
        assert container.state is ContainerState.RUNNING
        await it.clock.advance(3)
        assert (container.exit_code, container.reason) == (137, "OOMKilled")

    async def test_crasher(self, it: Bench) -> None:
        container = await start(it, "orrery/crasher")
        await it.clock.advance(2)
        assert container.exit_code == 1
        assert it.log(container)[-1] == "panic: something that must not happen has happened"

    async def test_hangs(self, it: Bench) -> None:
        container = await start(it, "orrery/hangs")
        await it.clock.advance(1)
        for _ in range(5):
            assert (await get(it, container, "/healthz")) == (200, "ok\n")
        sixth = it.kernel.spawn(
            it.machine.network.http(
                container.sandbox.namespace, "127.0.0.1", 8080, Request("GET", "/healthz")
            )
        )
        await it.clock.advance(600)
        assert not sixth.finished.done
        assert container.state is ContainerState.RUNNING

    async def test_unhealthy(self, it: Bench) -> None:
        container = await start(it, "orrery/unhealthy")
        await it.clock.advance(15)
        assert (await get(it, container))[0] == 200
        await it.clock.advance(10)
        assert await get(it, container) == (500, "I am not well\n")

    async def test_stubborn(self, it: Bench) -> None:
        container = await start(it, "orrery/stubborn")
        await it.clock.advance(1)
        it.kernel.spawn(container.stop(30))
        await it.clock.advance(29)
        assert container.state is ContainerState.RUNNING
        await it.clock.advance(2)
        assert container.exit_code == 137

    @pytest.mark.parametrize(
        ("tag", "code", "line"), [("latest", 0, "done"), ("fails", 1, "could not finish")]
    )
    async def test_batch(self, it: Bench, tag: str, code: int, line: str) -> None:
        container = await start(it, f"orrery/batch:{tag}")
        await it.clock.advance(4)
        assert (container.exit_code, it.log(container)[-1]) == (code, line)

    async def test_needy(self, it: Bench) -> None:
        container = await start(it, "orrery/needy", envs=(("DB_HOST", "nowhere"), ("DB_PORT", "5432")))
        await it.clock.advance(2)
        assert container.exit_code == 1
        assert it.log(container) == ["cannot connect to nowhere:5432: getaddrinfo ENOTFOUND nowhere"]

    async def test_slow_start_and_stop(self, it: Bench) -> None:
        starting = await start(it, "orrery/slow-start")
        stopping = await start(it, "orrery/slow-stop")
        await it.clock.advance(19)
        with pytest.raises(OSError, match="refused"):
            await get(it, starting)
        it.kernel.spawn(stopping.stop(30))
        await it.clock.advance(2)
        assert (await get(it, starting))[0] == 200
        assert stopping.state is ContainerState.RUNNING
        await it.clock.advance(10)
        assert stopping.exit_code == 0

    async def test_chatty(self, it: Bench) -> None:
        container = await start(it, "orrery/chatty")
        await it.clock.advance(2)
        assert sum("one more line" in line for line in it.log(container)) > 10

    async def test_private(self, it: Bench) -> None:
        assert (await it.machine.images.pull("orrery/private", ("orrery", "orrery"))).cmd == ("app",)


class TestServers:
    async def test_nginx_serves_its_files(self, it: Bench, tmp_path: Path) -> None:
        site = tmp_path / "machine" / "site"
        site.mkdir(parents=True)
        (site / "index.html").write_text("from a ConfigMap\n")
        mount = MountConfig("/usr/share/nginx/html", str(site), True)
        plain, mounted = await start(it, "nginx"), await start(it, "nginx", mounts=(mount,))
        await it.clock.advance(1)
        assert "Welcome to nginx!" in (await get(it, plain, port=80))[1]
        assert await get(it, mounted, port=80) == (200, "from a ConfigMap\n")
        assert (await get(it, mounted, "/nothing", port=80))[0] == 404
        lines = it.log(plain)
        assert lines[0].startswith("/docker-entrypoint.sh: /docker-entrypoint.d/ is not empty")
        assert any("[notice] 1#1: nginx/1.29.3" in line for line in lines)
        assert '"GET / HTTP/1.1" 200' in lines[-1]

    async def test_httpd_serves_its_files(self, it: Bench) -> None:
        container = await start(it, "httpd")
        await it.clock.advance(1)
        assert await get(it, container, port=80) == (200, "<html><body><h1>It works!</h1></body></html>\n")

    @pytest.mark.parametrize(
        ("arguments", "port", "path", "body"),
        [
            (("netexec",), 8080, "/hostname", "pod"),
            (("netexec", "--http-port=9000"), 9000, "/echo?msg=a%20b", "a b"),
            (("netexec", "--http-port", "9000"), 9000, "/healthz", ""),
            (("serve-hostname",), 9376, "/", "pod"),
            (("serve-hostname", "--port=80"), 80, "/", "pod"),
            (("liveness",), 8080, "/healthz", "ok"),
            (("test-webserver",), 80, "/etc/alpine-release", "3."),
        ],
    )
    async def test_agnhost(
        self, it: Bench, arguments: tuple[str, ...], port: int, path: str, body: str
    ) -> None:
        container = await start(it, "registry.k8s.io/e2e-test-images/agnhost:2.53", args=arguments)
        await it.clock.advance(1)
        status, text = await get(it, container, path, port)
        assert status == 200
        assert text.startswith(body)

    async def test_agnhost_without_a_word_pauses(self, it: Bench) -> None:
        container = await start(it, "registry.k8s.io/e2e-test-images/agnhost:2.53")
        await it.clock.advance(60)
        assert container.state is ContainerState.RUNNING
        assert it.log(container) == ["Paused"]

    async def test_http_echo_says_what_it_is_told(self, it: Bench) -> None:
        for arguments in (("-text=hello",), ("-text", "hello"), ("--text=hello",)):
            container = await start(it, "hashicorp/http-echo", args=arguments)
            await it.clock.advance(1)
            assert await get(it, container, port=5678) == (200, "hello\n")

    async def test_python_serves_a_folder(self, it: Bench) -> None:
        container = await start(it, "python:3.12", "python", "-m", "http.server", "8123")
        await it.clock.advance(1)
        assert (await get(it, container, "/etc/debian_version", 8123))[0] == 200

    @pytest.mark.parametrize(
        ("image", "port", "path", "words"),
        [
            ("caddy", 80, "/", "Your web server is working"),
            ("traefik/whoami", 80, "/", "Hostname: pod"),
            ("traefik", 80, "/", "404 page not found"),
            ("stefanprodan/podinfo", 9898, "/", '"hostname": "pod'),
            ("prom/prometheus", 9090, "/-/ready", "Prometheus Server is Ready."),
            ("grafana/grafana", 3000, "/api/health", '"database":"ok"'),
            ("jenkins/jenkins", 8080, "/login", "Sign in"),
            ("hashicorp/vault", 8200, "/v1/sys/health", '"initialized":true'),
            ("hashicorp/consul", 8500, "/v1/status/leader", ":8300"),
            ("wordpress", 80, "/wp-admin/install.php", "WordPress"),
            ("ghost", 2368, "/", "Ghost"),
            ("nextcloud", 80, "/status.php", "Nextcloud"),
            ("tomcat", 8080, "/", "Apache Tomcat"),
            ("registry", 5000, "/v2/", "{}"),
            ("registry.k8s.io/echoserver:1.10", 8080, "/", "Hostname: pod"),
            ("registry.k8s.io/hpa-example", 80, "/", "OK!"),
            ("gcr.io/google-samples/hello-app:1.0", 8080, "/", "Hello, world!"),
        ],
    )
    async def test_what_it_answers(self, it: Bench, image: str, port: int, path: str, words: str) -> None:
        container = await start(it, image)
        await it.clock.advance(10)
        assert container.state is ContainerState.RUNNING, it.log(container)
        assert words in (await get(it, container, path, port))[1]

    @pytest.mark.parametrize(
        ("image", "port", "envs"),
        [
            ("redis", 6379, {}),
            ("memcached", 11211, {}),
            ("mysql", 3306, {"MYSQL_ROOT_PASSWORD": "x"}),
            ("mariadb", 3306, {"MARIADB_ROOT_PASSWORD": "x"}),
            ("postgres", 5432, {"POSTGRES_PASSWORD": "x"}),
            ("mongo", 27017, {}),
            ("rabbitmq", 5672, {}),
            ("zookeeper", 2181, {}),
            ("bitnami/kafka", 9092, {}),
            ("fluentd", 24224, {}),
        ],
    )
    async def test_what_accepts_connections(
        self, it: Bench, image: str, port: int, envs: dict[str, str]
    ) -> None:
        container = await start(it, image, envs=tuple(envs.items()))
        await it.clock.advance(10)
        assert container.state is ContainerState.RUNNING, it.log(container)
        connection: Connection = await it.kernel.call(
            it.machine.network.connect(container.sandbox.namespace, "127.0.0.1", port)
        )
        connection.close()

    async def test_hello_world(self, it: Bench) -> None:
        container = await start(it, "hello-world")
        await it.clock.advance(1)
        assert container.exit_code == 0
        assert "Hello from Docker!" in it.log(container)

    async def test_haproxy_wants_its_configuration(self, it: Bench) -> None:
        container = await start(it, "haproxy")
        await it.clock.advance(1)
        assert container.exit_code == 1
        assert "Cannot open configuration file" in it.log(container)[0]
