"""Which styles hide text."""

import pytest

from chittycan.integrations.documents.css import StyleSheet, declarations, font_is_gone, hides


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
        "color:transparent",
        "color:#fff;background-color:#FFFFFF",
        "color:white;background:#fff",
    ],
)
def test_hides(style: str) -> None:
    assert hides(declarations(style))


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
    assert not hides(declarations(style))


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
