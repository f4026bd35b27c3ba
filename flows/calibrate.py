"""Calibrate: how often the gates of a policy are wrong, measured from the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.guard import HALTED, as_json, guarded
from tasks.read import Site, read_policy

if TYPE_CHECKING:
    from headgate.calibration import Calibration, Trial
    from headgate.contest import Progress


@click.command()
@click.argument("model")
@click.option("--runs", type=click.IntRange(20, 100_000), default=100, show_default=True, help="Resamples per world.")
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Of all random numbers.")
@click.option("--evaluate", "evaluation", type=click.Path(path_type=Path), help="Use this table, not the policy's.")
@as_json
@click.pass_obj
@guarded
def calibrate(site: Site, model: str, runs: int, seed: int, evaluation: Path | None, as_json: bool) -> int:
    """Measure how often the gates of MODEL are wrong, on its own rows, before anybody relies on them.

    The evaluation table is taken for all the rows there are, so the truth about every gate is known, and as many rows
    are drawn from it again and again. The model is the champion, else the newest candidate, else one fitted now.

    \b
    itself, twins     a model against itself, and two of which none is better: a sound model is not halted,
                      and is called harmful (FAIL) in at most alpha of the runs
    at the limit      every limit moved to where the model is just beyond it: at most alpha of the runs pass
    faults            wrong labels, a dropped and a shuffled group, overconfidence, a leak, a slow model, rows that
                      slipped: each is halted by the gates that should see it

    Exit code 1: a false rate is significantly above alpha, or a fault is not halted in most runs, or no gate looks at
    what it changes. The result is kept; the package of a release under the same policy and table includes it.

    \b
    headgate policy calibrate employment
    headgate policy calibrate employment --runs 1000 --json
    """
    folder = site.folder(model)
    read_policy(folder)
    table = None if evaluation is None else evaluation.resolve()
    with _told(quiet=as_json) as progress:
        from tasks.calibrate import calibrate as measure

        found = measure(site.home, folder, runs=runs, seed=seed, evaluation=table, progress=progress)
    if as_json:
        _show_json(found)
    else:
        _show(found, model)
    return 0 if found.sound else HALTED


@contextmanager
def _told(*, quiet: bool) -> Iterator[Progress]:
    """Say on standard error which world is resampled and how far it is; for programs, nothing."""
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True, quiet=quiet).status("loading rows and model") as status:
        yield lambda world, done, runs: status.update(f"{escape(world)}: {done:,} of {runs:,}")


def _show(found: Calibration, model: str) -> None:
    from headgate.calibration import SECTIONS, worst

    for heading, worlds, _ in SECTIONS:
        _show_section(f"{model}: {heading.lower()}", worst(found.of(*worlds)))
    for note in found.notes:
        _say(f"Note: {note}.")
    for silence in found.silences:
        _say(f"Not halted by any gate: {silence.fault}: {silence.reason}.")
    for problem in found.problems:
        _say(f"Problem: {problem}.", style="red")
    said = "the gates keep what they promise" if found.sound else "the gates do not keep what they promise"
    _say(
        f"{model}: {said} ({found.rows:,} rows, {found.runs:,} runs, seed {found.seed}, {found.made}). "
        f"Kept as {found.digest}",
        style="green" if found.sound else "red",
    )
    _say(_next(found, model))


def _next(found: Calibration, model: str) -> str:
    if found.sound:
        return f"Next: release {model}; the package of a release under this policy and table includes this calibration."
    return "Next: for each problem above, tighten a limit, name the slice in a gate or add rows; then calibrate again."


def _show_section(title: str, trials: Sequence[Trial]) -> None:
    """One line per trial, under what was done to the model: how often what happened, at which gate, and the truth."""
    from headgate.calibration import row

    _say(f"\n{title}", style="bold")
    before, width = "", 42 if any(trial.declared is not None for trial in trials) else 27
    for what, gate, place, truth, limit, event, times, declared in map(row, trials):
        if what != before:
            _say(what)
            before = what
        where = f" in {place}" if place not in ("", "all") else ""
        figures = f"  {truth} (limit {limit})" if truth else ""
        promised = f", {declared}" if declared else ""
        _say(f"  {event:<10} {times + promised:<{width}} {gate}{where}{figures}")
    if not trials:
        _say("  nothing was measured")


def _say(text: str, style: str = "") -> None:
    from flows.show import console
    from headgate.markdown import plain

    # Nothing in it is markup; an empty line above is ours.
    above = "\n" * text.startswith("\n")
    console().print(above + plain(text.lstrip("\n")), markup=False, highlight=False, style=style, soft_wrap=True)


def _show_json(found: Calibration) -> None:
    said = found.model_dump(mode="json")
    trials = [
        {**told, "rate": trial.rate, "interval": trial.interval}
        for told, trial in zip(said["trials"], found.trials, strict=True)
    ]
    verdict = {"digest": found.digest, "sound": found.sound, "problems": found.problems}
    click.echo(json.dumps({**said, "trials": trials, **verdict}, indent=2, ensure_ascii=False))
