"""Which styles hide text."""

import pytest

from chittycan.integrations.documents.css import StyleSheet, cascade, declarations, font_is_gone, hides


@pytest.mark.parametrize(
    "style",
    [
        "display:none",
        "DISPLAY : None !important",
        "display:/* trick */none",
        "visibility: hidden",
        "opacity:0",
        "opacity: 0.0",
        "mso-hide:all",
        "max-height:0; overflow:hidden",
        "height:0px;overflow-y:hidden",
        "width:0;overflow:hidden",
        "text-indent:-9999px",
        "position:absolute;left:-5000px",
        "position:absolute;clip:rect(0 0 0 0)",
        "transform:scale(0)",
        "dis\\70lay:none",
        "display:n\\6f ne",
        "display:none !important; display:block",
        "opacity:0.01",
        "content-visibility:hidden",
        "position:absolute;width:1px;height:1px;overflow:hidden",
        "overflow:hidden;line-height:0",
        "overflow:hidden;text-indent:100%",
        "margin-left:-9999px",
        "transform:translateX(-9999px)",
    ],
)
def test_hides(style: str) -> None:
    assert hides(cascade(declarations(style)))


@pytest.mark.parametrize(
    "style",
    [
        "",
        "display:block",
        "opacity:0.5",
        "height:0",
        "line-height:0",
        "overflow:hidden",
        "max-height:100px;overflow:hidden",
        "position:absolute;left:0",
        "color:#fff;background-color:#000",
        "color:white",
        "text-indent:-10px",
        "display:none;display:block",
    ],
)
def test_shows(style: str) -> None:
    assert not hides(cascade(declarations(style)))


@pytest.mark.parametrize("style", ["font-size:.5px", "font-size:2px", "font:0/0 a", "font:italic bold 0px Arial"])
def test_a_font_that_nobody_can_read_has_no_size(style: str) -> None:
    assert font_is_gone(declarations(style), around=False)
    assert not font_is_gone(declarations("font: 700 12px/1.2 Arial"), around=False)


def test_a_font_without_size_may_be_given_one_again_within() -> None:
    gone = font_is_gone(declarations("font-size:0px"), around=False)
    assert gone
    assert font_is_gone({}, around=gone)
    assert font_is_gone(declarations("font-size:2em"), around=gone)
    assert not font_is_gone(declarations("font-size:13px"), around=gone)


def _hidden(css: str, tag: str = "p", **attributes: str) -> bool:
    sheet = StyleSheet()
    sheet.add(css)
    return hides(sheet.of(tag, {key.rstrip("_"): value for key, value in attributes.items()}))


def test_rules_match_by_tag_class_and_id() -> None:
    assert _hidden("p{display:none}")
    assert _hidden(".a{display:none}", class_="b A c")
    assert _hidden("p.a{display:none}", class_="a")
    assert _hidden("div .a, h1 {display:none}", class_="a")
    assert _hidden("#x{display:none}", id="x")
    assert not _hidden("p.a{display:none}", tag="div", class_="a")
    assert not _hidden(".a.b{display:none}", class_="a")
    assert not _hidden(".outer .a{display:none}", class_="a")


def test_a_later_rule_wins() -> None:
    assert not _hidden(".a{display:none} .a{display:block}", class_="a")


def test_rules_for_other_media_do_not_count() -> None:
    assert not _hidden("@media (max-width:600px){.a{display:none}}", class_="a")
    assert not _hidden("@media print{.a{display:none}}", class_="a")
    assert _hidden("@media screen{.a{display:none}}", class_="a")
    assert _hidden("@media (max-width:600px){.b{display:none}} .a{display:none}", class_="a")
    assert _hidden("@import 'x.css'; .a{display:none}", class_="a")
    assert not _hidden("@media (min-width:600px){.a{display:none}}", class_="a")
    assert not _hidden("@media screen and (max-width:1px){.a{display:none}}", class_="a")


def test_groups_that_hold_on_any_screen_count() -> None:
    assert _hidden("@media (min-width:1px){.a{display:none}}", class_="a")
    assert _hidden("@supports (display:grid){.a{display:none}}", class_="a")
    assert not _hidden("@supports not (display:grid){.a{display:none}}", class_="a")
    assert _hidden("@layer x{.a{display:none}}", class_="a")


def test_rules_ask_for_attributes_and_for_what_is_around() -> None:
    assert _hidden("p[title=x]{display:none}", title="x")
    assert _hidden("[class*='hid']{display:none}", class_="ahidb")
    assert not _hidden("[title^=x]{display:none}", title="yx")
    assert _hidden(":is(.a){display:none}", class_="a")
    sheet = StyleSheet()
    sheet.add(".outer > .a{display:none} u + .a{display:none} .a:hover{display:none}")
    assert hides(sheet.of("p", {"class": "a"}, {".outer": 1}))
    assert not hides(sheet.of("p", {"class": "a"}, {".outer": 0}))


def test_what_is_important_is_stronger_than_what_comes_later() -> None:
    assert hides(cascade(declarations("display:none!important"), declarations("display:block")))
    assert not hides(cascade(declarations("display:none"), declarations("display:block")))


@pytest.mark.parametrize(
    "value",
    ["opacity: {1}!", "font-size: {0}q", "font: a {1}q", "transform: scale({0}q", "max-height: {0}q; overflow: hidden"],
)
def test_number_of_any_length_is_read_in_bounded_time(value: str) -> None:
    """Mail brings such a page, and everything else waits while it is read."""
    block = value.replace("{0}", "0" * 19_000).replace("{1}", "1" * 19_000)
    for _ in range(500):
        style = declarations(block)
        assert not hides(style)
        assert not font_is_gone(style, around=False)


@pytest.mark.parametrize("width", ["1.2.3px", "." * 9, "1" * 1_000_000 + "!", " " * 1_000_000])
def test_condition_that_makes_no_sense_does_not_hold(width: str) -> None:
    styles = StyleSheet()
    styles.add(f"@media (min-width: {width}) {{ p {{ display: none }} }} b {{ display: none }}")
    assert not hides(styles.of("p", {}))
    assert hides(styles.of("b", {}))


def test_the_last_rule_holds_whether_or_not_it_asks_for_more_than_names() -> None:
    styles = StyleSheet()
    styles.add("p[lang] { display: none } p { display: block } p[title] { display: none }")
    assert not hides(styles.of("p", {"lang": "en"}))
    assert hides(styles.of("p", {"lang": "en", "title": "x"}))
    assert not hides(styles.of("p", {}))


def test_a_page_that_is_all_rules_is_not_looked_through_for_ever() -> None:
    styles = StyleSheet()
    styles.add("p { opacity: 1 }" * 490 + "".join(f".a{each} {{ opacity: 1 }}" for each in range(10)))
    for number in range(1024):
        styles.of("p", {"class": " ".join(f"a{each}" for each in range(10) if number >> each & 1)})
    assert styles.exhausted
    assert styles.of("p", {}) == {}
