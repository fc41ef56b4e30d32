"""The results as a table of text, and as one page of HTML that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Sequence

from benchmarks.assay_bench.scoring import Rate, Result, Score, by_family, score

COLUMNS = (
    "verifier",
    "false accepted (95%)",
    "worst family",
    "true rejected (95%)",
    "lies left open",
    "true left open",
    "right reason",
    "stable",
    "s per claim",
)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
body { color: #1c2128; background: #fff }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { border: 1px solid #c9d1d9; padding: .35rem .6rem; text-align: left; vertical-align: top }
th { background: #f0f3f6 } .bad { background: #ffe3e0 } .good { background: #e2f5e6 }
details { margin: .5rem 0 } pre { white-space: pre-wrap; margin: 0 }
@media (prefers-color-scheme: dark) {
  body { color: #d7dde4; background: #14181d } th, td { border-color: #3a434d }
  th { background: #222a33 } .bad { background: #5b2420 } .good { background: #1d4527 }
}
"""


def scores(results: Sequence[Result]) -> list[Score]:
    """Return the score of each verifier, in the order in which they come."""
    names = dict.fromkeys(r.verifier for r in results)
    return [score(name, [r for r in results if r.verifier == name]) for name in names]


def render_text(results: Sequence[Result], errors: Sequence[str], about: str) -> str:
    """Return everything that a terminal shows."""
    lines = [about, "", _row(COLUMNS), _row(["---"] * len(COLUMNS))]
    lines += [_row(_cells(found)) for found in scores(results)]
    lines += ["", "False acceptances by family:", "", *_families(results)]
    wrong = [r for r in results if _is_wrong(r)]
    for verifier in dict.fromkeys(r.verifier for r in wrong if r.verifier.startswith("assay")):
        lines += ["", f"What {verifier} got wrong:"]
        lines += [f"- {r.case} ({r.status}): {_first(r.reason)}" for r in wrong if r.verifier == verifier]
    if errors:
        lines += ["", "Faults of the benchmark:", *(f"- {error}" for error in errors)]
    return "\n".join(lines) + "\n"


def render_page(results: Sequence[Result], errors: Sequence[str], about: str) -> str:
    """Return the page."""
    body = [f"<h1>assay-bench</h1><p>{html.escape(about)}</p>", _table(COLUMNS, [_cells(s) for s in scores(results)])]
    verifiers = list(dict.fromkeys(r.verifier for r in results))
    body.append("<h2>False acceptances by family</h2>")
    body.append(_table(("family", *verifiers), _family_rows(results, verifiers)))
    for verifier in verifiers:
        wrong = [r for r in results if r.verifier == verifier and (_is_wrong(r) or r.status == "inconclusive")]
        rows = [[r.case, r.family, r.status, r.reason] for r in wrong]
        shown = _table(("case", "family", "said", "because"), rows)
        body.append(f"<details><summary>{html.escape(verifier)}: {len(wrong)} wrong or open</summary>{shown}</details>")
    if errors:
        body.append("<h2>Faults of the benchmark</h2>" + _table(("case",), [[error] for error in errors]))
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>assay-bench</title>'
    head += f"<style>{_STYLE}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def _cells(found: Score) -> list[str]:
    name, worst = found.worst
    return [
        found.verifier,
        str(found.false_accepted),
        f"{name}: {worst}" if worst.count else "-",
        str(found.true_rejected),
        str(found.false_open),
        str(found.true_open),
        str(found.right),
        str(found.stable),
        f"{found.seconds:.1f}",
    ]


def _families(results: Sequence[Result]) -> list[str]:
    verifiers = list(dict.fromkeys(r.verifier for r in results))
    rows = _family_rows(results, verifiers)
    return [_row(["family", *verifiers]), _row(["---"] * (len(verifiers) + 1)), *(_row(row) for row in rows)]


def _family_rows(results: Sequence[Result], verifiers: Sequence[str]) -> list[list[str]]:
    lies = [r for r in results if not r.true and r.repetition == 1]
    rates = {v: by_family([r for r in lies if r.verifier == v]) for v in verifiers}
    families = sorted({r.family for r in lies})
    return [[f, *(_share(rates[v].get(f)) for v in verifiers)] for f in families]


def _share(rate: Rate | None) -> str:
    return "-" if rate is None else f"{rate.count}/{rate.of}"


def _is_wrong(result: Result) -> bool:
    return result.status == ("rejected" if result.true else "accepted")


def _first(reason: str) -> str:
    return reason.split("\n", 1)[0][:200]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    kind = ' class="good"' if text.startswith("0/") else ' class="bad"' if text[:1].isdigit() and "/" in text else ""
    return f"<td{kind}><pre>{html.escape(text)}</pre></td>"
