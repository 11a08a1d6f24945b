"""The documentation names what there is: every variable, every key of the store."""

import ast
import inspect
import re
from pathlib import Path

from csms import metrics
from csms.config import VARIABLES
from csms.state import keys

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# What one of our own modules reads without Settings.
OUTSIDE_SETTINGS = {"CSMS_VAR", "STORE_FSYNC"}
NOT_KEYS = {"PREFIX"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def rows(page: str) -> dict[str, str]:
    """The rows of all tables by the name in backticks that begins them."""
    found: dict[str, str] = {}
    for line in (DOCS / page).read_text().splitlines():
        begin = re.match(r"\| `([^`]+)`", line)
        if begin:
            assert begin[1] not in found, f"{page} has two rows for {begin[1]}"
            found[begin[1]] = line
    return found


def key_templates() -> dict[str, str]:
    """Every key of keys.py by its name there, with `<parameter>` for what it is made of."""
    templates: dict[str, str] = {}
    for name, value in vars(keys).items():
        if name.isupper() and name not in NOT_KEYS:
            templates[name] = value
        elif inspect.isfunction(value) and not name.startswith("_"):
            made = value(*[f"<{parameter}>" for parameter in inspect.signature(value).parameters])
            templates[name] = re.sub(r"[0-9a-f]{32}", "<digest>", made)
    return templates


def headings(path: Path) -> set[str]:
    """The anchors of a page, as the usual renderers make them."""
    return {
        re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
        for line in path.read_text().splitlines()
        if line.startswith("#")
    }


def environment_names(path: Path) -> set[str]:
    """Names in capitals that a module asks a mapping called `environ` for."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        asked: ast.expr | None = None
        if isinstance(node, ast.Subscript) and _is_environ(node.value):
            asked = node.slice
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and _is_environ(node.func.value)
            and node.args
        ):
            asked = node.args[0]
        if isinstance(asked, ast.Constant) and str(asked.value).isupper():
            names.add(str(asked.value))
    return names


def _is_environ(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "environ") or (
        isinstance(node, ast.Attribute) and node.attr == "environ"
    )


def test_every_variable_has_a_row_and_every_row_a_variable():
    assert set(rows("configuration.md")) == VARIABLES | OUTSIDE_SETTINGS


def test_a_variable_read_outside_the_settings_has_a_row_too():
    modules = [ROOT / "wsgi.py", *ROOT.glob("csms/**/*.py"), *ROOT.glob("workers/**/*.py")]

    read = set().union(*map(environment_names, modules))

    assert read - {"PATH"} <= VARIABLES | OUTSIDE_SETTINGS


def test_every_key_has_a_row_with_its_template_and_every_row_a_key():
    templates = key_templates()
    documented = rows("redis.md")

    assert {name for name in documented if not name.endswith("*")} == set(templates)
    for name, template in templates.items():
        assert f"`{template}`" in documented[name], name


def test_every_link_between_the_documents_leads_somewhere():
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]

    broken = []
    for page in pages:
        for target in LINK.findall(page.read_text()):
            path, _, anchor = target.partition("#")
            if "://" in target or path.endswith(".png"):
                continue
            meant = (page.parent / path).resolve() if path else page
            if not meant.exists() or (anchor and anchor not in headings(meant)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")

    assert broken == []


def test_every_decision_is_in_the_index():
    decisions = {path.name for path in (DOCS / "adr").glob("[0-9]*.md")}

    listed = set(LINK.findall((DOCS / "adr" / "README.md").read_text()))

    assert decisions == listed


def test_every_metric_has_a_row():
    documented = {name.partition("{")[0].removesuffix("_total") for name in rows("operations.md")}

    counted = {metric.name for metric in metrics.REGISTRY.collect()}

    assert counted <= documented
