"""The audit as a flow: recompute everything, show it in Prefect, and fail the run if anything is wrong."""

from __future__ import annotations

from pathlib import Path

from prefect import State, flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed

from headgate.markdown import escaped, table
from headgate.walk import Findings
from tasks.audit import audit_all
from tasks.reap import sign_on


@flow(name="audit", persist_result=False)
def audit(home: str = ".headgate", model: str | None = None) -> State[None]:
    """Audit the ledger of one model, or of all models.

    Args:
        home: Where Headgate keeps its records (HEADGATE_HOME).
        model: The model's name; empty for all.
    """
    sign_on(home)
    found = look(Path(home).resolve(), model)
    wrong = sum(len(f.anomalies) for f in found.values())
    if wrong or not found:
        return Failed(message=f"{wrong} anomalies in {len(found)} ledgers", name="Anomalies")
    return Completed(message=f"{len(found)} ledgers are sound", name="Sound")


@task(name="audit", cache_policy=NO_CACHE)
def look(home: Path, model: str | None) -> dict[str, Findings]:
    """Audit, and show the findings as an artifact."""
    found = audit_all(home, model=model)
    create_markdown_artifact(
        key="audit", markdown="\n\n".join(_shown(name, f) for name, f in found.items()) or "No ledger."
    )
    return found


def _shown(model: str, found: Findings) -> str:
    checked = (
        f"{found.entries} entries, {found.digests} digests, {found.verdicts} verdicts, {found.approvals} approvals"
    )
    rows = [(a.slot, a.name, a.got, a.expected) for a in found.anomalies]
    wrong = table(("slot", "what", "got", "expected"), rows) if rows else "Nothing is wrong."
    return f"# {escaped(model)}\n\n{checked} were recomputed.\n\n{wrong}"
