"use strict";
// The look of every plot: Plotly gets its colours and fonts from the style sheet.
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const faded = (hex, alpha) => hex + Math.round(alpha * 255).toString(16).padStart(2, "0");
const plotAxis = () => ({ color: style("--soft"), gridcolor: style("--grid"), linecolor: style("--grid"), zeroline: false, tickfont: { size: 11.5 }, automargin: true });
const plotLayout = () => ({
  autosize: true, paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { family: style("--sans"), color: style("--soft"), size: 12 },
  hoverlabel: { bgcolor: style("--raised"), bordercolor: style("--grid"), font: { color: style("--ink"), size: 12 } },
});
