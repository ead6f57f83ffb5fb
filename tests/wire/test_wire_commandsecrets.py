"""Secrets in command lines are found by their place, and what only looks like one stays."""

from __future__ import annotations

import pytest

from minikubelet.wire.redaction import REDACTED, redact_pod, redact_text, secret_values
from tests.wire.wire_world import accepted, changed, small_pod

HIDDEN = (
    "curl -u admin:S3CRET https://host/x",
    "curl -u admin:12345S3CRET https://host/x",
    "curl -uadmin:S3CRET https://host/x",
    "curl --user admin:S3CRET -o out https://host/x",
    "curl --user=admin:S3CRET https://host/x",
    "curl -s --proxy-user 'me:S3CRET with; a blank' https://host/x",
    '/usr/bin/curl -x proxy:3128 -U "me:S3CRET" https://host/x',
    "wget --http-user=me --http-password=S3CRET https://host/x",
    "until curl -fsu a:b -u admin:S3CRET localhost; do sleep 1; done",
    "mysql -h db -u root -pS3CRET shop",
    "mysqldump -uroot -p'S3CRET' shop > dump",
    "mariadb-admin ping -pS3CRET",
    "MYSQL_PWD=S3CRET mysql shop",
    "mongosh --username me -p S3CRET --eval 'db.stats()'",
    "redis-cli -h cache -a S3CRET ping",
    "redis-cli --pass S3CRET ping | grep PONG",
    "sshpass -p S3CRET ssh host",
    "sshpass -pS3CRET ssh host",
    "ldapsearch -D cn=admin -w S3CRET -b dc=example",
    "docker login -u me -p S3CRET registry.example",
    "helm registry login registry.example -u me -p S3CRET",
    "smbclient //host/share -U me%S3CRET",
    "mosquitto_pub -t a -u me -P S3CRET",
    "sqlcmd -S host -U sa -P S3CRET -Q 'select 1'",
    "7z x -pS3CRET a.7z",
    "psql postgres://me:S3CRET@db:5432/shop?sslmode=disable",
    "git clone https://me:S3C@RET@host/x.git",
    "server --dsn me:S3CRET@tcp(db:3306)/shop",
    "curl -H 'Authorization: token S3CRET' https://host/x",
    "curl -H 'Authorization: Digest name=me, response=S3CRET' https://host/x",
    "curl -H 'PRIVATE-TOKEN: S3CRET' https://host/x",
    "curl -b x -H 'Cookie: a=1; session=S3CRET' https://host/x",
    """curl -d '{"user": "me", "password": "S3CRET"}' https://host/x""",
    "curl https://host/x?user=me&api_key=S3CRET",
    "server 'Server=db;User Id=sa;Password=S3CRET;Encrypt=true'",
    'sh -c "curl -u me:S3CRET host && mysql -pS3CRET"',
    "push ghp_S3CRETS3CRETS3CRETS3CRET0123456789",
    "push eyJhbGciOiJub25lIn0.eyJzdWIiOiJTM0NSRVQifQ.S3CRETS3CRET",
    "echo '-----BEGIN RSA PRIVATE KEY-----\nS3CRETS3CRET\n-----END RSA PRIVATE KEY-----'",
)  # fmt: skip
KEPT = (
    "while true; do date -u +%H:%M:%S; sleep 5; done",
    "date -u '+%H:%M %Z'",
    "docker run -u 1000:1000 -p 8080:80 -p 127.0.0.1:53:53/udp nginx",
    "chown -R nobody:nogroup /data && su -u web",
    "sort -u names | uniq -u > out; date -u; id -u",
    "python -u server.py --port 8080",
    "sudo -u postgres psql -U postgres -p 5432 shop",
    "ssh -p 22 -u host; mkdir -p /a/b; cp -p a b; nc -p 99 host",
    "mysql -u root -p shop --port=3306",
    "mysql -u root -p$MYSQL_ROOT_PASSWORD shop",
    'curl -u "$USER:$PASS" -w "%{http_code}" https://host:8443/x',
    "curl -u $(USER):$(PASS) host",
    "curl -o out -A agent -a -P - ftp://host/x",
    "redis-server --port 6379 -a; grep -a -w word file",
    "etcdctl --endpoints=https://10.0.0.1:2379 -u http://host:80",
    "nginx -g 'daemon off;' -p /etc/nginx -c nginx.conf",
    "java -Xmx1g -Dhttp.proxyPort=3128 -cp a:b:c Main",
    "image busybox:1.36@sha256:0123 from registry.example:5000/team/app:1",
    "mail me@example.com or https://host.example/a@b",
    "tokens are counted: 12, and the author's cookie jar",
    "PWD=/app OLDPWD=/ sh -c 'cd /srv'",
)  # fmt: skip


@pytest.mark.parametrize("line", HIDDEN)
def test_a_secret_in_a_command_line_is_hidden_and_the_rest_is_told(line: str) -> None:
    redacted = redact_text(line)
    assert "S3C" not in redacted
    assert "RET" not in redacted
    assert REDACTED in redacted
    assert redacted.split()[0].partition("=")[0] == line.split(maxsplit=1)[0].partition("=")[0]
    assert redact_text(redacted) == redacted


@pytest.mark.parametrize("line", KEPT)
def test_what_only_looks_like_a_secret_stays(line: str) -> None:
    assert redact_text(line) == line


@pytest.mark.parametrize("line", [line for line in HIDDEN if "'" not in line and '"' not in line])
def test_the_words_of_a_command_are_read_as_a_shell_reads_the_line(line: str) -> None:
    """A command is mostly a list of words without a shell."""
    pod = accepted(changed("spec.containers.0.command", line.split()))
    words = redact_pod(pod).spec.containers[0].command
    assert len(words) == len(line.split())
    assert "S3C" not in " ".join(words)
    assert redact_pod(redact_pod(pod)) == redact_pod(pod)
    assert all("S3C" not in redact_text(said, secret_values(pod)) for said in line.split())


@pytest.mark.parametrize("line", KEPT)
def test_words_that_only_look_like_secrets_stay(line: str) -> None:
    pod = accepted(changed("spec.containers.0.args", line.split()))
    assert redact_pod(pod).spec.containers[0].args == tuple(line.split())


def test_a_tool_takes_one_secret_and_what_it_runs_has_flags_of_its_own() -> None:
    assert redact_text("sshpass -p S3CRET ssh -p 22 -p2222 host") == (
        f"sshpass -p {REDACTED} ssh -p 22 -p2222 host"
    )


def test_a_pod_without_commands_is_left_as_it_is() -> None:
    assert redact_pod(accepted(small_pod())) == accepted(small_pod())


def test_hostile_quotes_are_read_in_one_pass() -> None:
    for text in (
        "'" * 500_000,
        "\"'" * 250_000,
        "curl -u '" * 100_000,
        "a '" + "x" * 1_000_000,
        "mysql -p" * 99_999,
    ):
        assert isinstance(redact_text(text), str)
