"use strict";
// Draws the curves of the report. What to draw stands in the page as JSON; what it looks like, in its style sheet.
// State is one object; every change redraws from it, so no two panels can disagree.
(() => {
  const data = JSON.parse(document.getElementById("curves").textContent);
  const touch = matchMedia("(pointer: coarse)").matches;
  const state = { hidden: new Set(), seeds: true, halves: true, range: null, log: {} };
  const plots = data.panels.map((panel) => ({ panel, node: document.getElementById(`plot-${panel.key}`), near: false, stale: true }));
  plots.forEach(({ panel }) => (state.log[panel.key] = panel.log));

  const longest = Math.max(...data.groups.map((group) => group.short.length));
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faded = (hex, alpha) => hex + Math.round(alpha * 255).toString(16).padStart(2, "0");

  function trace(line, panel) {
    const group = data.groups[line.g];
    const color = style(`--c${group.slot}`);
    const base = { type: "scatter", x: line.x, x0: line.x0, dx: line.dx, y: line.y, visible: !state.hidden.has(line.g), hoverinfo: "skip", showlegend: false };
    if (line.kind === "band")
      return { ...base, mode: "lines", fill: "toself", fillcolor: faded(color, 0.13), line: { width: 1, dash: "dot", color: faded(color, 0.6) } };
    if (line.kind === "half")
      return { ...base, mode: "lines", visible: base.visible && state.halves, fill: "toself", fillcolor: faded(color, 0.18), line: { width: 0 } };
    if (panel.plane) return { ...base, ...plane(line, panel, group, color) };
    if (line.kind === "seed")
      return { ...base, mode: "lines", visible: base.visible && state.seeds, line: { width: 1, color: faded(color, 0.28) } };
    return {
      ...base, name: group.name, hoverinfo: "all", hovertemplate: `%{y:${panel.share ? ".3~p" : ".3~g"}}<extra>${group.name}</extra>`,
      mode: panel.sparse ? "lines+markers" : "lines", marker: { size: 7, symbol: group.symbol, color },
      line: { width: 2.4, color, dash: group.dash },
    };
  }

  // Entropy across, performance up: a run is a cloud, its law a line, dashed where it is a forecast.
  function plane(line, panel, group, color) {
    const told = { hoverinfo: "all", hovertemplate: `%{x:.3~g} nats: %{y:${panel.share ? ".3~p" : ".3~g"}}<extra>${group.name}</extra>` };
    if (line.kind === "dots") return { ...told, mode: "markers", marker: { size: 5, symbol: group.symbol, color: faded(color, 0.4) } };
    if (line.kind === "ceiling")
      return { ...told, mode: "markers", marker: { size: 10, symbol: group.symbol, color }, error_y: { type: "data", array: line.half, color, thickness: 1.6, width: 5 } };
    return { mode: "lines", line: { width: 2.4, color, dash: line.kind === "forecast" ? "dot" : "solid" } };
  }

  function layout(panel) {
    const [ink, soft, grid, raised] = ["--ink", "--soft", "--grid", "--raised"].map(style);
    const log = state.log[panel.key];
    const axis = { color: soft, gridcolor: grid, linecolor: grid, zeroline: false, tickfont: { size: 11.5 }, automargin: true };
    const step = { range: state.range || [0, data.last * 1.015], hoverformat: ",d", title: { text: "step", font: { size: 11.5 }, standoff: 4 } };
    const nats = { range: [-0.02 * panel.plane, panel.plane], fixedrange: true, hoverformat: ".3~g", title: { text: "entropy, nats per token", font: { size: 11.5 }, standoff: 4 } };
    return {
      autosize: true, margin: { l: 8, r: roomForNames(panel) ? 16 + 8 * longest : 8, t: 10, b: 8 }, showlegend: false, hovermode: panel.plane ? "closest" : "x unified", dragmode: touch || panel.plane ? false : "zoom",
      paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { family: style("--sans"), color: soft, size: 12 },
      hoverlabel: { bgcolor: raised, bordercolor: grid, font: { color: ink, size: 12 } },
      xaxis: { ...axis, showgrid: false, nticks: 7, ticks: "outside", ticklen: 4, showline: true, ...(panel.plane ? nats : step) },
      yaxis: {
        ...axis, fixedrange: true, autorangeoptions: panel.share && !log ? { clipmin: -0.03, clipmax: 1.03 } : undefined, type: log ? "log" : "linear", nticks: 6, ticks: "",
        tickformat: panel.share ? (log ? ".3~p" : "~p") : "~g", dtick: log ? (decades(panel) > 2.4 ? 1 : "D2") : undefined,
      },
    };
  }

  const shownLines = (panel, kind) => panel.lines.filter((line) => line.kind === kind && !state.hidden.has(line.g));

  function decades(panel) {
    const values = shownLines(panel, "median").flatMap((line) => line.y).filter((y) => y > 0);
    return values.length ? Math.log10(Math.max(...values) / Math.min(...values)) : 0;
  }

  async function draw({ panel, node }) {
    const config = { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false, showTips: false };
    await Plotly.react(node, panel.lines.map((line) => trace(line, panel)), layout(panel), config);
    if (roomForNames(panel)) await Plotly.relayout(node, { annotations: names(panel, node) });
    return node;
  }

  // The large plot names its lines where they end, so that nobody has to match colours against a legend.
  const wide = matchMedia("(min-width: 52rem)");
  const roomForNames = (panel) => panel.named && wide.matches;

  function names(panel, node) {
    const log = state.log[panel.key];
    const [bottom, top] = node.layout.yaxis.range;
    const pixels = node.querySelector(".nsewdrag").getBoundingClientRect().height / (top - bottom);
    const ends = shownLines(panel, "median").map((line) => {
      const y = lastInView(line);
      return { line, y: log ? Math.log10(y) : y };
    }).filter(({ y }) => Number.isFinite(y)).sort((a, b) => a.y - b.y);
    let floor = -Infinity;
    return ends.map(({ line, y }) => {
      const group = data.groups[line.g];
      const at = Math.max((y - bottom) * pixels, floor + 17);
      floor = at;
      return {
        xref: "paper", x: 1, xanchor: "left", xshift: 6, yref: "y", y, yshift: at - (y - bottom) * pixels, text: group.short,
        showarrow: false, font: { color: style(`--c${group.slot}`), size: 13 }, align: "left",
      };
    });
  }

  function lastInView(line) {
    const right = state.range ? state.range[1] : Infinity;
    const x = (i) => (line.x ? line.x[i] : line.x0 + i * line.dx);
    let i = line.y.length - 1;
    while (i > 0 && x(i) > right) i -= 1;
    return line.y[i];
  }

  function redraw() {
    plots.forEach((plot) => (plot.stale = true));
    fill();
  }

  let filling = false;
  async function fill() {
    if (filling) return;
    filling = true;
    try {
      for (let plot; (plot = plots.find(({ near, stale }) => near && stale)); await new Promise((done) => setTimeout(done))) {
        plot.stale = false;
        await draw(plot);
        if (!plot.listening) listen(plot);
      }
    } finally {
      filling = false;
    }
    document.documentElement.dataset.drawn = String(plots.filter(({ listening }) => listening).length);
  }

  function listen(plot) {
    plot.listening = true;
    plot.node.on("plotly_relayout", (event) => {
      if ("xaxis.range[0]" in event) zoom([event["xaxis.range[0]"], event["xaxis.range[1]"]]);
    });
    plot.node.on("plotly_doubleclick", () => zoom(null));
  }

  function zoom(range) {
    state.range = range;
    reset.disabled = range === null;
    redraw();
  }

  // Buttons
  const pressed = (button) => button.getAttribute("aria-pressed") === "true";
  function toggle(button, act) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(!pressed(button)));
      act(pressed(button));
    });
  }
  document.querySelectorAll("button[data-group]").forEach((button) => toggle(button, (on) => {
    const group = Number(button.dataset.group);
    on ? state.hidden.delete(group) : state.hidden.add(group);
    redraw();
  }));
  document.querySelectorAll("button[data-scale]").forEach((button) => toggle(button, (on) => {
    state.log[button.dataset.scale] = on;
    redraw();
  }));
  const reset = document.getElementById("reset");
  reset.addEventListener("click", () => zoom(null));
  toggle(document.getElementById("seeds"), (on) => { state.seeds = on; redraw(); });
  const halves = document.getElementById("halves");
  if (halves) toggle(halves, (on) => { state.halves = on; redraw(); });
  document.querySelectorAll(".legend, .scale").forEach((node) => (node.hidden = false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
  wide.addEventListener("change", () => redraw());

  // Only what is on screen or near it is drawn, one panel at a time: the page answers while it fills, and a click
  // costs a few panels however many there are.
  const watcher = new IntersectionObserver((entries) => {
    entries.forEach((entry) => (plots.find(({ node }) => node === entry.target).near = entry.isIntersecting));
    fill();
  }, { rootMargin: "500px 0px" });
  plots.forEach(({ node }) => watcher.observe(node));
  addEventListener("beforeprint", () => { plots.forEach((plot) => (plot.near = true)); fill(); });
})();
