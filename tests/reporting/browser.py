"""Pages as a browser shows them: what overflows, what is broken, what nobody can read."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1280, 420)

# Every page at every width in one window: a frame is as wide as a telephone, a window need not be.
_LOOK = """<!DOCTYPE html><title>not measured</title><body>%s<script>
const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const luminance = c => { const l = c.slice(0, 3).map(v => linear(v / 255));
  return .2126 * l[0] + .7152 * l[1] + .0722 * l[2]; };
const numbers = text => text.match(/[\\d.]+/g).map(Number);
const ground = e => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor);
  if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
const look = frame => { const d = frame.contentDocument, found = { overflow: [], faint: [], small: [],
  blurred: [], hidden: [], scroll: 0, dark: luminance(ground(d.body)) < .2, images: d.images.length,
  broken: [...d.images].filter(i => !i.complete || !i.naturalWidth).length };
  d.querySelectorAll('details').forEach(e => e.open = true);
  const walk = d.createTreeWalker(d.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) { const text = walk.currentNode.data.trim(), e = walk.currentNode.parentElement;
    if (!text) continue;
    const style = getComputedStyle(e);
    const l = [luminance(numbers(style.color)), luminance(ground(e))].sort((a, b) => b - a);
    if ((l[0] + .05) / (l[1] + .05) < 4.5) found.faint.push(text);
    if (parseFloat(style.fontSize) < 12) found.small.push(text);
    const range = d.createRange(); range.selectNodeContents(walk.currentNode);
    const own = e.closest('td, th, .card, .thumb, figure, p, h1, h2');
    const right = x => x.getBoundingClientRect().right;
    if (own && right(range) > right(own) + 1) found.overflow.push(text);
    const box = e.closest('.scroll'); // a number that must be scrolled to is hidden on a phone
    if (box && right(range) > right(box) + 1) found.hidden.push(text); }
  d.querySelectorAll('figure img').forEach(i => { // curves: letters of 9 pt at 130 dpi
    const size = 9 / 72 * 130 * i.getBoundingClientRect().width / i.naturalWidth;
    if (i.closest('.panels') && size < 9) found.blurred.push(size); });
  found.scroll = d.documentElement.scrollWidth - d.documentElement.clientWidth;
  return found; };
onload = () => { document.title = JSON.stringify(Object.fromEntries(
  [...document.querySelectorAll('iframe')].map(f => [f.name, look(f)]))); };
</script>"""


def look(pages: dict[str, str], folder: Path, dark: bool) -> tuple[dict[str, dict], str]:
    """Opens pages at every width.

    Args:
      pages: paths by name.
      folder: to write to.
      dark: whether the reader prefers dark.

    Returns:
      (what was found by "name width", what the browser's console says).
    """
    frames = "".join(
        f'<iframe name="{name} {width}" src="{Path(path).as_uri()}" style="border:0;width:{width}px;height:900px">'
        "</iframe>"
        for name, path in pages.items()
        for width in WIDTHS
    )
    outer = folder / "outer.html"
    outer.write_text(_LOOK % frames, encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
        "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000", "--dump-dom",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []), outer.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    title = html.unescape(re.search("<title>(.*?)</title>", done.stdout, re.DOTALL).group(1))
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(title), "\n".join(said)
