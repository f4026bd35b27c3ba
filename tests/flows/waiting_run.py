"""A run of the release flow that waits for people with a form, as a worker and the Prefect UI treat it."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect import State, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.settings import get_current_settings

from flows.release import release
from headgate import sshsig
from headgate.approval import namespace
from headgate.deployment import deployments
from tasks.deploy import deploy
from tasks.read import read_policy
from tasks.record import Case


@dataclass
class WaitingRun:
    """One Prefect run of the deployment `release` of a model, about a release that was opened before."""

    case: Case
    id: UUID

    @classmethod
    def of(cls, case: Case) -> WaitingRun:
        home = str(case.home)
        deploy(deployments({str(case.folder): read_policy(case.folder)}, home), home)
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name(f"release/{case.model}")
            made = client.create_flow_run_from_deployment(found.id, parameters={"resume": case.release})
        return cls(case, made.id)

    def read(self) -> FlowRun:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(self.id)

    def go(self) -> State[Any]:
        """Run it in this process, as a worker would in another, and return its state."""
        given = {"folder": str(self.case.folder), "home": str(self.case.home), "resume": self.case.release}
        with suppress(Pause):
            run_flow(release, flow_run=self.read(), parameters=given, return_type="state")
        found = self.read().state
        assert found is not None
        return found

    def form(self) -> tuple[str, dict[str, Any]]:
        """What the form says above its fields, and its JSON schema."""
        state = self.read().state
        assert state is not None
        keys = state.state_details.run_input_keyset
        assert keys is not None
        return self._input(keys["description"]), self._input(keys["schema"])

    def key(self) -> str:
        state = self.read().state
        assert state is not None
        return str(state.state_details.pause_key)

    def submit(self, **fields: Any) -> int:
        """Submit the form as the UI does; the status that it sees."""
        return _api("POST", f"/flow_runs/{self.id}/resume", {"run_input": fields}).status_code

    def answer(self, role: str, key: Path, text: str | None = None, **fields: Any) -> State[Any]:
        """Sign what the form shows for a role, submit it, and let the run go on."""
        shown = text or self.statement(role)
        spoken = json.loads(shown)
        signature = sshsig.sign(key.read_bytes(), shown.encode(), namespace(role)).replace("\n", " ")
        said = {"decision": spoken["decision"], "name": spoken["person"], "role": role, "reason": spoken["reason"]}
        assert self.submit(**{**said, "signature": signature, **fields}) == 201
        return self.go()

    def statement(self, role: str) -> str:
        """The first text that the form shows to be signed in a role, byte for byte."""
        shown = self.form()[0].partition(f"-n {role}@headgate")[2]
        return shown.partition("<<'STATEMENT'\n")[2].partition("STATEMENT\n")[0]

    def _input(self, key: str) -> Any:
        with get_client(sync_client=True) as client:
            return json.loads(client.read_flow_run_input(flow_run_id=self.id, key=key))


def _api(method: str, path: str, body: dict[str, Any]) -> httpx.Response:
    # A server on SQLite answers 503 while its database is locked; clients are expected to ask again.
    for _ in range(20):
        answer = httpx.request(method, f"{get_current_settings().api.url}{path}", json=body, timeout=60)
        if answer.status_code != 503:
            break
        time.sleep(0.5)
    return answer


def set_state(run: WaitingRun, kind: str, *, force: bool = False) -> str:
    """Set a state by the API, as anybody can who reaches it; what the server made of it."""
    body = {"state": {"type": kind}, "force": force}
    return str(_api("POST", f"/flow_runs/{run.id}/set_state", body).json()["status"])


def write_input(run: WaitingRun, key: str, value: object) -> int:
    """Write an answer behind the form's back."""
    body = {"key": key, "value": json.dumps(value), "sender": None}
    return _api("POST", f"/flow_runs/{run.id}/input", body).status_code


def delete_input(run: WaitingRun, key: str) -> int:
    return _api("DELETE", f"/flow_runs/{run.id}/input/{key}", {}).status_code
