"""From the arguments to the command, and from a failure to a sentence."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib import import_module

OK = 0
FAILED = 1
INTERRUPTED = 130


def run(argv: Sequence[str]) -> int:
    """Run one command; the exit code."""
    match list(argv):
        case ["serve", *rest]:
            from groundwire_server.serve import serve

            return serve(rest)
        case ["settings", *rest]:
            from groundwire_server.serve import print_settings

            return print_settings(rest)
    from groundwire_server.cli.arguments import parser

    return _run(parser().parse_args(argv))


def _run(arguments: Namespace) -> int:
    # A command is imported when it is run: a search should not wait for what a demo needs.
    command = import_module(f"groundwire_server.cli.{arguments.command}")
    from groundwire import GroundwireError

    from groundwire_server.cli.failure import sentence

    try:
        code: int = command.run(arguments)
        sys.stdout.flush()
    except GroundwireError as error:
        sys.stderr.write(f"groundwire: {sentence(error, arguments)}\n")
        return FAILED
    except UnicodeEncodeError:
        sys.stderr.write("groundwire: what was given is not valid UTF-8: write it in that\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has enough. Python would complain again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code
