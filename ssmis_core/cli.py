"""The `ssmis` command. A mistake in what is asked for ends in one line on stderr and exit code 2.

Whatever is slow to import is imported inside the commands, so that `ssmis --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Annotated

# Plain help: rich costs more to import than all the rest. Typer reads this when it is imported.
os.environ.setdefault("TYPER_USE_RICH", "0")

import typer

from ssmis_core import __version__, cli_check, cli_compare, cli_data, cli_import, cli_prepare, cli_runs
from ssmis_core.errors import NonFiniteLoss, UserError

USER_MISTAKE, FAILED, INTERRUPTED = 2, 1, 130

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
data = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
app.add_typer(data, name="data")
data.command("list")(cli_data.list_)
data.command("fetch")(cli_data.fetch)
data.command("prepare")(cli_prepare.prepare)
data.command("check")(cli_check.check)
app.command()(cli_runs.methods)
app.command()(cli_runs.train)
app.command()(cli_import.import_weights)
app.command()(cli_runs.stop)
app.command()(cli_runs.evaluate)
app.command()(cli_runs.predict)
app.command()(cli_compare.compare)
# Commands that others bring, such as `review` of the package widgets: this package imports nothing that shows.
for found in entry_points(group="ssmis.commands"):
    app.command(found.name)(found.load())


@app.callback()
def ssmis(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Semi-supervised segmentation of medical images: train, evaluate, predict and review.

    \b
    Example, with nothing to download:
      ssmis train ugmcl --labeled 16
    """
    if version:
        print(f"ssmis {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@data.callback()
def data_help(context: typer.Context) -> None:
    """List, download, prepare and check data sets.

    \b
    Example:
      ssmis data fetch la
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """The console script."""
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own arguments) and return its exit code.

    0: done. 1: it failed for no fault of the command (a loss that is not finite, no memory, a disk error; problems
    that `data check` found). 2: a mistake in what was asked for or in the data given. 130: interrupted.
    Only what no user can cause shows a traceback, and with SSMIS_DEBUG=1 every error does.
    """
    try:
        code = app(list(arguments) if arguments is not None else None, prog_name="ssmis", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SystemExit as end:  # typer's own end when the reader of a pipe has gone
        return end.code if isinstance(end.code, int) else FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains while it ends
        return FAILED
    except (KeyboardInterrupt, typer.Abort):
        return _tell("interrupted", INTERRUPTED)
    except Exception as error:
        told = _in_one_line(error)
        if told is None or os.environ.get("SSMIS_DEBUG") == "1":
            raise
        return _tell(*told)


def _in_one_line(error: Exception) -> tuple[str, int] | None:
    """(what to say, exit code) for an error that a person can act on; None for one that is a defect of ours."""
    if isinstance(error, UserError):
        return str(error), USER_MISTAKE
    if isinstance(error, NonFiniteLoss):
        return str(error), FAILED
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # typer's errors; it has no public base class
        context = getattr(error, "ctx", None)
        hint = f" (see `{context.command_path} --help`)" if context else ""
        return error.format_message().rstrip(".") + hint, USER_MISTAKE
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate" in str(error):
        return f"not enough memory: try a smaller patch or fewer filters ({str(error)[:200]})", FAILED
    return (str(error), FAILED) if isinstance(error, OSError) else None


def _tell(message: str, code: int) -> int:
    print("ssmis:", " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
