"""The command `edge-pipeline`: its verbs, each imported on use, and the handling of errors.

To add a verb, write `edge_pipeline/cli/VERB.py` with a Typer function named `command` and add one
line to `VERBS`. The summaries are stored here so that `--help` imports no verb.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from edge_pipeline import __version__
from edge_pipeline.cli.signals import ending_signals_exit
from edge_pipeline.errors import EdgePipelineError
from edge_pipeline.fault_log import bug_report

__all__ = ["VERBS", "Verb", "app", "main"]


class Verb(NamedTuple):
    """A verb of the command line: its name, its module and the line that `--help` shows."""

    name: str
    module: str
    summary: str


VERBS = (
    Verb("develop", "edge_pipeline.cli.develop", "Develop RAW captures into pictures."),
    Verb("segment", "edge_pipeline.cli.segment", "Write masks and overlays of pictures."),
    Verb("compile", "edge_pipeline.cli.compile", "Compile a network into an artifact."),
    Verb(
        "respecialise",
        "edge_pipeline.cli.respecialise",
        "Copy a compiled artifact with other weights.",
    ),
    Verb("verify", "edge_pipeline.cli.verify", "Compare artifacts with eager and with each other."),
    Verb("bisect", "edge_pipeline.cli.bisect", "Find where a compiled network goes wrong."),
    Verb("bench", "edge_pipeline.cli.bench", "Measure the latency and memory of artifacts."),
    Verb("report", "edge_pipeline.cli.report", "Write a page, CSV or Markdown on measurements."),
    Verb("devices", "edge_pipeline.cli.devices", "List the devices to measure on."),
    Verb(
        "calibrate-device",
        "edge_pipeline.cli.calibrate_device",
        "Measure a device for the compiler.",
    ),
    Verb("inspect", "edge_pipeline.cli.inspect", "Show the parameters and cost of a network."),
    Verb("train", "edge_pipeline.cli.train", "Train a network from a recipe."),
    Verb("pareto", "edge_pipeline.cli.pareto", "Evaluate a checkpoint at many values of phi."),
    Verb("select", "edge_pipeline.cli.select", "Choose phi under limits of quality and cost."),
    Verb("data", "edge_pipeline.cli.data", "List and fetch data sets."),
)


def _load(verb: Verb) -> Any:
    """Return the verb's command as the object that Typer runs."""
    # markdown, because other modes keep the line breaks of docstrings inside paragraphs
    loader = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    loader.command(verb.name)(importlib.import_module(verb.module).command)
    return typer.main.get_command(loader)


class _VerbGroup(TyperGroup):
    """Lists verbs by their summaries; imports only the one that is run.

    The types of Typer's parser are `Any` here, because they moved between its versions.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        for verb in VERBS:
            if verb.name == name:
                return name, _load(verb), rest
        return name, command, rest


app = typer.Typer(
    cls=_VerbGroup,
    help="Develop RAW captures; compile, check and measure the networks that do it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"edge-pipeline {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Develop RAW captures; compile, check and measure the networks that do it."""


def _stand_in() -> None:
    """Do nothing; a placeholder for a verb, whose real command `_VerbGroup` runs."""


for _verb in VERBS:
    app.command(_verb.name, help=_verb.summary)(_stand_in)


def _print_error(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 - errors are printed


def _run(arguments: Sequence[str] | None) -> int:
    try:
        app(None if arguments is None else list(arguments), prog_name="edge-pipeline")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except EdgePipelineError as error:
        _print_error(str(error))
        return error.exit_code
    except BrokenPipeError:  # `main` ends without a message
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last place where an error can be reported
        details = "".join(traceback.format_exception(error))
        _print_error(f"unexpected error, {bug_report(details)}")
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: success. 1: processing failed. 2: the input or the usage is invalid. 130: interrupted. 143:
    ended by SIGTERM. If the reader of stdout ends (`| head`), the program ends with 1 and without a
    message.

    Args:
        arguments: Arguments after the program's name; None for those of the process.
    """
    if not sys.warnoptions:  # hide libraries' warnings unless -W or PYTHONWARNINGS asks for them
        warnings.simplefilter("ignore")
    with ending_signals_exit():
        code = _run(arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError) and code == 0:
            _print_error(f"standard output cannot be written: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
