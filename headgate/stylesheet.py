"""How a report looks: on a wide screen and a telephone, in light and dark, on paper. It loads nothing."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark;
  --paper: #fff; --ink: #1f2328; --soft: #57606a; --line: #d8dee4; --field: #f6f8fa; --link: #0b57b0;
  --good: #1a6b2f; --good-field: #e8f5eb; --warn: #8a5300; --warn-field: #fff4de;
  --bad: #b3261e; --bad-field: #fdecea; --none: #57606a; --none-field: #eef1f4; }
@media screen and (prefers-color-scheme: dark) { :root {
  --paper: #14171c; --ink: #e6e8eb; --soft: #a2abb6; --line: #333a44; --field: #1c2128; --link: #7cb7ff;
  --good: #7fd492; --good-field: #16281b; --warn: #f0b860; --warn-field: #2c2313;
  --bad: #ff9d94; --bad-field: #331b1a; --none: #a2abb6; --none-field: #232932; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", Arial, sans-serif; }
header, nav, main, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2.5rem; }
h1, h2, h3, h4 { line-height: 1.25; margin: 0; text-wrap: balance; overflow-wrap: anywhere; }
h1 { font-size: 2.1rem; letter-spacing: -.02em; }
h2 { font-size: 1.4rem; margin-bottom: .8rem; letter-spacing: -.01em; }
h3 { font-size: 1.1rem; margin: 1.8rem 0 .6rem; }
h4 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, ul, ol, dl { margin: .6rem 0; max-width: 46rem; }
a { color: var(--link); text-underline-offset: .15em; overflow-wrap: anywhere; }
code { font: .86em/1.5 ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
section { padding: 2.2rem 0 1.4rem; border-top: 1px solid var(--line); }
.kicker { margin: 0 0 .3rem; color: var(--soft); font-size: .82rem; letter-spacing: .08em; text-transform: uppercase; }
.purpose { font-size: 1.1rem; color: var(--soft); }
.note { color: var(--soft); font-size: .9rem; }
nav { padding-top: .4rem; padding-bottom: 1.6rem; font-size: .92rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; padding: 0; max-width: none; }
.stand { list-style: none; padding: 0; margin: 1.4rem 0 .8rem; max-width: none; display: grid; gap: .5rem; }
.stand li { border-left: 4px solid var(--none); background: var(--none-field); padding: .65rem 1rem;
  border-radius: 0 6px 6px 0; overflow-wrap: anywhere; }
.stand .good { border-color: var(--good); background: var(--good-field); }
.stand .warn { border-color: var(--warn); background: var(--warn-field); }
.stand .bad { border-color: var(--bad); background: var(--bad-field); }
.stand li:first-child { font-size: 1.1rem; font-weight: 600; }
.chip { display: inline-block; white-space: nowrap; border-radius: 4px; padding: .05rem .45rem; font-size: .8rem;
  font-weight: 650; letter-spacing: .02em; color: var(--none); background: var(--none-field); }
.chip.good { color: var(--good); background: var(--good-field); }
.chip.warn { color: var(--warn); background: var(--warn-field); }
.chip.bad { color: var(--bad); background: var(--bad-field); }
.frame { overflow-x: auto; margin: .9rem 0 1.2rem; border: 1px solid var(--line); border-radius: 8px; }
.frame:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .6rem .9rem; color: var(--soft); font-size: .86rem; border-bottom: 1px solid
  var(--line); background: var(--field); }
th, td { text-align: left; vertical-align: top; padding: .5rem .9rem; border-top: 1px solid var(--line); }
td { overflow-wrap: break-word; } td p { margin: 0 0 .3rem; }
thead th { color: var(--soft); font-size: .8rem; font-weight: 600; border-top: 0; white-space: nowrap; }
tbody th { font-weight: 600; } tbody th a { display: inline-block; min-width: 8rem; }
.wide td, .wide tbody th { white-space: nowrap; }
.wide tbody th { position: sticky; left: 0; background: var(--paper); }
.long { overflow-wrap: anywhere; }
@media (min-width: 44rem) { .name { white-space: nowrap; } }
.strip, .legend { font: .78rem/1.4 ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; }
.strip { white-space: pre; }
.legend { white-space: pre-wrap; }
time, .chip { white-space: nowrap; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .2rem 1.1rem; margin: .9rem 0 1.2rem; }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--link); font-size: .95rem; }
.picture { border: 1px solid var(--line); border-radius: 8px; overflow-x: auto; padding: .6rem; margin: .9rem 0;
  background: #fff; }
.picture img { display: block; max-width: none; height: auto; }
@media screen and (prefers-color-scheme: dark) {
  .picture { background: #121212; } .picture img { filter: invert(.93) hue-rotate(180deg); } }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .86rem; }
.time { list-style: none; padding: 0; max-width: none; }
.time > li { display: grid; grid-template-columns: 10.5rem minmax(0, 1fr); gap: 0 1.2rem; padding: .55rem 0;
  border-top: 1px solid var(--line); }
.time > li:first-child { border-top: 0; }
.time time { color: var(--soft); font-size: .86rem; padding-top: .12rem; font-variant-numeric: tabular-nums; }
.time .note { white-space: nowrap; } .time p { margin: 0; max-width: none; overflow-wrap: anywhere; }
.plan { border-left: 3px solid var(--bad); margin: .6rem 0 .3rem; padding: .1rem 0 .1rem 1rem; font-size: .93rem; }
.plan li { overflow-wrap: anywhere; } .plan p { margin: .3rem 0; }
.plan ul, .plan ol { margin: .3rem 0; padding-left: 1.2rem; max-width: none; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .35rem 1.2rem; max-width: none; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
footer { padding-bottom: 3rem; color: var(--soft);
  font-size: .86rem; }
@media (max-width: 44rem) {
  header, nav, main, footer { padding-left: 1rem; padding-right: 1rem; }
  header { padding-top: 1.5rem; } h1 { font-size: 1.7rem; }
  .time > li, dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: .5rem; }
  .stack { border: 0; overflow: visible; }
  .stack caption { display: block; border: 1px solid var(--line); border-radius: 8px 8px 0 0; }
  .stack table, .stack tbody, .stack tr, .stack th, .stack td { display: block; width: auto; }
  .stack thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .stack tbody tr { border: 1px solid var(--line); border-top: 0; padding: .5rem .9rem; }
  .stack th, .stack td { border: 0; padding: .12rem 0; }
  .stack td:empty { display: none; } .stack td[data-label="what"]::before { content: none !important; }
  .stack td[data-label]::before { content: attr(data-label) ": "; color: var(--soft); } }
@page { margin: 14mm; }
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --link: #000; }
  body { font-size: 10pt; } nav { display: none; }
  summary { list-style: none; color: var(--ink); font-weight: 600; }
  header, main, footer { max-width: none; padding: 0; }
  section { padding: 1.2rem 0; } h2, h3, h4, caption, thead { break-after: avoid; }
  tr, .time > li, .stand li, figure { break-inside: avoid; }
  .frame, .picture { overflow: visible; } .picture img { max-width: 100%; filter: none; }
  table { font-size: 8pt; } .strip { font-size: 6.5pt; } h1 { font-size: 20pt; } h2 { font-size: 14pt; }
  th, td { padding: .22rem .3rem; } caption { font-size: 8pt; } .chip, thead th { font-size: 7.2pt; }
  thead th, td time, .wide td, .wide tbody th { white-space: normal; }
  .wide tbody th { position: static; }
  details::details-content { content-visibility: visible; block-size: auto; } }
"""
