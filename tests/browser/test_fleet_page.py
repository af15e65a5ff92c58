"""The fleet's page as a reader meets it, in a real browser."""

from __future__ import annotations

import re

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser import fleets

#: The least ratio of a text's and its background's luminance that everybody can read (WCAG AA).
CONTRAST = 4.5
CONTRASTS = """
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const part = (value) =>
  (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
function behind(node) {
  for (; node; node = node.parentElement) {
    const colour = rgb(getComputedStyle(node).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
}
const found = [];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || !node.checkVisibility() || node.closest("script, style, noscript")) continue;
  const svg = node instanceof SVGElement;
  const colour = rgb(getComputedStyle(node)[svg ? "fill" : "color"]);
  const [one, other] = [luminance(colour), luminance(behind(node))].sort((a, b) => b - a);
  const ratio = (one + 0.05) / (other + 0.05);
  found.push([ratio, node.tagName + "." + node.className, node.textContent]);
}
return found;
"""


@pytest.fixture
def page(show):
    return show(fleets.small())


def test_every_host_is_there_the_worst_first(page):
    assert page.names() == ["full1", "db1", "old1", "silent1", "ok1", "web1"]
    tiles = page.ask("return [...document.querySelectorAll('.tile')].map(t => t.innerText)")
    told = {label: count for count, label in (tile.split("\n") for tile in tiles)}
    assert told == {
        "hosts": "6",
        "at risk": "2",
        "silent": "1",
        "without a report": "1",
        "on loop-lvm": "1",
        "prunable": "5.0 GiB",
    }
    text = page.ask("return document.getElementById('rows').innerText")
    for part in ("83.2 %", "83.2 GiB of 100.0 GiB", "9 d", "loop-lvm", "overlay2", "5.0 GiB",
                 "no answer within 30 s", "the extension is not installed there"):  # fmt: skip
        assert part in text, part
    assert page.complaints() == []


def test_bars_are_as_long_as_pools_are_full(page):
    bar = page.ask(
        """const row = [...document.querySelectorAll('tr.host')]
               .find(r => r.querySelector('.name').textContent === 'db1');
           const [track, fill] = row.querySelector('.bar').children;
           return [fill.getBoundingClientRect().width / track.getBoundingClientRect().width,
                   fill.getAttribute('class')]"""
    )
    assert bar == [pytest.approx(0.832, abs=0.01), "critical"]


def test_details_tell_each_warning_with_its_way_out_and_plot_the_history(page):
    page.browser.find_elements("css selector", ".name")[1].click()
    detail = page.ask("return document.querySelector('.detail').innerText")
    for part in ("Docker 20.10.24", "pool docker-thinpool", "The pool's data is at 83.2 %.",
                 "Way out: Prune (dockerstorage.prune)", "Way out: Move to overlay2",
                 "2025-11-24 16:00 UTC"):  # fmt: skip
        assert part in detail, part
    plots = page.ask(
        "return [...document.querySelectorAll('.plot')].map(p => p.getAttribute('aria-label'))"
    )
    assert len(plots) == 2
    assert plots[0].startswith("History of db1 from 2025-11-16")
    assert plots[0].endswith("data now 83.2 %, metadata 21.4 %")
    page.browser.find_elements("css selector", ".name")[1].click()
    assert page.ask("return document.querySelector('.detail')") is None


def test_sorting_by_keyboard_says_so(page):
    def heads():
        return page.ask(
            """return [...document.querySelectorAll('#heads th')].filter(h => h.ariaSort)
                   .map(h => [h.innerText.trim(), h.ariaSort])"""
        )

    assert heads() == [["State", "ascending"]]
    button = page.browser.find_elements("css selector", "#heads button")[3]
    button.send_keys(Keys.ENTER)
    assert heads() == [["Data", "descending"]]
    assert page.names()[:3] == ["full1", "db1", "ok1"]
    assert page.ask("return document.activeElement.textContent") == "Data"
    button.send_keys(Keys.SPACE)
    assert heads() == [["Data", "ascending"]]
    # What is not known comes last, whichever way.
    assert page.names()[:3] == ["ok1", "db1", "full1"]
    page.browser.find_elements("css selector", "#heads button")[1].click()
    assert page.names() == sorted(page.names())


def test_filters(page):
    assert page.filter("83.2") == ["db1"]
    assert page.filter("DEVICEMAPPER loop") == ["full1", "db1"]
    assert page.filter(state="at risk") == ["full1", "db1"]
    assert page.filter(state="silent") == ["silent1"]
    assert page.filter(state="loop-lvm") == ["full1"]
    assert page.filter("nothing has this") == []
    assert "No host matches" in page.ask("return document.body.innerText")
    assert page.ask("return document.getElementById('told').textContent") == "0 of 6 hosts"
    page.filter()
    page.browser.find_element("css selector", ".tile.silent").click()
    assert page.names() == ["silent1"]
    assert page.ask("return document.querySelector('.tile.silent').ariaPressed") == "true"


