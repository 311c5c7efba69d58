"""Dependencies point one way, and protobuf stays at the edge."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CLIENT = ROOT / "clients/python/groundwire"
INDEX = ROOT / "index/groundwire_index"
SERVER = ROOT / "server/groundwire_server"

# Rooms of the server, from the inside out. A module may import from its own row or a row
# above it. What is not listed (the composition root and the life of the process) is outermost.
ROWS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "addresses",
            "background_task",
            "blocking",
            "components",
            "deadline",
            "identity",
            "running",
            "slow_reader",
            "supervision",
            "tracing",
            "waiting",
            "words",
        }
    ),
    frozenset({"engines", "embedders"}),
    frozenset({"memory", "ingestion", "grounding", "parts", "caching", "usage"}),
    frozenset({"services", "interceptors", "errors", "observability"}),
)
# Where gRPC and protobuf may be seen: the adapters, the process that listens, and the command
# line, which is a client.
EDGE = frozenset(
    {"services", "interceptors", "errors", "app", "serve", "lifecycle", "transport", "cli"}
)
WIRE = ("grpc", "google", "groundwire", "grpc_health", "grpc_reflection", "grpc_status")


def imports(path: Path, package: str, root: Path) -> Iterator[str]:
    """Every module name that a file imports, wherever in the file, made absolute."""
    here = [package, *path.relative_to(root).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: -node.level]) + "." if node.level else ""
            yield base + (node.module or "")
            yield from (f"{base}{node.module}.{alias.name}" for alias in node.names)


def sources(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*.py")) if "/v1/" not in str(path)]


def offenders(root: Path, package: str, forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(root)
        for name in imports(path, package, root)
        if name.split(".")[0] in forbidden
    ]


def room(path: Path) -> str:
    return path.relative_to(SERVER).with_suffix("").parts[0]


def row(name: str) -> int:
    return next((number for number, rooms in enumerate(ROWS) if name in rooms), len(ROWS))


def test_the_index_knows_no_grpc_no_protobuf_and_no_server() -> None:
    assert offenders(INDEX, "groundwire_index", (*WIRE, "groundwire_server")) == []


def test_the_client_needs_grpc_and_protobuf_alone() -> None:
    allowed = {"grpc", "google", "groundwire", *sys.stdlib_module_names}
    third_party = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(CLIENT)
        for name in imports(path, "groundwire", CLIENT)
        if name.split(".")[0] not in allowed
    }
    assert third_party == set()


@pytest.mark.parametrize("path", sources(SERVER), ids=lambda path: str(path.relative_to(SERVER)))
def test_rooms_of_the_server_import_only_inwards(path: Path) -> None:
    mine = row(room(path))
    outward = [
        name
        for name in imports(path, "groundwire_server", SERVER)
        if name.startswith("groundwire_server.") and row(name.split(".")[1]) > mine
    ]
    assert outward == []


@pytest.mark.parametrize("path", sources(SERVER), ids=lambda path: str(path.relative_to(SERVER)))
def test_protobuf_stays_at_the_edge(path: Path) -> None:
    if room(path) in EDGE:
        return
    seen = [
        name for name in imports(path, "groundwire_server", SERVER) if name.split(".")[0] in WIRE
    ]
    assert seen == []
