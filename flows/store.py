"""Store: is a folder or a bucket fit to hold a ledger?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from flows.guard import as_json, guarded

if TYPE_CHECKING:
    from headgate.conformance import Conformance

REFUSED = 1
_COLOURS = {"kept": "green", "noted": "yellow", "broken": "red"}


@click.group()
def store() -> None:
    """Work on the stores that hold the ledger and the evidence."""


@store.command()
@click.argument("url")
@click.option("--evidence", is_flag=True, help="Judge it as a store of evidence alone: HEADGATE_EVIDENCE.")
@click.option("--clients", type=click.IntRange(2, 200), default=16, show_default=True, help="How many race.")
@click.option("--slots", type=click.IntRange(1, 10_000), default=60, show_default=True, help="For how many names.")
@as_json
@guarded
def check(url: str, evidence: bool, clients: int, slots: int, as_json: bool) -> int:
    """Probe the store at URL, a folder or s3://bucket/prefix, before anything is entrusted to it.

    Many clients race for the same names; then all is tried that should be refused. A marker of what was found is left
    in the store: Headgate writes to no bucket that was never accepted. Endpoint and credentials are those that boto3
    finds, e.g. in AWS_ENDPOINT_URL_S3 and AWS_PROFILE. Exit codes: 0 accepted, 1 refused, 3 cannot be reached.
    """
    from rich.console import Console

    from tasks.race import check_store
    from tasks.record import now

    with Console(stderr=True).status("") as status:
        found, marker = check_store(
            url,
            "evidence" if evidence else "ledger",
            now(),
            clients=clients,
            slots=slots,
            told=lambda done: status.update(f"{clients} clients raced for {done} of {slots} slots"),
        )
    _show(url, found, marker, as_json=as_json)
    return 0 if found.accepted else REFUSED


def _show(url: str, found: Conformance, marker: str, *, as_json: bool) -> None:
    if as_json:
        said = {**found.model_dump(mode="json"), "accepted": found.accepted, "digest": found.digest, "marker": marker}
        return click.echo(json.dumps(said, indent=2))
    for law in found.laws:
        click.echo(f"{click.style(f'{law.outcome:<6}', fg=_COLOURS[law.outcome])}  {law.name:<21}  {law.said}")
    names = ", ".join(law.name for law in found.broken)
    verdict = f"refused as a store of the {found.use}: {names}" if names else f"accepted as a store of the {found.use}"
    click.echo(f"\n{url} is {verdict}.\nThe store has the marker {marker}")
