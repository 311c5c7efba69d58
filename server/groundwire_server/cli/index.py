"""`groundwire index`: what is in the data of a stopped server, whether it is sound, and less."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from groundwire_index.compacted import Compacted, compact
from groundwire_index.errors import GroundwireError
from groundwire_index.inspect import CollectionStat, stat
from groundwire_index.stopped import stopped
from groundwire_index.verify import Damage, verify, verify_catalog

from groundwire_server.cli.output import console, print_indented, print_json


def run(arguments: Namespace) -> int:
    """Do what the arguments say; 1 if anything is damaged or could not be done."""
    try:
        return ACTIONS[arguments.action](arguments.data_dir / "index", arguments)
    except GroundwireError as error:
        return _failed(error.message)


def _stat(path: Path, arguments: Namespace) -> int:
    code = 0
    with stopped(path) as index:
        for collection in index.collections():
            try:
                found = stat(collection, index.connections)
            except GroundwireError as error:
                code = _failed(error.message)
            else:
                _show(found, arguments)
    return code


def _verify(path: Path, arguments: Namespace) -> int:
    damaged = checked = 0
    with stopped(path) as index:
        for damage in verify_catalog(index):
            damaged += 1
            _report(damage, arguments)
        collections = [] if damaged else index.collections()
        for collection in collections:
            checked += 1
            for damage in verify(collection, index.connections):
                damaged += 1
                _report(damage, arguments)
    if not damaged and not arguments.json:
        console().print(f"All files of {checked:,} collections are sound.")
    return int(bool(damaged))


def _compact(path: Path, arguments: Namespace) -> int:
    code = 0
    for done in compact(path):
        if done.error:
            code = _failed(f"{done.tenant}/{done.name}: {done.error}")
        if arguments.json:
            print_json(done)
        elif not done.error:
            console().print(_told(done), markup=False)
    return code


ACTIONS = {"stat": _stat, "verify": _verify, "compact": _compact}


def _failed(message: str) -> int:
    sys.stderr.write(f"groundwire: {message}\n")
    return 1


def _report(damage: Damage, arguments: Namespace) -> None:
    if arguments.json:
        print_json({"file": str(damage.file), "what": damage.what})
    else:
        console().print(f"{damage.file}: {damage.what}", markup=False)


def _told(done: Compacted) -> str:
    sizes = f"{_megabytes(done.bytes_before)} to {_megabytes(done.bytes_after)}"
    return f"{done.tenant}/{done.name}: {done.purged:,} rows purged, {sizes}"


def _show(found: CollectionStat, arguments: Namespace) -> None:
    if arguments.json:
        print_json(asdict(found))
        return
    screen = console()
    screen.print(f"{found.tenant}/{found.name}", style="title", markup=False)
    for line in _lines(found):
        print_indented(screen, line)


def _lines(found: CollectionStat) -> list[str]:
    lines = [
        f"{found.records:,} records, {found.vectors:,} vectors of {found.vector_type}, "
        f"{found.documents:,} documents, "
        f"{_megabytes(found.disk_bytes)}, at write {found.sequence:,}"
    ]
    if found.damaged:
        lines.append("damaged: `groundwire index verify` names the files")
    if found.aliases:
        lines.append(f"aliases: {', '.join(found.aliases)}")
    lines += [
        f"segment {one.number}: {one.live:,} of {one.slots:,} vectors live, "
        f"{one.dead_share:.0%} dead, {_megabytes(one.disk_bytes)}"
        for one in found.segments
    ]
    lines += [
        f"index {one.number}: {one.kind} of {one.vectors:,} vectors, {_megabytes(one.bytes)}"
        for one in found.anns
    ]
    lines.append(f"{found.ann_coverage:.0%} of the vectors are indexed ({found.index_kind})")
    if found.indexed_fields:
        lines.append(f"indexed fields: {', '.join(found.indexed_fields)}")
    return lines


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MB"
