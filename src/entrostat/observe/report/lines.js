"use strict";
// Turns a panel's lines into Plotly's traces and layout, and names the lines of the large plot at their ends.
// The look of a line is in the style sheet; which lines are shown is in the one state of page.js.
const drawing = ({ groups, last, thin }, state) => {
  const touch = matchMedia("(pointer: coarse)").matches;
  const wide = matchMedia("(min-width: 52rem)");
  const longest = Math.max(...groups.map((group) => group.short.length));
  const shownLines = (panel, kind) => panel.lines.filter((line) => line.kind === kind && !state.hidden.has(line.g));
  const roomForNames = (panel) => panel.named && wide.matches;

  // The seeds of a recipe, neighbours among the lines, are one trace with gaps: Plotly's work goes by traces.
  function traces(panel) {
    const seedsOf = (g) => panel.lines.filter((line) => line.kind === "seed" && line.g === g);
    const begins = (line, i) => line.kind !== "seed" || panel.lines[i - 1]?.kind !== "seed" || panel.lines[i - 1].g !== line.g;
    return panel.lines.filter(begins).map((line) => trace(line.kind === "seed" ? joined(seedsOf(line.g)) : line, panel));
  }

  // Steps come as the first and the distances to the next.
  function places(line) {
    let step = line.x0;
    return (line.x ??= line.y.map((_, i) => (i ? (step += line.gaps ? line.gaps[i - 1] : line.dx) : step)));
  }
  const joined = (lines) => ({
    ...lines[0],
    x: lines.flatMap((line) => [...places(line), null]),
    y: lines.flatMap((line) => [...line.y, null]),
  });

  function trace(line, panel) {
    const group = groups[line.g];
    const color = style(`--c${group.slot}`);
    const base = { type: "scatter", x: places(line), y: line.y, visible: !state.hidden.has(line.g), hoverinfo: "skip", showlegend: false };
    if (line.kind === "band")
      return { ...base, mode: "lines", fill: "toself", fillcolor: faded(color, panel.shade), line: { width: 1, dash: "dot", color: faded(color, 0.6) } };
    if (line.kind === "half")
      return { ...base, mode: "lines", visible: base.visible && state.halves, fill: "toself", fillcolor: faded(color, 0.18), line: { width: 0 } };
    if (panel.plane) return { ...base, ...plane(line, panel, group, color) };
    if (line.kind === "seed")
      return { ...base, mode: "lines", visible: base.visible && state.seeds, line: { width: 1, color: faded(color, thin) } };
    return {
      ...base, name: group.name, hoverinfo: "all", hovertemplate: `%{y:${panel.share ? ".3~p" : ".3~g"}}<extra>${group.name}</extra>`,
      mode: panel.sparse ? "lines+markers" : "lines", marker: { size: 7, symbol: group.symbol, color },
      line: { width: 2.4, color, dash: group.dash },
    };
  }

  // Entropy across, performance up: a run is a cloud, its law a line, dashed where it is a forecast.
  function plane(line, panel, group, color) {
    const hover = { hoverinfo: "all", hovertemplate: `%{x:.3~g} nats: %{y:${panel.share ? ".3~p" : ".3~g"}}<extra>${group.name}</extra>` };
    if (line.kind === "dots") return { ...hover, mode: "markers", marker: { size: 5, symbol: group.symbol, color: faded(color, 0.4) } };
    if (line.kind === "ceiling")
      return { ...hover, mode: "markers", marker: { size: 10, symbol: group.symbol, color }, error_y: { type: "data", array: line.half, color, thickness: 1.6, width: 5 } };
    return { mode: "lines", line: { width: 2.4, color, dash: line.kind === "forecast" ? "dot" : "solid" } };
  }

  function layout(panel) {
    const log = state.log[panel.key];
    const axis = plotAxis();
    const step = { range: state.range || [0, last * 1.015], hoverformat: ",d", title: { text: "step", font: { size: 11.5 }, standoff: 4 } };
    const nats = { range: [-0.02 * panel.plane, panel.plane], fixedrange: true, hoverformat: ".3~g", title: { text: "entropy, nats per token", font: { size: 11.5 }, standoff: 4 } };
    return {
      ...plotLayout(), margin: { l: 8, r: roomForNames(panel) ? 16 + 8 * longest : 8, t: 10, b: 8 }, showlegend: false,
      hovermode: panel.plane ? "closest" : "x unified", dragmode: touch || panel.plane ? false : "zoom",
      xaxis: { ...axis, showgrid: false, showspikes: false, nticks: 7, ticks: "outside", ticklen: 4, showline: true, ...(panel.plane ? nats : step) },
      yaxis: {
        ...axis, fixedrange: true, autorangeoptions: panel.share && !log ? { clipmin: -0.03, clipmax: 1.03 } : undefined, type: log ? "log" : "linear", nticks: 6, ticks: "",
        tickformat: panel.share ? (log ? ".3~p" : "~p") : "~g", dtick: log ? (decades(panel) > 2.4 ? 1 : "D2") : undefined,
      },
    };
  }

  function decades(panel) {
    const values = shownLines(panel, "median").flatMap((line) => line.y).filter((y) => y > 0);
    return values.length ? Math.log10(Math.max(...values) / Math.min(...values)) : 0;
  }

  // The large plot names its lines where they end, so that nobody has to match colours against a legend.
  function names(panel, node) {
    const log = state.log[panel.key];
    const [bottom, top] = node.layout.yaxis.range;
    const pixels = node.querySelector(".nsewdrag").getBoundingClientRect().height / (top - bottom);
    const ends = shownLines(panel, "median").map((line) => {
      const y = valueAt(line, state.range ? state.range[1] : Infinity);
      return { line, y: log ? Math.log10(y) : y };
    }).filter(({ y }) => Number.isFinite(y)).sort((a, b) => a.y - b.y);
    let floor = -Infinity;
    return ends.map(({ line, y }) => {
      const group = groups[line.g];
      const at = Math.max((y - bottom) * pixels, floor + 17);
      floor = at;
      return {
        xref: "paper", x: 1, xanchor: "left", xshift: 6, yref: "y", y, yshift: at - (y - bottom) * pixels, text: group.short,
        showarrow: false, font: { color: style(`--c${group.slot}`), size: 13 }, align: "left",
      };
    });
  }

  // The last value at or before a step; undefined where the line has not begun.
  function valueAt(line, step) {
    const x = places(line);
    let [low, high] = [0, x.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (x[middle] <= step) low = middle + 1;
      else high = middle;
    }
    return line.y[low - 1];
  }

  return { traces, layout, names, roomForNames, shownLines, valueAt, wide };
};
