"""What the fleet's page does: rows in slices, sorting, filtering, plots. Plain JavaScript.

All texts go in as texts, never as markup. Only a slice of the rows stands in the page at first and
the next ones come as one scrolls, so that thousands of hosts load, filter and sort at once.
"""

SCRIPT = r"""
"use strict";
(() => {
  const fleet = JSON.parse(document.getElementById("fleet").textContent);
  const SLICE = 50;
  const RISK = ["emergency", "critical", "warning"];
  const find = (id) => document.getElementById(id);

  function put(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes))
      if (value !== null && value !== undefined) node.setAttribute(name, value);
    for (const child of children)
      if (child !== null && child !== undefined && child !== "") node.append(child);
    return node;
  }
  const make = (tag, attributes = {}, ...children) =>
    put(document.createElement(tag), attributes, children);
  const draw = (tag, attributes = {}, ...children) =>
    put(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

  const hosts = fleet.hosts.map((host, place) => ({
    ...host, place,
    haystack: [host.name, host.state, host.driver, host.kind, host.pool, host.engine, host.why,
      ...(host.warnings || []).map(([text]) => text)].filter(Boolean).join("\n").toLowerCase(),
  }));
  const some = (key) => hosts.some((host) => host[key]);

  // Each column: heading, key of its cell, value to sort by (null: last), whether high comes first.
  const columns = [
    ["State", stateCell, (host) => fleet.states.indexOf(host.state), false],
    ["Host", nameCell, (host) => host.name, false],
    ["Driver", driverCell, (host) => host.driver || null, false],
    ["Data", (host) => fillCell("Data", host.data), (host) => host.data?.percent, true],
    ["Metadata", (host) => fillCell("Metadata", host.metadata),
      (host) => host.metadata?.percent, true],
    ["Full in", fullCell, (host) => host.full?.seconds, false],
    ...(some("history") ? [["History", historyCell, null, false]] : []),
    ...(some("prunable") ? [["Prunable", prunableCell, (host) => host.prunable?.bytes, true]] : []),
    ["Warnings", warningsCell, (host) => host.warnings?.length, true],
  ];

  const cell = (label, kind, ...children) =>
    make("td", { class: kind, "data-label": label, role: "cell" }, ...children);
  const nothing = (label) => cell(label, "none small", "–");

  function stateCell(host) {
    return make("td", { class: "state", role: "cell" },
      make("span", { class: `pill ${host.state}` }, host.state));
  }
  // A long name breaks behind its dots and dashes.
  const breakable = (name) => name.split(/(?<=[.-])/).flatMap((part) => [part, make("wbr")]);
  function nameCell(host) {
    const button = make("button", { type: "button", class: "name", "aria-expanded": "false" },
      make("span", {}, ...breakable(host.name)));
    button.addEventListener("click", () => toggle(host, button));
    return make("td", { class: "host-name", role: "rowheader" }, make("bdi", {}, button));
  }
  function driverCell(host) {
    if (!host.driver) return nothing("Driver");
    const kind = host.kind &&
      (host.loop ? make("span", { class: "pill warning" }, host.kind)
                 : make("span", { class: "small" }, host.kind));
    return cell("Driver", "driver", make("bdi", {}, host.driver), kind ? make("br") : "", kind);
  }
  function fillCell(label, fill) {
    if (!fill) return nothing(label);
    const bar = draw("svg",
      { class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
      draw("rect", { class: "track", width: 100, height: 8 }),
      draw("rect", { class: fill.level, width: Math.max(fill.percent, 0.6), height: 8 }));
    return cell(label, "fill", bar, make("b", {}, `${fill.percent.toFixed(1)} %`),
      fill.text && make("span", { class: "small" }, fill.text));
  }
  function fullCell(host) {
    if (!host.full) return nothing("Full in");
    return cell("Full in", "full", make("b", { class: host.full.level }, host.full.text),
      make("span", { class: "small" }, host.full.what));
  }
  function historyCell(host) {
    if (!host.history) return nothing("History");
    return cell("History", "history", spark(host));
  }
  function prunableCell(host) {
    return host.prunable ? cell("Prunable", "full", host.prunable.text) : nothing("Prunable");
  }
  function warningsCell(host) {
    const all = host.warnings || [];
    if (host.why) return cell("", "why", make("bdi", {}, host.why));
    if (!all.length) return make("td", { class: "none", role: "cell" });
    return cell("Warnings", "warnings", make("bdi", {}, all[0][0]),
      all.length > 1 ? make("span", { class: "small" }, ` +${all.length - 1} more`) : "");
  }

  const lines = (points, x, y) => ["metadata", "data"].map((kind) => draw("polyline", {
    class: kind,
    points: points.map((point) => `${x(point[0])},${y(point[kind === "data" ? 1 : 2])}`).join(" "),
  }));
  function describe(host) {
    const last = host.history.points.at(-1);
    return `History of ${host.name} from ${host.history.from} to ${host.history.to}: ` +
      `data now ${last[1]} %, metadata ${last[2]} %`;
  }
  function spark(host) {
    return draw("svg", { class: "plot spark", viewBox: "0 0 1000 100", role: "img",
      preserveAspectRatio: "none", "aria-label": describe(host) },
      draw("line", { x1: 0, x2: 1000, y1: 100, y2: 100 }),
      ...lines(host.history.points, (at) => at, (percent) => 100 - percent));
  }
  function plot(host) {
    // As wide as it will be shown, so that its texts keep their size on a telephone.
    const width = Math.min(700, Math.max(280, find("app").clientWidth - 40)), end = width - 10;
    const x = (at) => 40 + at * (end - 40) / 1000, y = (percent) => 10 + (100 - percent) * 1.6;
    const grid = [0, 50, 70, 90, 100].flatMap((percent) => [
      draw("line", { x1: 40, x2: end, y1: y(percent), y2: y(percent) }),
      draw("text", { x: 34, y: y(percent) + 4, "text-anchor": "end" }, `${percent}`)]);
    return draw("svg", { class: "plot large", viewBox: `0 0 ${width} 195`, role: "img",
      "aria-label": describe(host) }, ...grid,
      ...lines(host.history.points, x, y),
      draw("text", { x: 40, y: 190 }, host.history.from),
      draw("text", { x: end, y: 190, "text-anchor": "end" }, host.history.to));
  }
  function toggle(host, button) {
    const row = button.closest("tr"), open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) return row.nextElementSibling.remove();
    const facts = [host.engine, host.pool && `pool ${host.pool}`, host.kind,
      host.health && host.health !== "ok" && `health: ${host.health.replaceAll("_", " ")}`];
    const warnings = (host.warnings || []).map(([text, remedy]) =>
      make("li", {}, make("bdi", {}, text), make("br"),
        make("bdi", { class: "small" }, remedy && `Way out: ${remedy}`)));
    row.after(make("tr", { class: "detail", role: "row" }, make("td",
      { colspan: columns.length, role: "cell" },
      make("div", { class: "small" }, host.why || facts.filter(Boolean).join(" · ")),
      warnings.length ? make("ul", {}, ...warnings) : "",
      host.history ? make("div", {},
        make("span", { class: "key small" }, "data, percent"),
        make("span", { class: "key metadata small" }, "metadata, percent"), plot(host)) : "")));
  }

  let sorted = 0, downwards = false, listed = [], shown = 0;
  const body = find("rows"), more = find("more");

  const passes = {
    "": () => true,
    "at risk": (host) => RISK.includes(host.state),
    "loop-lvm": (host) => host.loop,
  };
  function render() {
    const words = find("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = find("state").value;
    const pass = passes[wanted] || ((host) => host.state === wanted);
    const value = columns[sorted][2];
    const keyed = [];
    for (const host of hosts)
      if (pass(host) && words.every((word) => host.haystack.includes(word)))
        keyed.push([value(host), host]);
    const sign = downwards ? -1 : 1;
    keyed.sort(([a, one], [b, other]) => {
      const without = (a ?? null) === null, too = (b ?? null) === null;
      if (without !== too) return without ? 1 : -1;
      return (a < b ? -sign : a > b ? sign : 0) || one.place - other.place;
    });
    listed = keyed.map(([, host]) => host);
    shown = 0;
    body.replaceChildren();
    extend(SLICE);
    find("table").hidden = !listed.length;
    find("empty").hidden = listed.length > 0;
    for (const tile of document.querySelectorAll("button.tile"))
      tile.setAttribute("aria-pressed", String(tile.value === wanted));
  }
  function extend(count) {
    const next = listed.slice(shown, shown + count);
    body.append(...next.map((host) => make("tr", { class: "host", role: "row" },
      ...columns.map(([, show]) => show(host)))));
    shown += next.length;
    more.hidden = shown >= listed.length;
    more.textContent = `Show more (${listed.length - shown} left)`;
    find("told").textContent = listed.length === hosts.length
      ? `${hosts.length} hosts` : `${listed.length} of ${hosts.length} hosts`;
  }
  function sortBy(column) {
    downwards = column === sorted ? !downwards : columns[column][3];
    sorted = column;
    mark();
    render();
  }
  function mark() {
    [...find("heads").children].forEach((head, column) => {
      if (column === sorted)
        head.setAttribute("aria-sort", downwards ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  find("heads").append(...columns.map(([label, , value], column) => {
    const head = make("th", { scope: "col", role: "columnheader" });
    if (!value) return put(head, {}, [label]);
    const button = make("button", { type: "button" }, label);
    button.addEventListener("click", () => sortBy(column));
    return put(head, {}, [button]);
  }));
  find("text").addEventListener("input", render);
  find("state").addEventListener("change", render);
  for (const tile of document.querySelectorAll("button.tile"))
    tile.addEventListener("click", () => { find("state").value = tile.value; render(); });
  more.addEventListener("click", () => extend(SLICE));
  new IntersectionObserver((seen) => {
    if (seen.some((one) => one.isIntersecting)) extend(SLICE);
  }, { rootMargin: "400px" }).observe(more);
  window.addEventListener("beforeprint", () => extend(listed.length));
  find("app").hidden = false;
  mark();
  render();
})();
"""
