"""One HTML page in one file: no script, and no style, font or picture from elsewhere."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lstm_zoo.printing import escape

MAX_TEXT = 600  # characters of a cell
MAX_ITEMS = 40  # of a list in a cell
WIDTH = 32  # characters of a cell that are side by side on a phone too

# Browsers then run no script and load nothing, whatever a text holds.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --page: #fff; --muted: #5f6670;
  --line: #d8dce1; --shade: #f3f5f7; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e6e9; --page: #16181b;
  --muted: #a0a7b1; --line: #363b42; --shade: #20242a; --link: #7cb7ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; color: var(--text);
  background: var(--page); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { line-height: 1.2; margin: .5rem 0; }
h2 { margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line); }
h3 { margin: 1.5rem 0 .5rem; font-size: 1rem; }
p, ul, pre { margin: .5rem 0; }
.muted, figcaption { color: var(--muted); }
nav a { margin-right: 1rem; white-space: nowrap; }
a { color: var(--link); }
.table { overflow: auto; max-height: 36rem; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem 1rem .25rem 0; border-bottom: 1px solid var(--line);
  text-align: start; vertical-align: top; overflow-wrap: normal; word-break: normal; }
td.text { overflow-wrap: anywhere; }
th { position: sticky; top: 0; background: var(--page); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1.5rem 0; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
pre { padding: .7rem; background: var(--shade); border-radius: 4px; white-space: pre-wrap; }
@media print { :root { color-scheme: light; --text: #000; --page: #fff; --muted: #444;
    --line: #bbb; --shade: #f3f5f7; }
  body { max-width: none; font-size: 10pt; }
  nav { display: none; }
  .table { overflow: visible; max-height: none; }
  th { position: static; }
  figure, tr { break-inside: avoid; }
  h2, h3, p.muted { break-after: avoid; } }
"""


def text(value: Any) -> str:
    r"""Return a value as HTML: numbers, lists and mappings readable, all else escaped.

    Args:
        value: JSON-like. Long texts and lists are cut.

    Example:

    >>> text("<b>\x1b"), text(1e-07), text(12_000), text(None), text(["a", 2]), text({"n": 1})
    ('&lt;b&gt;\\u001b', '1e-07', '12,000', '–', 'a, 2', 'n: 1')
    """
    if isinstance(value, Mapping):
        value = [f"{name}: {_plain(entry)}" for name, entry in value.items()]
    plain = _plain(value)
    if len(plain) > MAX_TEXT:
        plain = f"{plain[:MAX_TEXT]}… ({len(plain):,} characters)"
    return html.escape(escape(plain))


def _plain(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        shown = ", ".join(map(_plain, value[:MAX_ITEMS]))
        return f"{shown}, … ({len(value):,} in all)" if len(value) > MAX_ITEMS else shown
    return str(value)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """Return a table; columns of numbers alone are aligned to the right, with four decimals.

    Args:
        header: the names of the columns.
        rows: a value for each column, as `text` takes it.
        caption: a line above it.

    Example:

    >>> print(table(["class", "F1"], [["neg", 0.5]]))
    <div class="table"><table>
    <tr><th class="text" style="min-width: 5ch">class</th><th class="number">F1</th></tr>
    <tr><td class="text" dir="auto">neg</td><td class="number">0.5000</td></tr>
    </table></div>
    """
    rows = [[*row] for row in rows]
    columns = [[row[n] for row in rows] for n in range(len(header))]
    kinds = [
        "number" if all(isinstance(x, (int, float, type(None))) for x in column) else "text"
        for column in columns
    ]
    heads = []
    for name, kind, column in zip(header, kinds, columns, strict=True):
        width = min(max(len(_plain(value)) for value in (name, *column)), WIDTH)
        style = f' style="min-width: {width}ch"' if kind == "text" else ""
        heads.append(f'<th class="{kind}"{style}>{text(name)}</th>')
    lines = [f"<tr>{''.join(heads)}</tr>"]
    for row in rows:
        cells = (
            f'<td class="number">{_number(value)}</td>'
            if kind == "number"
            else f'<td class="text" dir="auto">{text(value)}</td>'
            for value, kind in zip(row, kinds, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    above = [f'<p class="muted">{text(caption)}</p>'] if caption else []
    return "\n".join([*above, '<div class="table"><table>', *lines, "</table></div>"])


def _number(value: Any) -> str:
    # Of a large one, such as a perplexity, `text` has the exponent.
    return f"{value:,.4f}" if isinstance(value, float) and abs(value) < 1e6 else text(value)


def paragraph(value: Any) -> str:
    """Return a paragraph of a text.

    Example:

    >>> paragraph("1 < 2")
    '<p>1 &lt; 2</p>'
    """
    return f"<p>{text(value)}</p>"


def items(values: Iterable[Any]) -> str:
    """Return a list of texts.

    Example:

    >>> items(["a", "b"])
    '<ul><li>a</li><li>b</li></ul>'
    """
    return f"<ul>{''.join(f'<li>{text(value)}</li>' for value in values)}</ul>"


def code(lines: Iterable[str]) -> str:
    """Return lines of code.

    Example:

    >>> code(["cat < a"])
    '<pre><code>cat &lt; a</code></pre>'
    """
    return f"<pre><code>{html.escape(escape(chr(10).join(lines)))}</code></pre>"


def picture(png: bytes, caption: str) -> str:
    """Return a PNG with its caption.

    Example:

    >>> picture(b"PNG", "a plot")[:35]
    '<figure><img alt="a plot" src="data'
    """
    data = base64.b64encode(png).decode()
    source = f"data:image/png;base64,{data}"
    return (
        f'<figure><img alt="{text(caption)}" src="{source}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def page(title: str, head: str, sections: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        title: the title.
        head: HTML below the title.
        sections: HTML by the section's title; an empty one is left out.

    Example:

    >>> page("imdb", "", {"Results": "<p>0.9</p>"}).splitlines()[0]
    '<!DOCTYPE html>'
    """
    shown = {name: body for name, body in sections.items() if body}
    links = {name: text(name.lower().replace(" ", "-")) for name in shown}
    contents = " ".join(f'<a href="#{links[name]}">{text(name)}</a>' for name in shown)
    bodies = (
        f'<section>\n<h2 id="{links[name]}">{text(name)}</h2>\n{body}\n</section>'
        for name, body in shown.items()
    )
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            f"<h1>{text(title)}</h1>",
            head,
            f"<nav>{contents}</nav>",
            *bodies,
            "</body>",
            "</html>",
            "",
        ]
    )
