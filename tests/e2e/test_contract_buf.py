"""`buf curl` lists and calls every service, knowing nothing but the address."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.contract_calls import EVERY, INVALID, NOT_FOUND, WORKING, Call
from tests.e2e.serving import ServerProcess

BUF = Path(sys.executable).with_name("buf")
TENANT = "contract-buf"


@dataclass(frozen=True)
class Buf:
    """`buf curl` against one server."""

    address: str

    def run(self, path: str, *flags: str) -> subprocess.CompletedProcess[str]:
        command = [BUF, "curl", "--http2-prior-knowledge", "--protocol", "grpc", *flags]
        command += ["--header", f"groundwire-tenant: {TENANT}", f"http://{self.address}{path}"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def call(self, call: Call) -> subprocess.CompletedProcess[str]:
        return self.run(f"/{call.method}", "--data", "\n".join(map(json.dumps, call.messages)))

    def refused_with(self, call: Call) -> str:
        refused = self.call(call)
        assert refused.returncode != 0, refused.stdout
        return str(json.loads(refused.stderr)["code"])


@pytest.fixture(scope="module")
def buf(server: ServerProcess) -> Buf:
    return Buf(server.address)


def test_every_service_is_listed(buf: Buf) -> None:
    listed = buf.run("", "--list-services").stdout.split()
    ours = {call.method.partition("/")[0] for call in EVERY}
    assert ours <= set(listed)
    assert "grpc.health.v1.Health" in listed


def test_every_method_is_listed_and_called_here(buf: Buf) -> None:
    listed = buf.run("", "--list-methods").stdout.split()
    called = [call.method for call in EVERY]
    assert sorted(called) == sorted(set(called))
    assert {method for method in listed if method.startswith("groundwire.")} == set(called)


def test_every_method_that_is_there_answers(buf: Buf) -> None:
    for call in WORKING:
        answered = buf.call(call)
        assert answered.returncode == 0, f"{call.method}: {answered.stderr}"
        assert call.answer in answered.stdout, f"{call.method}: {answered.stdout}"


@pytest.mark.parametrize("call", NOT_FOUND, ids=lambda call: call.method)
def test_what_is_not_there_is_not_found(buf: Buf, call: Call) -> None:
    assert buf.refused_with(call) == "not_found"


@pytest.mark.parametrize("call", INVALID, ids=lambda call: call.method)
def test_what_makes_no_sense_is_invalid(buf: Buf, call: Call) -> None:
    assert buf.refused_with(call) == "invalid_argument"


def test_health_can_be_asked(buf: Buf) -> None:
    asked = buf.run(
        "/grpc.health.v1.Health/Check",
        "--data",
        json.dumps({"service": "groundwire.v1.RetrieveService"}),
    )
    assert "SERVING" in asked.stdout