def test_hostile_texts_stay_texts(show):
    page = show(fleets.hostile())
    assert len(page.names()) == 2 * len(fleets.HOSTILE)
    for button in page.browser.find_elements("css selector", ".name"):
        page.ask("arguments[0].click()", button)
    assert page.ask("return window.owned") is None
    assert page.complaints() == []
    assert page.ask("return document.title").startswith("Docker storage: 26 hosts")
    # Nothing but what the page itself is made of: no element, no handler of a minion's.
    made = page.ask("return [...new Set([...document.querySelectorAll('*')].map(n => n.tagName))]")
    assert not {"IMG", "IFRAME", "A", "OBJECT"} & set(made)
    assert page.ask("return document.scripts.length") == 2
    handlers = page.ask(
        """return [...document.querySelectorAll('*')].flatMap(n => n.getAttributeNames())
               .filter(name => name.startsWith('on'))"""
    )
    assert handlers == []
    text = page.ask("return document.body.innerText")
    assert (
        re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)
        is None
    )


def test_nothing_is_loaded_from_anywhere(page):
    page.ask("document.querySelectorAll('.name')[1].click()")
    assert [url for url in page.requests() if not url.startswith("data:")] == [page.path.as_uri()]


def test_the_policy_stops_what_is_not_the_pages_own(page):
    page.ask(
        """const script = document.createElement('script');
           script.textContent = 'window.owned = 1'; document.body.append(script);
           const image = new Image(); image.src = 'https://example.com/x.png';
           document.body.append(image)"""
    )
    assert page.ask("return window.owned") is None
    complaints = " ".join(page.complaints())
    assert "script-src" in complaints
    assert "img-src" in complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_texts_can_be_read(page, scheme):
    page.emulate(scheme=scheme)
    page.browser.find_elements("css selector", ".name")[1].click()
    luminance = page.ask("return getComputedStyle(document.body).backgroundColor")
    assert (luminance == "rgb(14, 18, 23)") == (scheme == "dark")
    found = page.ask(CONTRASTS)
    assert len(found) > 60
    assert [one for one in found if one[0] < CONTRAST] == []


@pytest.mark.parametrize("width", [320, 390, 800, 1281, 1400])
@pytest.mark.parametrize("fleet", ["small", "hostile"])
def test_no_screen_needs_to_be_scrolled_sideways(show, fleet, width):
    page = show(getattr(fleets, fleet)())
    page.emulate(width=width)
    for button in page.browser.find_elements("css selector", ".name")[:3]:
        page.ask("arguments[0].click()", button)
    assert page.ask("return document.documentElement.scrollWidth") <= width


def test_on_a_telephone_hosts_are_cards_that_say_what_is_what(page):
    page.emulate(width=390)
    row = page.browser.find_elements("css selector", "tr.host")[1]
    assert page.ask("return getComputedStyle(arguments[0]).display", row) == "grid"
    labels = page.ask(
        """return [...arguments[0].querySelectorAll('td[data-label]')]
               .map(c => getComputedStyle(c, '::before').content)""",
        row,
    )
    assert '"Data"' in labels
    assert '"Full in"' in labels
    # Cards are still a table for who hears the page.
    roles = page.ask(
        "return [...arguments[0].children].map(c => c.getAttribute('role')).join(' ')", row
    )
    assert roles.startswith("cell rowheader cell")


def test_thousands_of_hosts_stand_in_slices(show):
    hosts = fleets.large(5000)
    page = show(hosts)
    assert page.ask("return document.getElementById('told').textContent") == f"{len(hosts)} hosts"
    assert len(page.names()) <= 200
    assert page.ask("return document.querySelectorAll('*').length") < 15_000
    assert page.path.stat().st_size < 8 << 20
    found = page.filter("host04321")
    assert found == ["host04321.example.com"]
    page.filter()
    page.ask("window.scrollTo(0, document.body.scrollHeight)")
    page.browser.execute_async_script("setTimeout(arguments[0], 300)")
    assert 50 < len(page.names()) <= 500
    # Paper gets them all.
    page.filter("host0432")
    page.ask("window.dispatchEvent(new Event('beforeprint'))")
    assert len(page.names()) == 11


def test_without_scripts_it_is_a_plain_table(show):
    page = show(fleets.small())
    page.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.browser.get(page.path.as_uri())
        text = page.browser.find_element("css selector", "noscript").text
    finally:
        page.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "6 hosts, 2 at risk, 1 silent, 1 without a report" in text
    assert "db1 devicemapper direct-lvm 83.2 % 21.4 % 9 d (data)" in " ".join(text.split())
