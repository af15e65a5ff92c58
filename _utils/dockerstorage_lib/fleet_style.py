"""How the fleet's page looks: light and dark, on a desk, on a telephone and on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --bg: #f4f6f8; --surface: #ffffff; --line: #dde2e8; --text: #1a2029; --muted: #56606d;
  --accent: #1558b0; --track: #e3e7ec; --data: #2a6fc9; --metadata: #8a4fbf; --hover: #f0f4f9;
  --ok: #14693d; --ok-fill: #2f9e63; --ok-tint: #e2f4ea;
  --warning: #7d5200; --warning-fill: #dba11b; --warning-tint: #fcf0d2;
  --critical: #9a3808; --critical-fill: #e26d1f; --critical-tint: #fde5d6;
  --emergency: #a81026; --emergency-fill: #d6293f; --emergency-tint: #fbdfe3;
  --silent: #62389a; --silent-tint: #ede5f8; --none: #4d5763; --none-tint: #e9ecf0;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --bg: #0e1217; --surface: #171d25; --line: #2a323d; --text: #e7ebf1; --muted: #a0abba;
    --accent: #7db4ff; --track: #2a323d; --data: #6aa9ff; --metadata: #c792f5; --hover: #1d2530;
    --ok: #6fd49b; --ok-fill: #3aa56c; --ok-tint: #14301f;
    --warning: #f2c14e; --warning-fill: #d39b1c; --warning-tint: #35290a;
    --critical: #ff9d66; --critical-fill: #e2702a; --critical-tint: #3b1f0e;
    --emergency: #ff8591; --emergency-fill: #e0485a; --emergency-tint: #41141b;
    --silent: #cdb1ff; --silent-tint: #2a2040; --none: #b2bcc9; --none-tint: #262d37;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 1.5rem clamp(0.75rem, 2.5vw, 2.5rem) 3rem; background: var(--bg);
  color: var(--text); font: 0.94rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { margin: 0; font-size: 1.5rem; letter-spacing: -0.01em; }
header p { margin: 0.15rem 0 1.1rem; color: var(--muted); }
button, input, select { font: inherit; color: inherit; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 6px; }
[hidden] { display: none !important; }
.tiles { display: grid; gap: 0.75rem; margin-bottom: 1.1rem;
  grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); }
.tile { display: block; text-align: left; padding: 0.7rem 1rem; background: var(--surface);
  border: 1px solid var(--line); border-radius: 12px; border-left: 4px solid var(--line); }
button.tile { cursor: pointer; }
button.tile:hover { background: var(--hover); }
.tile[aria-pressed="true"] { box-shadow: 0 0 0 2px var(--accent); }
.tile b { display: block; font-size: 1.7rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: 0.87rem; }
.tile.risk.some { border-left-color: var(--emergency-fill); }
.tile.silent.some, .tile.failed.some { border-left-color: var(--silent); }
.tile.loop.some { border-left-color: var(--warning-fill); }
.tools { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: center;
  margin-bottom: 0.75rem; }
.tools label { display: flex; gap: 0.5rem; align-items: center; color: var(--muted); }
.tools input, .tools select { padding: 0.45rem 0.7rem; border: 1px solid var(--line);
  border-radius: 8px; background: var(--surface); color: var(--text); }
.tools input { width: min(24rem, 60vw); }
#told { margin-left: auto; color: var(--muted); font-variant-numeric: tabular-nums; }
table { width: 100%; border-collapse: separate; border-spacing: 0; background: var(--surface);
  border: 1px solid var(--line); border-radius: 12px; }
th, td { text-align: left; padding: 0.55rem 0.6rem; vertical-align: middle; }
thead th { position: sticky; top: 0; z-index: 1; background: var(--surface); font-size: 0.8rem;
  font-weight: 600; color: var(--muted); border-bottom: 1px solid var(--line);
  white-space: nowrap; }
thead th:first-child { border-top-left-radius: 12px; }
thead th:last-child { border-top-right-radius: 12px; }
thead button { border: 0; background: none; padding: 0.15rem 0; cursor: pointer; font-weight: 600;
  color: inherit; }
thead button::after { content: " \\2195"; opacity: 0.45; }
[aria-sort="ascending"] button::after { content: " \\2191"; opacity: 1; }
[aria-sort="descending"] button::after { content: " \\2193"; opacity: 1; }
[aria-sort] button { color: var(--text); }
tbody tr + tr td { border-top: 1px solid var(--line); }
tbody tr.host:hover td { background: var(--hover); }
.pill { display: inline-block; padding: 0.1rem 0.55rem; border-radius: 99px; font-size: 0.8rem;
  font-weight: 600; white-space: nowrap; color: var(--none); background: var(--none-tint); }
.pill.ok { color: var(--ok); background: var(--ok-tint); }
.pill.warning { color: var(--warning); background: var(--warning-tint); }
.pill.critical { color: var(--critical); background: var(--critical-tint); }
.pill.emergency { color: var(--emergency); background: var(--emergency-tint); }
.pill.silent, .pill.failed { color: var(--silent); background: var(--silent-tint); }
.name { border: 0; background: none; padding: 0; cursor: pointer; font-weight: 600;
  text-align: left; overflow-wrap: anywhere; display: flex; }
.name span { min-width: 0; }
.name::before { content: "\\25B8"; flex: 0 0 1.1em; color: var(--muted); }
.host-name { min-width: 11rem; }
.name[aria-expanded="true"]::before { content: "\\25BE"; }
.small { color: var(--muted); font-size: 0.85rem; }
.host > td > .small { display: block; }
tbody td { overflow-wrap: anywhere; }
td.why, td.warnings { min-width: 11rem; }
.driver { min-width: 8.6rem; }
td.state { white-space: nowrap; }
.fill { min-width: 9.7rem; font-variant-numeric: tabular-nums; }
.fill b { font-weight: 600; white-space: nowrap; }
.fill .small { font-size: 0.8rem; }
.bar { width: calc(100% - 4.4em); min-width: 3rem; height: 9px; vertical-align: middle;
  border-radius: 5px; margin-right: 0.3rem; }
.bar .track { fill: var(--track); } .bar .ok { fill: var(--ok-fill); }
.bar .warning { fill: var(--warning-fill); } .bar .critical { fill: var(--critical-fill); }
.bar .emergency { fill: var(--emergency-fill); }
.full { white-space: nowrap; }
.full b { font-weight: 600; }
.full .critical { color: var(--critical); } .full .warning { color: var(--warning); }
.plot { display: block; overflow: visible; }
.plot .data { stroke: var(--data); } .plot .metadata { stroke: var(--metadata); }
.plot polyline { fill: none; stroke-width: 1.6; vector-effect: non-scaling-stroke;
  stroke-linejoin: round; }
.plot line { stroke: var(--line); vector-effect: non-scaling-stroke; }
.plot text { fill: var(--muted); font-size: 11px; }
.spark { width: 4.75rem; height: 1.75rem; }
.detail td { background: var(--bg); padding: 0.9rem 1.1rem 1.1rem; }
.detail ul { margin: 0.3rem 0 0.8rem; padding-left: 1.1rem; }
.detail li { margin-bottom: 0.35rem; overflow-wrap: anywhere; }
.detail .large { width: 100%; max-width: 46rem; height: auto; margin-top: 0.4rem; }
.key::before { content: ""; display: inline-block; width: 1.1em; height: 3px; border-radius: 2px;
  margin-right: 0.35em; vertical-align: middle; background: var(--data); }
.key.metadata::before { background: var(--metadata); }
.key { margin-right: 1em; }
#more { display: block; margin: 0.9rem auto 0; padding: 0.5rem 1.2rem; border-radius: 8px;
  border: 1px solid var(--line); background: var(--surface); cursor: pointer; }
.empty { padding: 2.5rem; text-align: center; color: var(--muted); }
@media screen and (max-width: 80rem) {
  body { padding-top: 1rem; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(6.2rem, 1fr)); gap: 0.5rem; }
  .tile { padding: 0.5rem 0.7rem; }
  .tools label { flex: 1 1 12rem; } .tools input { width: 100%; } .tools select { flex: 1; }
  #told { margin-left: 0; width: 100%; }
  table, tbody, tr, td { display: block; width: 100%; }
  table { border: 0; background: none; }
  thead { display: flex; flex-wrap: wrap; gap: 0 0.9rem; margin-bottom: 0.5rem; }
  thead tr { display: contents; }
  thead th { position: static; background: none; border: 0; padding: 0.2rem 0; }
  thead th:not(:has(button)) { display: none; }
  tbody tr.host { display: grid;
    grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); background: var(--surface);
    border: 1px solid var(--line); border-radius: 12px; margin-bottom: 0.7rem; padding: 0.5rem; }
  tbody tr.host:has(+ tr.detail) { margin-bottom: 0; border-radius: 12px 12px 0 0; }
  tbody tr.detail { margin-bottom: 0.7rem; border: 1px solid var(--line); border-top: 0;
    border-radius: 0 0 12px 12px; overflow: hidden; }
  tbody tr + tr td { border-top: 0; }
  tbody tr.host:hover td { background: none; }
  td { padding: 0.3rem 0.5rem; }
  td[data-label]::before { content: attr(data-label); display: block; color: var(--muted);
    font-size: 0.75rem; }
  td.host-name { grid-column: 1 / -2; grid-row: 1; }
  td.state { grid-column: -2; justify-self: end; width: auto; }
  td.warnings, td.why { grid-column: 1 / -1; }
  td:empty, td.none { display: none; }
  .fill, .driver, .host-name, td.why, td.warnings { min-width: 0; }
  .tile b { white-space: nowrap; font-size: clamp(1rem, 4.4vw, 1.2rem); }
}
@media print {
  :root { --bg: #ffffff; font-size: 9px; }
  body { padding: 0; }
  .tools, #more, thead button::after, .name::before { display: none; }
  thead th { position: static; }
  .tile, table { break-inside: auto; } tr { break-inside: avoid; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""
