"""The report as Markdown, as HTML and as JSON."""

import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from chargepoint.conformance.report import Report, facts, failures, tables

NAME = "report"
_ID = re.compile(r"[A-Z]+[-_]\w+")

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
caption { text-align: left; font-weight: 600; font-size: 1.25rem; padding: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; }
th, td { border-bottom: 1px solid #8886; }
td.Pass { color: light-dark(#0a5c2b, #7ee2a8); } td.Fail { color: light-dark(#a11, #ff9c9c); }
td.Pass, td.Fail { font-weight: 600; }
.facts th { width: 16rem; }
th.id { white-space: nowrap; } td:last-child { overflow-wrap: anywhere; }
.note { border: 2px solid; padding: .6rem 1rem; font-weight: 600; }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
@media print { body { margin: 0; max-width: none; font-size: 10pt; } tr { break-inside: avoid; }
  thead { display: table-header-group; } .scroll { overflow: visible; } }
""".strip()


def prepare(directory: Path) -> None:
    """Make the directory, if need be. Raises OSError where no file can be written into it."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass


def write(report: Report, directory: Path) -> list[Path]:
    """The three files."""
    prepare(directory)
    found = report.as_object()
    forms = {
        "md": markdown(found),
        "html": html(found),
        "json": json.dumps(found, indent=2, ensure_ascii=False) + "\n",
    }
    paths = []
    for ending, text in forms.items():
        path = directory / f"{NAME}.{ending}"
        path.write_text(text)
        paths.append(path)
    return paths


def markdown(report: dict[str, Any]) -> str:
    lines = [f"# {report['title']}", "", f"**{report['disclaimer']}**", ""]
    lines += _markdown_rows(("", ""), facts(report))
    for title, head, rows in tables(report):
        lines += ["", f"## {title}", "", *_markdown_rows(head, rows)]
        if title.startswith("Performance"):
            lines += ["", report["performance"]["how"]]
    for title, told in failures(report):
        lines += ["", f"### {title}", ""]
        lines += [f"- {name}: {_code(text)}" for name, text in told]
    return "\n".join(lines) + "\n"


def html(report: dict[str, Any]) -> str:
    """One file that needs no other, and prints."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(report['title'])}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{escape(report['title'])}</h1>",
        f'<p class="note">{escape(report["disclaimer"])}</p>',
        _facts(facts(report)),
    ]
    for title, head, rows in tables(report):
        parts.append(_html_table(title, head, rows))
        if title.startswith("Performance"):
            parts.append(f"<p>{escape(report['performance']['how'])}</p>")
    failed = failures(report)
    if failed:
        parts.append("<h2>Failed checks</h2>")
    for title, told in failed:
        parts += [f"<h3>{escape(title)}</h3>", _definitions(told)]
    parts.append("</main></body></html>")
    return "\n".join(parts) + "\n"


def _markdown_rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *[f"| {' | '.join(_cell(text) for text in row)} |" for row in rows],
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def _html_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    columns = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    lines = []
    for first, *rest in rows:
        cells = "".join(
            f'<td class="{text}">{text}</td>'
            if text in {"Pass", "Fail"}
            else f"<td>{escape(text)}</td>"
            for text in rest
        )
        kind = ' class="id"' if _ID.fullmatch(first) else ""
        lines.append(f'<tr><th scope="row"{kind}>{escape(first)}</th>{cells}</tr>')
    return (
        # What scrolls must be reachable by the keyboard.
        f'<div class="scroll" role="region" aria-label="{escape(title)}" tabindex="0">'
        f"<table><caption>{escape(title)}</caption>"
        f"<thead><tr>{columns}</tr></thead><tbody>\n"
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def _facts(told: Iterable[tuple[str, str]]) -> str:
    """A fact on each line."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>\n'
        for name, text in told
    )
    return f'<table class="facts"><tbody>\n{rows}</tbody></table>'


def _definitions(told: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in told)
    return f"<dl>{items}</dl>"
