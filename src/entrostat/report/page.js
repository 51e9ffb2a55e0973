"use strict";
// Draws the curves of the report. What to draw stands in the page as JSON; what it looks like, in its style sheet.
// State is one object; every change redraws from it, so no two panels can disagree.
(() => {
  const data = JSON.parse(document.getElementById("curves").textContent);
  const touch = matchMedia("(pointer: coarse)").matches;
  const state = { hidden: new Set(), seeds: true, range: null, log: {} };
  const plots = data.panels.map((panel) => ({ panel, node: document.getElementById(`plot-${panel.key}`) }));
  plots.forEach(({ panel }) => (state.log[panel.key] = panel.log));

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faded = (hex, alpha) => hex + Math.round(alpha * 255).toString(16).padStart(2, "0");

  function trace(line, panel) {
    const group = data.groups[line.g];
    const color = style(`--c${group.slot}`);
    const base = { type: "scatter", x: line.x, x0: line.x0, dx: line.dx, y: line.y, visible: !state.hidden.has(line.g), hoverinfo: "skip", showlegend: false };
    if (line.kind === "band")
      return { ...base, mode: "lines", fill: "toself", fillcolor: faded(color, 0.13), line: { width: 1, dash: "dot", color: faded(color, 0.6) } };
    if (line.kind === "seed")
      return { ...base, mode: "lines", visible: base.visible && state.seeds, line: { width: 1, color: faded(color, 0.34) } };
    return {
      ...base, name: group.name, hoverinfo: "all", hovertemplate: `%{y:${panel.share ? ".3~p" : ".3~g"}}<extra>${group.name}</extra>`,
      mode: panel.sparse ? "lines+markers" : "lines", marker: { size: 7, symbol: group.symbol, color },
      line: { width: 2.4, color, dash: group.dash },
    };
  }

  function layout(panel) {
    const [ink, soft, grid, raised] = ["--ink", "--soft", "--grid", "--raised"].map(style);
    const log = state.log[panel.key];
    const axis = { color: soft, gridcolor: grid, linecolor: grid, zeroline: false, tickfont: { size: 11.5 }, automargin: true };
    return {
      autosize: true, margin: { l: 8, r: 8, t: 10, b: 8 }, showlegend: false, hovermode: "x unified", dragmode: touch ? false : "zoom",
      paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { family: style("--sans"), color: soft, size: 12 },
      hoverlabel: { bgcolor: raised, bordercolor: grid, font: { color: ink, size: 12 } },
      xaxis: { ...axis, showgrid: false, range: state.range || [0, data.last * 1.015], nticks: 7, ticks: "outside", ticklen: 4, showline: true, hoverformat: ",d", title: { text: "step", font: { size: 11.5 }, standoff: 4 } },
      yaxis: {
        ...axis, fixedrange: true, type: log ? "log" : "linear", nticks: 6, ticks: "",
        tickformat: panel.share ? (log ? ".3~p" : "~p") : "~g", dtick: log ? "D1" : undefined,
        minor: log ? { showgrid: false } : undefined,
      },
    };
  }

  function draw({ panel, node }) {
    return Plotly.react(node, panel.lines.map((line) => trace(line, panel)), layout(panel), { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false });
  }

  function zoom(range) {
    state.range = range;
    reset.disabled = range === null;
    plots.forEach(draw);
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
    plots.forEach(draw);
  }));
  document.querySelectorAll("button[data-scale]").forEach((button) => toggle(button, (on) => {
    state.log[button.dataset.scale] = on;
    plots.filter(({ panel }) => panel.key === button.dataset.scale).forEach(draw);
  }));
  const reset = document.getElementById("reset");
  reset.addEventListener("click", () => zoom(null));
  toggle(document.getElementById("seeds"), (on) => { state.seeds = on; plots.forEach(draw); });
  document.querySelectorAll(".legend, .scale").forEach((node) => (node.hidden = false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach(draw));

  // The first panel at once, the others one by one, so that the page answers while it fills.
  const queue = [...plots];
  (function next() {
    const plot = queue.shift();
    if (!plot) return void (document.documentElement.dataset.drawn = String(plots.length));
    draw(plot).then((node) => {
      node.on("plotly_relayout", (event) => {
        if ("xaxis.range[0]" in event) zoom([event["xaxis.range[0]"], event["xaxis.range[1]"]]);
      });
      node.on("plotly_doubleclick", () => zoom(null));
      setTimeout(next);
    });
  })();
})();
