"""Router: the milliseconds that it adds to asking the model itself, and their ratio.

    headgate demo
    OMP_NUM_THREADS=1 python -m benchmarks.router [--home .headgate] [--model employment] [--pairs 400]

One row at a time, in turn: the model that is live, called directly with a frame of one row, as the serving probe does;
and the router, over HTTP on this machine, with JSON, flags, ledger and telemetry. So a busy machine is busy for both.
The router's lines go into the telemetry of the home.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from headgate.records import Snapshot, Trained
from tasks.dispatch import Router
from tasks.listen import at, server_of, url_of
from tasks.live import load
from tasks.load import frame_of
from tasks.record import Desk
from tasks.respond import respond
from tasks.route import maker

_WARM_UP = 20


@contextmanager
def serving(home: Path, model: str) -> Iterator[httpx.Client]:
    """A client of a router that answers on this machine."""
    router = Router(home, (model,))
    router.start()
    with at("127.0.0.1", 0) as listening:
        server = server_of(respond(router))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with httpx.Client(base_url=url_of(listening), timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
            router.close()


def rows_of(home: Path, model: str, count: int) -> Any:
    """Rows of the evaluation table, with the columns that the live model reads."""
    desk = Desk(home, model)
    state = desk.state()
    made = maker(state, max(state.aliases.values()))
    frame = frame_of(desk.home, made.step(Snapshot).evaluation)
    return frame[list(made.step(Trained).features)].head(count)


def timed(act: Callable[[], object]) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000


def asked(client: httpx.Client, model: str, number: int, row: dict[str, Any]) -> None:
    """One question, answered."""
    said = client.post(f"/models/{model}/predict", json={"subject": f"bench-{number}", "inputs": row})
    said.raise_for_status()


def measured(home: Path, model: str, pairs: int) -> list[tuple[float, float]]:
    """Milliseconds of the model itself and of the router, for each row."""
    frame, fitted = rows_of(home, model, pairs + _WARM_UP), load(model, home=home)
    answer = getattr(fitted, "predict_proba", None) or fitted.predict
    rows = frame.to_dict(orient="records")
    with serving(home, model) as client:
        found = []
        for number, row in enumerate(rows):
            itself = timed(partial(answer, frame.iloc[number : number + 1]))
            found.append((itself, timed(partial(asked, client, model, number, row))))
    return found[_WARM_UP:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(".headgate"))
    parser.add_argument("--model", default="employment")
    parser.add_argument("--pairs", type=int, default=400)
    given = parser.parse_args()
    found = measured(given.home.resolve(), given.model, given.pairs)
    itself, routed = (statistics.median(each) for each in zip(*found, strict=True))
    added = statistics.median(router - model for model, router in found)
    ratio = statistics.median(router / model for model, router in found)
    print(f"{given.model}, {len(found)} rows one at a time, medians")
    print(f"  the model itself  {itself:7.2f} ms")
    print(f"  the router        {routed:7.2f} ms")
    print(f"  added             {added:7.2f} ms, {ratio:.2f} times the model")


if __name__ == "__main__":
    main()
