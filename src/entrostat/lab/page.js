"use strict";
// Draws the plots of the lab's page. The page holds them as JSON; their look is in the style sheet.
(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent);

  function traces(series, i) {
    const color = style(`--c${i % 8}`);
    const dash = series.reference ? "dash" : "solid";
    const many = series.points && series.x.length > 100;
    const line = {
      type: "scatter", name: series.name, x: series.x, y: series.y, mode: series.points ? "markers" : series.reference || series.x.length > 12 ? "lines" : "lines+markers",
      line: { width: 2.2, color, dash }, marker: { size: many ? 3.5 : 7, color, opacity: many ? 0.45 : 0.85 },
      hoverinfo: many ? "skip" : "all", hovertemplate: many ? undefined : `%{y:.4~g}<extra>${series.name}</extra>`,
    };
    if (!series.low) return [line];
    if (series.points || series.x.length === 1) {
      const [above, below] = [series.high.map((high, k) => high - series.y[k]), series.low.map((low, k) => series.y[k] - low)];
      return [{ ...line, error_y: { array: above, arrayminus: below, color, thickness: 1.4, width: 4 } }];
    }
    const band = { type: "scatter", x: series.x, mode: "lines", line: { width: 0, color }, hoverinfo: "skip", showlegend: false };
    return [{ ...band, y: series.low }, { ...band, y: series.high, fill: "tonexty", fillcolor: faded(color, 0.15) }, line];
  }

  // Plotly's own ticks of a logarithmic axis mix sizes and crowd: powers of ten over many decades, 1-2-5 over few.
  function logTicks(plot, name) {
    const values = plot.series.flatMap((series) => [...series[name], ...((name === "y" && series.low) || [])]).filter((value) => value > 0);
    const [low, high] = [Math.min(...values), Math.max(...values)].map(Math.log10);
    const stride = Math.max(1, Math.ceil((high - low) / 7));
    const steps = high - low < 1 ? [1, 1.5, 2, 3, 5, 7] : high - low < 2.2 ? [1, 2, 5] : [1];
    const tickvals = [];
    for (let power = Math.floor(low) - 1; power <= high + 1; power++) {
      if (power % stride === 0) tickvals.push(...steps.map((step) => Number(`${step}e${power}`)));
    }
    return { type: "log", tickmode: "array", tickvals, ticktext: tickvals.map(written) };
  }

  function written(value) {
    const power = Math.round(Math.log10(value));
    return value >= 0.001 && value < 1e5 ? String(value) : `10<sup>${power}</sup>`;
  }

  function layout(plot) {
    const scaled = (log, name) => (log ? logTicks(plot, name) : { type: "linear", nticks: 7 });
    return {
      ...plotLayout(), margin: { l: 8, r: 8, t: 8, b: 8 }, hovermode: "x unified", showlegend: plot.series.length > 1,
      legend: { orientation: "h", traceorder: "normal", x: 0, y: -0.22, yanchor: "top", font: { size: 11.5, color: style("--ink") } },
      xaxis: { ...plotAxis(), ...scaled(plot.log_x, "x"), title: { text: plot.x_label, standoff: 4 }, showline: true, ticks: "outside" },
      yaxis: { ...plotAxis(), ...scaled(plot.log_y, "y"), title: { text: plot.y_label, standoff: 6 } },
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
