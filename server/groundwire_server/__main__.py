"""The command ``groundwire``; ``python -m groundwire_server`` is the same."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

# Of what `groundwire[server]` adds to the bare client, the parts that every command needs.
NEEDED = ("rich", "pydantic_settings")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code.

    0: done. 1: it failed, and standard error says why. 2: the arguments are wrong.
    """
    if any(find_spec(package) is None for package in NEEDED):
        sys.stderr.write(
            "groundwire: only the client library is installed; the command line comes with "
            'the server: pip install "groundwire[server]"\n'
        )
        return 1
    from groundwire_server.cli.run import run

    return run(sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
