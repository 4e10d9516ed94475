"""The look of the HTML pages: one self-contained file, no script, nothing fetched."""

from __future__ import annotations

import html

from gsda_tf.files import printable

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --quiet: #566172; --line: #dfe3e9; --back: #f6f7f9;
  --accent: #2457a6; --card: #fff; --head: #eef1f5; --warm: #fdf6e7; --warmer: #f6e7c3; --warmline: #ecd9a8;
  --warmink: #6a5a36; --cool: #e4eefb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --quiet: #a3adbb; --line: #353d49; --back: #14181e; --accent: #8ab4f0; --card: #1b2027;
    --head: #262d37; --warm: #2b2618; --warmer: #3a321d; --warmline: #574b2a; --warmink: #d9c48f; --cool: #1d2b40; }
  figure img { filter: invert(0.895) hue-rotate(180deg); } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px clamp(12px, 3vw, 24px) 60px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 6px; }
h3 { font-size: 16px; margin: 24px 0 4px; }
h1, h2, p, td, figcaption { overflow-wrap: anywhere; } table.plain th { overflow-wrap: normal; }
summary h2 { display: inline-block; margin: 24px 0 6px; }
p { margin: 4px 0 12px; max-width: 78ch; } .quiet { color: var(--quiet); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(158px, 1fr)); gap: 12px; margin: 18px 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.card b { display: block; font-size: 22px; white-space: nowrap;
  font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.25; }
.card span { overflow-wrap: anywhere; color: var(--quiet); font-size: 13px; display: block; }
.card.main b { color: var(--accent); } .card.oracle { background: var(--warm); border-color: var(--warmline); }
figure { margin: 10px 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px; }
figure img { display: block; width: 100%; height: auto; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); gap: 14px;
  align-items: start; justify-items: center; }
figcaption { color: var(--quiet); font-size: 13.5px; margin-top: 8px; max-width: 100ch; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 14px;
  align-items: start; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; background: var(--card); border: 1px solid var(--line); font-size: 14px;
  margin: 8px 0; }
th, td { padding: 5px 10px; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
table.results { display: block; overflow-x: auto; width: fit-content; max-width: 100%; }
table.results td { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
table.results th, table.results td { padding: 5px 8px; } table.results td.text { text-align: left; }
table.results thead th:not(.text) { text-align: right; } table.results tbody th { white-space: nowrap; }
table.results thead th { background: var(--head); white-space: nowrap; } table.results tbody th { font-weight: 500; }
table.results td.best { font-weight: 700; } table.results tr.heading th { background: var(--cool); font-weight: 600; }
table.results .published { color: var(--warmink); background: var(--warm); font-style: italic; }
table.results .published tr.heading th { background: var(--warmer); font-style: normal; }
table.results small { display: block; color: var(--quiet); font-size: 12px; font-weight: 400; line-height: 1.2; }
.groups span { display: inline-block; background: var(--head); border-radius: 5px; padding: 1px 8px; margin: 2px; }
.note { background: var(--warm); border: 1px solid var(--warmline); overflow-wrap: anywhere;
  border-radius: 8px; padding: 8px 12px; }
table.plain td { font-variant-numeric: tabular-nums; } table.plain th { background: var(--head); font-weight: 600; }
table.plain tr.oracle td { background: var(--warm); color: var(--warmink); font-style: italic; }
.thumbs { display: grid; grid-template-columns: repeat(auto-fill, minmax(118px, 1fr)); gap: 12px; margin: 10px 0; }
.thumb { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 8px; font-size: 13px; }
.thumb img { display: block; width: 100%; height: 104px; object-fit: contain; margin-bottom: 6px; }
.thumb img { background: var(--back); } .thumb img.pixels { image-rendering: pixelated; }
.thumb .file { font-size: 12px; } .thumb b, .thumb span { display: block; line-height: 1.35; overflow-wrap: anywhere; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--accent); }
a { color: var(--accent); }
"""


def page(title: str, body: str) -> str:
    """A whole page.

    Args:
      title: plain text.
      body: HTML.
    """
    name = html.escape(printable(title))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}</title><style>{_STYLE}</style></head>\n<body><main><h1>{name}</h1>\n{body}\n</main></body></html>\n"
    )
