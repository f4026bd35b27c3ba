"""Brief: gather what people decide on about a release that waits for them."""

from __future__ import annotations

from headgate.address import bare, version_page
from headgate.approval import moment
from headgate.brief import brief, signing
from headgate.judgement import Judged
from headgate.ledger import Ledger
from headgate.policy import Policy
from headgate.records import Evaluated, Registered
from headgate.release import Release
from headgate.state import State
from tasks.connect import tracking_uri
from tasks.link import form_of
from tasks.read import read_signers
from tasks.record import Case, Desk, now
from tasks.serve import running


def page(case: Case, *, form: bool, above: str = "") -> str:
    """The whole page as Markdown.

    Args:
        form: whether the run that shows it can be resumed with an answer; else the answer is given in a terminal.
        above: what comes first, about an answer that was no use.
    """
    desk = Desk(case.home, case.model)
    ledger = desk.ledger()
    state = desk.state(ledger)
    release = state.release(case.release)
    judged = Judged.model_validate_json(desk.evidence.get(release.step(Evaluated).judged))
    return brief(
        desk.policy(release),
        release,
        judged,
        before=_before(desk, state, release),
        links=_links(desk, release),
        commands=commands(case, ledger, release),
        form=form,
        above=above,
    )


def commands(case: Case, ledger: Ledger, release: Release) -> str:
    """What each person who may still agree would sign, and how."""
    return signing(ledger, release, read_signers(case.folder), moment(now()))


def _before(desk: Desk, state: State, release: Release) -> tuple[str, Policy] | None:
    live = state.aliases.get(desk.policy(release).alias)
    maker = None if live is None else state.maker(live)
    return None if maker is None else (maker.id, desk.policy(maker))


def _links(desk: Desk, release: Release) -> dict[str, str]:
    registered = release.step(Registered)
    form = form_of("promote", desk.model, version=registered.version)
    found = {"the package, with its card, on the machine that made it": str(desk.home.package(release.id))}
    found |= {"promote it by hand, by this form": form} if form else {}
    place = browsable(desk)
    if place is None:
        return {**found, "MLflow has no page here; this starts one": "headgate up"}
    version = version_page(place, desk.model, registered.version)
    card = f"{place}/get-artifact?path=package/card.md&run_uuid={registered.run}"
    return {f"version {registered.version} in MLflow": version, "the package's card": card, **found}


def browsable(desk: Desk) -> str | None:
    """Where MLflow's pages are, as they are browsed; None if no server is known."""
    place = tracking_uri(desk.home)
    if place.startswith("http"):
        return bare(place)  # a password in it is for this process alone
    server = running(desk.home, "mlflow")
    return None if server is None else server.url
