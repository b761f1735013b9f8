"""The command ``smlm-diffusion``: one file per sub-command, loaded when it is asked for.

Exit codes: 0 done, 1 a result could not be written or something unforeseen happened, 2 what the
user gave cannot be used, 130 stopped with Ctrl-C. Whatever goes wrong is one sentence on stderr;
with ``SMLM_DEBUG=1`` in the environment the traceback comes instead.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module

from napari_smlm_diffusion import __version__
from napari_smlm_diffusion.cli.parser import Parser, option
from napari_smlm_diffusion.errors import InputError, SmlmError, worded

PROGRAM = "smlm-diffusion"
COMMANDS = {
    "localize": "find the molecules of a movie, each with its uncertainty",
    "estimate": "measure camera, PSF, light and density of a movie, also to train for it",
    "simulate": "make a movie of which the molecules are known",
    "evaluate": "compare localizations with the truth",
    "convert": "turn a table of localizations into another program's format",
    "calibrate": "simulate, sample, and say whether a model's uncertainties are true",
    "check": "say whether the error bars of a run hold, by what the run itself shows",
    "drift": "find the drift of a table from its own localizations, and take it out",
    "link": "put localizations of one molecule in neighbouring frames together",
    "frc": "measure the resolution of a table by Fourier ring correlation",
    "render": "draw a table, each molecule as wide as its own uncertainty",
    "demo": "simulate, localize and evaluate a dense movie",
    "models": "list, show, import and export models",
    "train": "train a model",
}
DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command of these arguments (default: the process's own) and return its exit code."""
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except SystemExit as stop:  # --help and --version
        return int(stop.code or DONE)
    except KeyboardInterrupt as stop:
        return _say(str(stop) or "stopped", STOPPED)
    except SmlmError as error:
        if os.environ.get("SMLM_DEBUG") == "1":
            raise
        return _say(worded(error, option), BAD_INPUT if isinstance(error, InputError) else FAILED)
    except BrokenPipeError:  # the reader of our output, `head` for example, has seen enough
        # What is left in the buffer has no reader either: Python must not try at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if os.environ.get("SMLM_DEBUG") == "1":
            raise
        hint = "set SMLM_DEBUG=1 to see where"
        return _say(f"unexpected failure: {type(error).__name__}: {error} ({hint})", FAILED)


def _run(argv: list[str]) -> int:
    parser = Parser(prog=PROGRAM, description="Single-molecule localization with honest error bars")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    # Only the command that is asked for is imported, so that help is quick.
    wanted = next((name for name in argv if not name.startswith("-")), None)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary)
        if name == wanted:
            module = import_module(f"{__name__}.{name}")
            module.add_options(subparser)
            subparser.set_defaults(run=module.run, typed=shlex.join([PROGRAM, *argv]))
    options = parser.parse_args(argv)
    return int(options.run(options))


def _say(sentence: str, code: int) -> int:
    print(f"{PROGRAM}: {' '.join(sentence.split())}", file=sys.stderr)
    return code
