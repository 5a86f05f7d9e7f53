"""A language that nobody speaks: each text accented, longer and in brackets, and still readable.

A page in it shows what misses gettext (no bracket around it) and what does not bear a longer text.
Its texts are taken out of the source anew, so that it never lacks one.
"""

from __future__ import annotations

import re
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from playwright.sync_api import Page
from scripts.messages import extracted

from latchgate.doors.console.languages import DOMAIN

TAG = "en-XA"
OPEN, CLOSE = "⟦", "⟧"
WIDTHS = (320, 1280)
_HEIGHT = 900
_LONGER = 0.4
_ACCENTED = str.maketrans(
    "AEIOUYCDGHJKLNRSTWZaeiouycdghjklnrstwz",
    "ÅÉÎÖÛÝÇÐĜĤĴĶĻÑŔŠŢŴŽåéîöûýçðĝĥĵķļñŕšţŵž",
)
# What stays as it is: placeholders, tags, entities.
_KEPT = re.compile(r"(%\([a-z_0-9]+\)[sdrif]|%%|%[sdrif]|<[^>]+>|&#?\w+;)")
_FILLING = "łóŕéɱ îþšûɱ ðöļöŕ šîţ åɱéţ çöñšéçţéţûŕ "


def pseudo(text: str) -> str:
    """Return a text as this language has it."""
    if not text:
        return text
    parts = _KEPT.split(text)
    said = "".join(one if at % 2 else one.translate(_ACCENTED) for at, one in enumerate(parts))
    length = sum(len(one) for one in parts[::2])
    more = max(1, round(length * _LONGER) - 3)  # with the brackets and the blank
    filling = (_FILLING * (more // len(_FILLING) + 1))[:more].strip() or _FILLING[0]
    return f"{OPEN}{said} {filling}{CLOSE}"


def catalogue(folder: Path) -> Path:
    """Write `en-XA/LC_MESSAGES/latchgate.mo` below a folder; returns the folder."""
    made = Catalog(locale="en", project="Latchgate", charset="utf-8", fuzzy=False)
    for one in extracted():
        if not one.id:
            continue
        said = pseudo(one.id) if isinstance(one.id, str) else tuple(map(pseudo, one.id))
        made.add(one.id, said, context=one.context)
    file = folder / TAG / "LC_MESSAGES" / f"{DOMAIN}.mo"
    file.parent.mkdir(parents=True)
    with file.open("wb") as opened:
        write_mo(opened, made)
    return folder


# Data and what programs read. A select or a field may be data as a whole, with its attributes.
_DATA = '[translate="no"], code, pre, time, kbd, textarea, script, style'
# What is shown of an element beside its text; data-label is, on a narrow screen.
_SHOWN = ["aria-label", "aria-description", "placeholder", "title", "alt", "data-label", "label"]
_UNMARKED = """
([data, shown, open, close]) => {
  const letter = /\\p{L}/u;
  const found = [];
  // Texts in document order: a translated one may go through elements inside of it.
  let depth = 0;
  const loose = (text) => {
    let out = "";
    for (const one of text) {
      if (one === open) depth += 1;
      else if (one === close) depth -= 1;
      else if (depth === 0) out += one;
    }
    return letter.test(out) ? out.trim().replace(/\\s+/g, " ") : "";
  };
  const attribute = (element, name) => {
    const before = depth;
    depth = 0;
    const text = loose(element.getAttribute(name));
    depth = before;
    if (text) found.push(`${element.localName}[${name}]: ${text}`);
  };
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      const text = loose(node.data);
      if (text) found.push(`${node.parentElement ? node.parentElement.localName : ""}: ${text}`);
      return;
    }
    if (node.nodeType === Node.ELEMENT_NODE) {
      if (node.matches(data)) return;
      for (const name of shown) if (node.hasAttribute(name)) attribute(node, name);
      if (node.matches("input:is([type=submit], [type=button], [type=reset])[value]"))
        attribute(node, "value");
      if (node.localName === "template") node.content.childNodes.forEach(walk);
    }
    node.childNodes.forEach(walk);
  };
  walk(document.body);
  depth = 0;
  const title = loose(document.title.replace(/ · Latchgate$/, ""));
  if (title) found.push(`title: ${title}`);
  return found;
}
"""


def unmarked(page: Page) -> list[str]:
    """Return every text of a page in this language that did not come through gettext.

    Texts that are hidden now count too. Data stands in code, pre, time, kbd or in an element with
    `translate="no"`.
    """
    found: list[str] = page.evaluate(_UNMARKED, [_DATA, _SHOWN, OPEN, CLOSE])
    return found


_OVERFLOWING = """
() => {
  const found = [];
  const said = (node) => node.data.trim().replace(/\\s+/g, " ").slice(0, 60);
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide)
    found.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.data.trim() || !node.parentElement.checkVisibility({ visibilityProperty: true }))
      continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const boxes = [...range.getClientRects()].filter((one) => one.width > 1 && one.height > 1);
    if (!boxes.length) continue;
    const left = Math.min(...boxes.map((one) => one.left));
    const right = Math.max(...boxes.map((one) => one.right));
    const bottom = Math.max(...boxes.map((one) => one.bottom));
    if (right <= 0) continue;  // put aside for those who don't see
    let scrolls = false;
    for (let on = node.parentElement; on; on = on.parentElement) {
      const style = getComputedStyle(on);
      if (style.display === "inline" || style.display === "contents") continue;
      const box = on.getBoundingClientRect();
      const hides = /hidden|clip/.test(style.overflowX + style.overflowY);
      if (/auto|scroll/.test(style.overflowX)) scrolls = true;
      if (scrolls) break;
      if (right > box.right + 1 || left < box.left - 1) {
        found.push(`sticks out of ${on.localName}.${on.className}: ${said(node)}`);
        break;
      }
      if (hides && bottom > box.bottom + 1) {
        found.push(`is cut off by ${on.localName}.${on.className}: ${said(node)}`);
        break;
      }
      if (style.position === "fixed") break;
    }
  }
  return found;
}
"""


def overflowing(page: Page) -> list[str]:
    """Return what of a page does not fit, at 320 and at 1280 px; it keeps its size afterwards.

    That is a page to be scrolled sideways, a text that sticks out of its box, and one cut off.
    """
    before, found = page.viewport_size, list[str]()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": _HEIGHT})
        found += [f"{width} px: {one}" for one in page.evaluate(_OVERFLOWING)]
    if before is not None:
        page.set_viewport_size(before)
    return found
