"""Who asks over HTTPS, and whether he may: certificates, tokens, nobody, and somebody in another's name."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.apiserver import Https, https

__all__ = ["https"]

pytestmark = pytest.mark.slow  # needs etcd and an API server of its own
Json = dict[str, Any]
RBAC = "/apis/rbac.authorization.k8s.io/v1"
NAMESPACED = f"{RBAC}/namespaces/default"
ROUNDS_MAX = 600


def ask(
    server: Https,
    method: str,
    path: str,
    body: Json | None = None,
    headers: dict[str, str] | None = None,
    user: str = "admin",
) -> tuple[int, Any]:
    where = urlsplit(server.base)
    connection = http.client.HTTPSConnection(where.hostname or "", where.port, context=server.context(user))
    content = {"Content-Type": "application/json"} if body is not None else {}
    text = json.dumps(body) if body is not None else None
    connection.request(method, path, text, {**content, **(headers or {})})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, json.loads(answer) if answer[:1] == b"{" else answer


def make(server: Https, path: str, kind: str, name: str, **fields: Any) -> None:
    version = "v1" if path.startswith("/api/") else "rbac.authorization.k8s.io/v1"
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}
    status, answer = ask(server, "POST", path, body)
    assert status == 201, answer


def test_a_token_opens_what_its_account_was_granted_while_the_account_lives(https: Https) -> None:
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    make(https, accounts, "ServiceAccount", "robot")
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
    make(https, f"{NAMESPACED}/roles", "Role", "reader", rules=[rule])
    subject = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
    role = {"kind": "Role", "name": "reader"}
    make(https, f"{NAMESPACED}/rolebindings", "RoleBinding", "rb", roleRef=role, subjects=[subject])
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    status, answer = ask(https, "POST", f"{accounts}/robot/token", request)
    assert status == 201
    token = answer["status"]["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert ask(https, "GET", "/api/v1/namespaces/default/pods", headers=bearer, user="")[0] == 200
    status, refused = ask(https, "GET", "/api/v1/namespaces/default/secrets", headers=bearer, user="")
    assert (status, refused["reason"]) == (403, "Forbidden")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    status, answer = ask(https, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
    assert answer["status"]["user"]["username"] == "system:serviceaccount:default:robot"
    assert ask(https, "DELETE", f"{accounts}/robot")[0] == 200
    for _ in range(ROUNDS_MAX):  # until the server has heard of it, a moment later
        if ask(https, "GET", "/api/v1/namespaces/default/pods", headers=bearer, user="")[0] != 200:
            break
    for bad in (bearer, {"Authorization": "Bearer bogus"}):
        status, refused = ask(https, "GET", "/api/v1/namespaces/default/pods", headers=bad, user="")
        assert (status, refused["message"]) == (401, "Unauthorized")
    for nothing in ("Basic YTpi", "Bearer", "Bearer  ", "Negotiate x"):  # says nothing that is known here
        other = {"Authorization": nothing}
        status, refused = ask(https, "GET", "/api/v1/namespaces/default/pods", headers=other, user="")
        assert status == 403
        assert 'User "system:anonymous" cannot' in refused["message"]


def test_what_is_asked_is_what_is_decided_about(https: Https) -> None:
    """A right to one thing is not stretched to another by how the request is written."""
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "watch"], "resourceNames": ["one"]},
        {"nonResourceURLs": ["/apis/*", "/api/*"], "verbs": ["*"]},
    ]
    make(https, f"{RBAC}/clusterroles", "ClusterRole", "lister", rules=rules)
    subjects = [{"kind": "User", "name": "lister"}]
    role = {"kind": "ClusterRole", "name": "lister"}
    make(
        https, f"{RBAC}/clusterrolebindings", "ClusterRoleBinding", "lister", roleRef=role, subjects=subjects
    )
    lister = {"Impersonate-User": "lister"}
    core = "/api/v1/namespaces/default"

    def refused(method: str, path: str, body: Any = None) -> str:
        status, answer = ask(https, method, path, body, headers=lister)
        assert status == 403, (path, answer)
        return str(answer["message"])

    assert ask(https, "GET", f"{core}/configmaps?watch=false", headers=lister)[0] == 200
    for watch in ("watch", "watch=", "watch=yes", "watch=1"):
        assert "cannot watch" in refused("GET", f"{core}/configmaps?{watch}&timeoutSeconds=1")
    named = "fieldSelector=metadata.name%3D"
    status, _ = ask(
        https, "GET", f"{core}/secrets?watch=1&timeoutSeconds=1&{named}one,type!%3Da", headers=lister
    )
    assert status == 200
    assert "cannot watch" in refused("GET", f"{core}/secrets?watch=1&{named}other")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other"}}
    assert "cannot create" in refused("POST", f"{core}/secrets?{named}one", secret)
    for odd in ("/api/v1//secrets", "/api/v1/./secrets", "/api/v1/namespaces/../secrets",
                "/apis/x.example.com/v1//things", "/apis/x.example.com/v1/../things",
                "/apis/x.example.com/v1/a%2Fb/things", "/apis//v1/secrets"):  # fmt: skip
        assert "resource" in refused("GET", odd)
    assert "cannot watch" in refused("POST", "/api/v1/watch/namespaces/default/configmaps", {})


def test_who_may_only_read_opens_no_terminal(https: Https) -> None:
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
    make(https, f"{RBAC}/clusterroles", "ClusterRole", "reader-of-all", rules=[rule])
    role, subjects = {"kind": "ClusterRole", "name": "reader-of-all"}, [{"kind": "User", "name": "reader"}]
    make(https, f"{RBAC}/clusterrolebindings", "ClusterRoleBinding", "rd", roleRef=role, subjects=subjects)
    for part in ("exec?command=sh&stdout=1", "attach?stdout=1", "portforward?ports=1"):
        path, reader = f"/api/v1/namespaces/default/pods/p/{part}", {"Impersonate-User": "reader"}
        status, answer = ask(https, "GET", path, headers=reader)
        assert (status, "cannot create resource" in answer["message"]) == (403, True)
    assert ask(https, "GET", "/api/v1/namespaces/default/pods/p/log", headers=reader)[0] == 404


def test_one_object_is_got_whatever_the_query_says(https: Https) -> None:
    status, answer = ask(https, "GET", "/api/v1/namespaces/default?watch=true")
    assert (status, answer["kind"]) == (200, "Namespace")
    assert ask(https, "POST", "/api/v1/watch/namespaces/default/configmaps", {})[0] == 405


def test_nobody_sees_health_and_version_and_nothing_else(https: Https) -> None:
    for path in ("/healthz", "/version", "/livez", "/readyz"):
        assert ask(https, "GET", path, user="")[0] == 200
    for path in ("/api", "/apis", "/metrics", "/api/v1/pods", "/openapi/v2"):
        status, refused = ask(https, "GET", path, user="")
        assert status == 403
        assert 'User "system:anonymous" cannot' in refused["message"]


def test_rights_begin_and_end_with_the_answer_to_the_write(https: Https) -> None:
    jane = {"Impersonate-User": "jane"}
    assert ask(https, "GET", "/api/v1/nodes", headers=jane)[0] == 403
    role = {"kind": "ClusterRole", "name": "cluster-admin"}
    subjects = [{"kind": "User", "name": "jane"}]
    make(https, f"{RBAC}/clusterrolebindings", "ClusterRoleBinding", "jane", roleRef=role, subjects=subjects)
    assert ask(https, "GET", "/api/v1/nodes", headers=jane)[0] == 200
    assert ask(https, "DELETE", f"{RBAC}/clusterrolebindings/jane")[0] == 200
    assert ask(https, "GET", "/api/v1/nodes", headers=jane)[0] == 403


def test_only_who_may_impersonate_does(https: Https) -> None:
    both = {"Impersonate-User": "jane", "Impersonate-Group": "system:masters"}
    assert ask(https, "GET", "/api/v1/nodes", headers=both)[0] == 200
    status, refused = ask(https, "GET", "/api/v1/nodes", headers=both, user="")
    assert status == 403
    assert refused["message"].startswith(
        'users "jane" is forbidden: User "system:anonymous" cannot impersonate'
    )
    status, refused = ask(https, "GET", "/api/v1/nodes", headers={"Impersonate-Group": "x"})
    assert status == 400
    extra = {"Impersonate-User": "jane", "Impersonate-Extra-Example.Com%2FTeam": "a", "Impersonate-Uid": "u"}
    extra["Impersonate-Extra-%4bey"] = "b"
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    status, answer = ask(https, "POST", reviews, review, headers=extra)
    assert status == 201
    told = answer["status"]["userInfo"]
    assert told["uid"] == "u"
    assert told["extra"] == {"example.com/team": ["a"], "Key": ["b"]}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "SelfSubjectAccessReview"),
        ("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "SelfSubjectRulesReview"),
        ("/apis/authorization.k8s.io/v1/subjectaccessreviews", "SubjectAccessReview"),
        ("/apis/authentication.k8s.io/v1/tokenreviews", "TokenReview"),
    ],
)
def test_bad_questions_are_refused(https: Https, path: str, kind: str) -> None:
    version = path[len("/apis/") :].rpartition("/")[0]
    specs: tuple[Any, ...] = ({}, {"resourceAttributes": None}, {"user": 3}, [], None, {"token": ["x"]})
    for spec in specs:
        status, answer = ask(https, "POST", path, {"apiVersion": version, "kind": kind, "spec": spec})
        assert 400 <= status < 500, (spec, answer)
    assert ask(https, "GET", path)[0] == 405
    assert ask(https, "POST", f"{path}/name", {})[0] == 405


def test_others_find_the_keys_of_tokens(https: Https) -> None:
    """OpenID Connect discovery: whoever knows the keys can check a ServiceAccount's token by himself."""
    import base64

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    status, configuration = ask(https, "GET", "/.well-known/openid-configuration")
    assert status == 200
    where = urlsplit(configuration["jwks_uri"])
    assert (where.netloc, where.path) == (urlsplit(https.base).netloc, "/openid/v1/jwks")
    status, keys = ask(https, "GET", where.path)
    assert status == 200
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    make(https, accounts, "ServiceAccount", "signed")
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    _, answer = ask(https, "POST", f"{accounts}/signed/token", request)
    header, claims, signature = answer["status"]["token"].split(".")

    def decoded(text: str) -> bytes:
        return base64.urlsafe_b64decode(text + "==")

    (key,) = [key for key in keys["keys"] if key["kid"] == json.loads(decoded(header))["kid"]]
    assert json.loads(decoded(claims))["iss"] == configuration["issuer"]
    assert key["alg"] in configuration["id_token_signing_alg_values_supported"]
    x, y = (int.from_bytes(decoded(key[name]), "big") for name in ("x", "y"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    raw = decoded(signature)
    pair = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public.verify(pair, f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    assert ask(https, "GET", "/openid/v1/jwks", user="")[0] == 403  # anonymous
    bearer = {"Authorization": f"Bearer {answer['status']['token']}"}
    assert ask(https, "GET", "/openid/v1/jwks", headers=bearer, user="")[0] == 200
    assert ask(https, "POST", "/openid/v1/jwks")[0] == 405
