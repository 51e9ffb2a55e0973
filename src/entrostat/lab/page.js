"use strict";
// Draws the plots of the lab's page. What to draw stands in the page as JSON; what it looks like, in its style sheet.
(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faded = (hex) => hex + "26";

  function traces(series, i) {
    const color = style(`--c${i % 8}`);
    const dash = ["solid", "dash", "dot"][Math.floor(i / 8) % 3];
    const line = {
      type: "scatter", name: series.name, x: series.x, y: series.y, mode: series.points ? "markers" : series.x.length > 12 ? "lines" : "lines+markers",
      line: { width: 2.2, color, dash }, marker: { size: series.points ? 3.5 : 6, color, opacity: series.points ? 0.45 : 1 },
      hoverinfo: series.points ? "skip" : "all", hovertemplate: series.points ? undefined : `%{y:.4~g}<extra>${series.name}</extra>`,
    };
    if (!series.low) return [line];
    const band = { type: "scatter", x: series.x, mode: "lines", line: { width: 0, color }, hoverinfo: "skip", showlegend: false };
    return [{ ...band, y: series.low }, { ...band, y: series.high, fill: "tonexty", fillcolor: faded(color) }, line];
  }

  function layout(plot) {
    const [ink, soft, grid, raised] = ["--ink", "--soft", "--grid", "--raised"].map(style);
    const axis = { color: soft, gridcolor: grid, linecolor: grid, zeroline: false, automargin: true, tickfont: { size: 11.5 } };
    const scaled = (log) => (log ? { type: "log", exponentformat: "power", dtick: undefined, nticks: 8 } : { type: "linear", nticks: 7 });
    return {
      autosize: true, margin: { l: 8, r: 8, t: 8, b: 8 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent",
      font: { family: style("--sans"), color: soft, size: 12 }, hovermode: "x unified", hoverlabel: { bgcolor: raised, bordercolor: grid, font: { color: ink } },
      legend: { orientation: "h", x: 0, y: -0.22, yanchor: "top", font: { size: 11.5, color: ink } }, showlegend: plot.series.length > 1,
      xaxis: { ...axis, ...scaled(plot.log_x), title: { text: plot.x_label, standoff: 4 }, showline: true, ticks: "outside" },
      yaxis: { ...axis, ...scaled(plot.log_y), title: { text: plot.y_label, standoff: 6 } },
    };
  }

  async function draw(plot, i) {
    const config = { displayModeBar: false, responsive: true };
    await Plotly.react(document.getElementById(`plot-${i}`), plot.series.flatMap(traces), layout(plot), config);
  }

  async function all() {
    await Promise.all(plots.map(draw));
    document.documentElement.dataset.drawn = plots.length;
  }
  all();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
})();
