"""The rules of the house, executed."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("headgate", "tasks", "flows")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).glob("*.py"))
HEAVY = {
    "numba",
    "prefect",
    "mlflow",
    "great_expectations",
    "sklearn",
    "skops",
    "pandas",
    "pyarrow",
    "boto3",
    "scipy.stats",
}
MAX_FILE, MAX_FUNCTION, USUAL_FUNCTION = 320, 32, 12


def functions(path: Path) -> list[tuple[str, int]]:
    """Names of a file's functions, and the lines of their bodies without the docstring."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            found.append((f"{path.name}:{node.name}", (body[-1].end_lineno or 0) - body[0].lineno + 1))
    return found


def tracked() -> list[Path]:
    """The project's files as git knows them, or all but the ignored ones where there is no git."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        return [p for p in ROOT.rglob("*") if p.is_file() and not {".venv", ".headgate"} & set(p.parts)]
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_the_rooms_that_are_promised_exist_and_are_furnished() -> None:
    for name in ("flows", "tasks", "expectations", "tests", "infra", "headgate", "benchmarks"):
        assert any((ROOT / name).iterdir()), name
    for name in ("pyproject.toml", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "Makefile", ".ci/run"):
        assert (ROOT / name).stat().st_size > 100, name


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE
    assert [name for name, lines in functions(path) if lines > MAX_FUNCTION] == []


def test_most_functions_are_very_small() -> None:
    sizes = [lines for path in SOURCES for _, lines in functions(path)]
    assert len(sizes) > 100
    assert sum(size <= USUAL_FUNCTION for size in sizes) >= 0.9 * len(sizes)


PROCESSORS_OWN = {
    "log",
    "log2",
    "log10",
    "log1p",
    "exp",
    "exp2",
    "expm1",
    "cbrt",
    "power",
    "float_power",
    "tanh",
    "dot",
}
PROCESSORS_OWN |= {"dot", "vdot", "vecdot", "matmul", "matvec", "vecmat", "inner", "tensordot", "einsum", "linalg"}
"""Of NumPy: what gives other last bits on other processors."""


def test_the_core_computes_the_same_bits_on_every_processor() -> None:
    for path in (p for p in SOURCES if p.parent.name == "headgate" and p.name != "arithmetic.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        called = {n.attr for n in nodes if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "np"}
        assert not called & PROCESSORS_OWN, f"{path.name}: take it from headgate.arithmetic"
        assert not any(isinstance(n, ast.MatMult) for n in nodes), f"{path.name}: take dot from headgate.arithmetic"


def test_flows_define_no_classes() -> None:
    # A class that a flow file defines makes its persisted results unreadable elsewhere.
    for path in (ROOT / "flows").glob("*.py"):
        assert not [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ClassDef)], path


def test_no_flow_file_shadows_a_module() -> None:
    # Prefect loads flows/x.py as the top-level module x, with flows/ first on the path.
    names = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert names
    assert not names & set(sys.stdlib_module_names)
    assert [name for name in sorted(names) if importlib.util.find_spec(name) is not None] == []


def test_no_file_is_called_by_an_empty_word() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "misc", "base", "core", "manager"}
    assert [path for path in SOURCES if path.stem in empty] == []


def test_the_core_and_the_help_import_nothing_heavy() -> None:
    names = [path.stem for path in sorted((ROOT / "headgate").glob("*.py"))]
    names.remove("loop")  # imported when it is wanted, and only where Numba is
    modules = ["flows.cli", *(f"headgate.{name}" for name in names)]
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(run.stdout.split())
    assert set(modules) <= loaded
    assert loaded & HEAVY == set(), "import them one by one to see which of them it is"


def test_the_command_line_itself_imports_next_to_nothing() -> None:
    # Every command pays for what the list of commands imports, and `--help` for nothing else.
    code = "import sys, flows.cli; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(run.stdout.split()) & {"numpy", "scipy", "pydantic", "cryptography", "psutil", "rich"} == set()


def pins_of(name: str) -> list[str]:
    text = (ROOT / name).read_text()
    return re.findall(r"^([a-z0-9._-]+==\S+).*\\$", text, re.MULTILINE | re.IGNORECASE)


@pytest.mark.parametrize("listed", ["requirements.txt", "requirements-dev.txt"])
def test_dependencies_are_pinned_by_hashes_and_name_no_index(listed: str) -> None:
    text, pins = (ROOT / listed).read_text(), pins_of(listed)
    assert len(pins) > 100
    assert text.count("--hash=sha256:") >= len(pins)
    assert not re.search(r"--(extra-)?index-url [^\\]|https?://[^\s]*/simple", text)
    for name in ("prefect", "mlflow", "great-expectations", "scikit-learn", "pandas", "boto3"):
        assert any(pin.startswith(f"{name}==") for pin in pins)


def test_what_the_tests_need_comes_beside_what_headgate_needs() -> None:
    assert set(pins_of("requirements.txt")) < set(pins_of("requirements-dev.txt"))


def test_the_server_stays_on_the_versions_that_work() -> None:
    # Newer FastAPI breaks the Prefect server and its CLI, newer SQLAlchemy its schedules; see infra/README.md.
    pins = dict(re.findall(r"^(fastapi|sqlalchemy)==(\d+\.\d+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert 139 <= int(pins["fastapi"].split(".")[1]) < 151
    assert pins["sqlalchemy"] == "2.0"


def test_no_file_names_a_package_index_or_a_path_of_one_machine() -> None:
    index = re.compile(r"--(?:extra-)?index-url\s+\S*://|registry = .https?:|https?://\S*/simple\b")
    for path in tracked():
        if path.suffix in {".parquet", ".png", ".zip"} or path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        assert not index.search(text), path
        assert str(ROOT.parent) + "/" not in text, path


def test_every_kind_of_entry_is_explained() -> None:
    from headgate.records import RECORDS

    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert [kind for kind in RECORDS if f"`{kind}`" not in text] == []


def test_the_readme_names_only_commands_that_exist() -> None:
    from flows.cli import cli

    text = (ROOT / "README.md").read_text() + (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`headgate ([a-z]+)", text)) | set(re.findall(r"^headgate ([a-z]+)", text, re.MULTILINE))
    assert named
    assert named <= set(cli.commands), named - set(cli.commands)
    makefile = (ROOT / "Makefile").read_text()
    assert [t for t in re.findall(r"`make ([a-z]+)`", text) if not re.search(rf"^{t}:", makefile, re.MULTILINE)] == []


def test_the_package_itself_has_the_one_name_that_acts_and_imports_nothing_for_it() -> None:
    code = "import sys, headgate; assert not [m for m in sys.modules if m.startswith('tasks')]; headgate.load"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    import headgate

    with pytest.raises(AttributeError, match="has no attribute 'unload'"):
        _ = headgate.unload
