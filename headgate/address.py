"""Addresses of servers in a page that lies in a file: what the ledger does not know, and what is believed of it.

An address leads to this machine or to a server that was declared, over http or https, and holds no password. That is
all: where a link leads decides nothing, and the promotion's form believes nothing but the ledger.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, quote, urlsplit, urlunsplit

_SIGNS = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z_a-z~\[\]]{1,2000}")
_FORM = re.compile(r"/v2/deployments/deployment/[0-9a-f-]{36}/run")


@dataclass(frozen=True)
class Places:
    """Where the links of a report lead; None where nothing is known.

    Attributes:
        form: the promotion's form in Prefect. mlflow: where MLflow's pages begin.
        packages: the folder of the packages, seen from the report.
    """

    form: str | None = None
    mlflow: str | None = None
    packages: str | None = None


def origin_of(url: str) -> str | None:
    """Scheme, host and port of an address of the web; None if it is none, or holds a name or a password."""
    parts = _parts(url)
    return None if parts is None else f"{parts.scheme}://{parts.netloc.lower()}"


def is_known(url: str, declared: Collection[str]) -> bool:
    """Whether an address leads to this machine, or to one of the declared origins (see `origin_of`)."""
    parts = _parts(url)
    return parts is not None and (_is_here(parts.hostname or "") or origin_of(url) in declared)


def bare(url: str) -> str | None:
    """An address without name and password, and without a slash at its end; None if it is no address of the web."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    found = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
    return found if _parts(found) is not None else None


def is_form(url: str) -> bool:
    """Whether an address is that of a deployment's form in Prefect, with parameters that can be read."""
    parts = _parts(url)
    return parts is not None and bool(_FORM.search(parts.path)) and _parameters(parts) is not None


def filled(form: str, version: int) -> str:
    """The address of the promotion's form with a version filled in, as Prefect is asked for it by the other pages."""
    parts = urlsplit(form)
    return form_at(urlunsplit(parts._replace(query="")), {**(_parameters(parts) or {}), "version": version})


def form_at(place: str, parameters: Mapping[str, object]) -> str:
    """The address of a deployment's form in Prefect that is to be filled in with these parameters."""
    return f"{place}?parameters={quote(json.dumps(dict(parameters)))}"


def version_page(mlflow: str, model: str, version: int) -> str:
    """The address of the page of a registered version."""
    return f"{mlflow}/#/models/{model}/versions/{version}"


def _parameters(parts: SplitResult) -> dict[str, object] | None:
    try:
        found = json.loads(parse_qs(parts.query).get("parameters", [""])[0])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url) if _SIGNS.fullmatch(url) else None
        fits = parts is not None and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return None
    return parts if fits and parts is not None and "@" not in parts.netloc else None


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
