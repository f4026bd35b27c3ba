"""Where everything lies that Headgate writes: one folder, given by `HEADGATE_HOME`, `.headgate/` by default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The places below one folder. Naming a place does not make it.

    Attributes:
        root: the folder, absolute.
    """

    root: Path

    @property
    def store(self) -> Path:
        """The evidence store: the ledger and the evidence. The only state of our own; the rest can be rebuilt."""
        return self.root / "store"

    @property
    def pipeline_key(self) -> Path:
        """The pipeline's private key (PEM, mode 0600)."""
        return self.root / "keys" / "pipeline.pem"

    @property
    def public_key(self) -> Path:
        """The public half of the pipeline's key (PEM): all that a home needs from which ledgers are read and served."""
        return self.root / "keys" / "pipeline.pub"

    @property
    def memory(self) -> Path:
        """The checkpoints that were seen, of this home's ledgers and of others'. They decide nothing, and are kept."""
        return self.root / "memory"

    @property
    def snapshots(self) -> Path:
        """The rows that releases were made from, by digest: apart from the evidence, because rows are not to share."""
        return self.root / "snapshots"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and artifacts, where no tracking server is named."""
        return self.root / "mlflow"

    @property
    def prefect(self) -> Path:
        """Prefect's own home: its database and settings."""
        return self.root / "prefect"

    @property
    def servers(self) -> Path:
        """The process ids, addresses and logs of the servers started in the background."""
        return self.root / "servers"

    @property
    def reports(self) -> Path:
        """The pages for stakeholders: derived, and made again at any time."""
        return self.root / "reports"

    @property
    def telemetry(self) -> Path:
        """What the router answered and what became of it, by model: rows of people, apart from the evidence."""
        return self.root / "telemetry"

    @property
    def flags(self) -> Path:
        """Who is served which version of each model, in flagd's format: derived from the ledgers."""
        return self.root / "flags.json"

    def package(self, release: str) -> Path:
        """The release package of `release`, as a folder."""
        return self.root / "packages" / release
