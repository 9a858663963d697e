"""HTML pages: escaping, tables, pictures, and that they need nothing from elsewhere."""

import base64
from html.parser import HTMLParser

import pytest

from lstm_zoo.runs import page

HOSTILE = "<script>alert('&')</script>\"\x1b\u202e\udcff"
ESCAPED = "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;&quot;\\u001b\\u202e\\udcff"


class Structure(HTMLParser):
    """The elements of a page, which must be closed in order."""

    VOID = ("meta", "img")

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.ids, self.links = [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values[name] for name in ("src", "href") if name in values]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "make",
    [
        page.text,
        page.paragraph,
        lambda value: page.items([value]),
        lambda value: page.code([value]),
        lambda value: page.table([value], [["a"]]),
        lambda value: page.table(["a"], [[value]]),
        lambda value: page.table(["a"], [["a"]], value),
        lambda value: page.picture(b"", value),
        lambda value: page.page(value, "", {}),
        lambda value: page.page("", "", {value: "x"}),
        lambda value: page.text([value]),
        lambda value: page.text({value: 1}),
    ],
)
def test_texts_are_escaped_everywhere(make):
    html = make(HOSTILE)
    assert ESCAPED in html and "<script" not in html
    assert html.encode("utf-8")
    if not html.startswith("&lt;"):
        assert "script" not in Structure(html).tags


def test_long_texts_and_lists_are_cut():
    assert page.text("x" * 601) == "x" * 600 + "… (601 characters)"
    assert page.text([*range(41)]).endswith("38, 39, … (41 in all)")
    assert page.text("x" * 600) == "x" * 600


@pytest.mark.parametrize(
    "value, expected",
    [
        (True, "true"), (3, "3"), (1_234_567, "1,234,567"), (0.002, "0.002"), (1.0, "1"),
        (float("nan"), "nan"), (None, "–"), ("", ""), ([], ""), ((64, 32), "64, 32"),
        ({"a": None, "b": [1]}, "a: –, b: 1"),
    ],
)  # fmt: skip
def test_values_are_readable(value, expected):
    assert page.text(value) == expected


def test_columns_of_numbers_are_aligned():
    html = page.table(("class", "F1", "n"), [["neg", 0.5, 1_000], ["pos", None, 2]])
    assert html.count('class="number"') == 2 + 4
    assert ">0.5000<" in html and ">1,000<" in html
    large = page.table(["perplexity"], [[1e218], [999_999.5], [-2e6], [float("nan")]])
    for number in ("1e+218", "999,999.5000", "-2e+06", "nan"):
        assert f">{number}</td>" in large
    Structure(html)


def test_a_page_is_well_formed_and_needs_nothing_from_elsewhere():
    sections = {"Two words": "<p>a</p>", "Empty": "", "Plots": page.picture(b"\x89PNG", "a plot")}
    html = page.page("demo", page.paragraph("head"), sections)
    found = Structure(html)
    assert found.ids == ["two-words", "plots"]
    data = base64.b64encode(b"\x89PNG").decode()
    assert found.links == ["#two-words", "#plots", f"data:image/png;base64,{data}"]
    assert not {"script", "link", "iframe", "object"} & {*found.tags}
    assert "default-src 'none'" in html and "Empty" not in html
    assert "@import" not in html and "url(" not in html
