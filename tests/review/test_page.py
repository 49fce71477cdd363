"""A page of our own: nothing of a stranger's text becomes markup, nothing is fetched."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepkit.review.page import Html, Page, element, paragraph, picture, table

NASTY = "<script>alert(1)</script>&\"'><svg onload=x>"


class Reader(HTMLParser):
    """Tags and text as a browser reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader


PRINTABLE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")))


@given(PRINTABLE, PRINTABLE)
def test_any_text_and_any_attribute_come_back_as_they_were(text: str, value: str) -> None:
    found = read(element("p", text, data_value=value))
    assert found.tags == ["p"] and found.text == text
    assert found.attributes == [("data-value", value)]


@given(st.text())
def test_a_picture_is_well_formed_whatever_it_says(text: str) -> None:
    svg = picture(100, 50, element("text", text, x=1), element("line", stroke_width=2), label=text)
    root = ET.fromstring(svg)
    assert root.get("viewBox") == "0 0 100 50" and [child.tag for child in root] == ["text", "line"]


def test_nothing_of_a_stranger_becomes_markup() -> None:
    page = Page(NASTY, lead=NASTY)
    page.section(NASTY, paragraph(NASTY, class_=NASTY), table([NASTY, "n"], [[NASTY, NASTY]]), element("pre", NASTY))
    found = read(page.html())
    assert "script" not in found.tags and "svg" not in found.tags and "onload" not in dict(found.attributes)
    assert found.text.count(NASTY) == 9  # title, h1, lead, h2, paragraph, heading, two cells, pre


def test_an_element_is_not_escaped_again_but_text_beside_it_is() -> None:
    inner = element("b", "<")
    assert element("p", inner, "<") == "<p><b>&lt;</b>&lt;</p>"
    assert isinstance(inner, Html)
    assert not isinstance(inner + "<i>", Html)  # what is put together by hand is text again


@pytest.mark.parametrize("name", ["a b", "x>", "onclick=1", "", "é"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        element("p", **{name: 1})
    with pytest.raises(ValueError, match="no name"):
        element(name)


def test_a_page_needs_nothing_from_elsewhere() -> None:
    page = Page("title", "lead").section("numbers", table(["name", "value"], [["a", 1], ["b", 2]])).html()
    found = read(page)
    assert not {"script", "link", "img", "iframe"} & set(found.tags)
    assert not {"src", "href"} & {name for name, _ in found.attributes} and "url(" not in page and "@import" not in page
    assert found.tags.count("tr") == 3 and ("class", "number") in found.attributes
    with pytest.raises(ValueError, match="zip"):
        table(["one"], [["a", "b"]])
