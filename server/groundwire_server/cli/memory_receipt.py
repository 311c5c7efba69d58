"""`groundwire memory verify`: whether a receipt is one that this server made out."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from datetime import datetime
from pathlib import Path

from groundwire.errors import InvalidArgumentError
from groundwire_index.errors import GroundwireError

from groundwire_server.cli.output import console, print_json
from groundwire_server.identity import ANYBODY
from groundwire_server.memory.memories.memory import Receipt
from groundwire_server.memory.memories.receipts import FOLDER, Receipts


def verify(arguments: Namespace) -> int:
    """Check a receipt in a file with the key in a data folder; 1 unless it is genuine."""
    receipt = _read(arguments.receipt)
    tenant = getattr(arguments, "tenant", "") or ANYBODY
    try:
        is_genuine = Receipts(arguments.data_dir / FOLDER).is_genuine(tenant, receipt)
    except GroundwireError as error:
        sys.stderr.write(f"groundwire: {error.message}\n")
        return 1
    if arguments.json:
        print_json({"audit_id": receipt.audit_id, "genuine": is_genuine})
    else:
        said = "was" if is_genuine else "was NOT"
        console().print(
            f"Receipt {receipt.audit_id} {said} made out for {tenant} by this server, as it is.",
            markup=False,
        )
    return int(not is_genuine)


def _read(path: Path) -> Receipt:
    try:
        fields = json.loads(path.read_text())
        return Receipt(
            fields["audit_id"],
            {str(kind): int(count) for kind, count in fields["removed"].items()},
            datetime.fromisoformat(fields["time"]),
            bytes.fromhex(fields["signature"]),
        )
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidArgumentError(f"{path} is no receipt: {error}") from error
