"use strict";
// Draws the curves of the report. The page holds them as JSON.
// State is one object; every change redraws from it, so no two panels can disagree.
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("curves").textContent);
  const state = { hidden: new Set(), seeds: true, halves: true, range: null, log: {} };
  const plots = data.panels.map((panel) => ({ panel, node: document.getElementById(`plot-${panel.key}`), near: false, stale: true }));
  plots.forEach(({ panel }) => (state.log[panel.key] = panel.log));
  const { traces, layout, names, roomForNames, valueAt, wide } = drawing(data, state);
  const steps = linkedSteps(data, { valueAt });

  async function draw({ panel, node }) {
    const config = { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false, showTips: false };
    await Plotly.react(node, traces(panel), layout(panel), config);
    if (roomForNames(panel)) await Plotly.relayout(node, { annotations: names(panel, node) });
    node.querySelector(".still")?.remove();
  }

  function redraw() {
    plots.forEach((plot) => (plot.stale = true));
    fill();
  }

  // `data-drawn` tells how many plots have been drawn. It stands there only while nothing is left to draw.
  const waiting = () => plots.find(({ near, stale }) => near && stale);
  let filling = false;
  async function fill() {
    if (waiting()) delete root.dataset.drawn;
    if (filling) return;
    filling = true;
    try {
      for (let plot; (plot = waiting()); await new Promise((done) => setTimeout(done))) {
        plot.stale = false;
        await draw(plot);
        if (!plot.listening) listen(plot);
      }
    } finally {
      filling = false;
    }
    root.dataset.drawn = String(plots.filter(({ listening }) => listening).length);
  }

  function listen(plot) {
    plot.listening = true;
    plot.node.on("plotly_relayout", (event) => {
      if ("xaxis.range[0]" in event) zoom([event["xaxis.range[0]"], event["xaxis.range[1]"]]);
    });
    plot.node.on("plotly_doubleclick", () => zoom(null));
    steps.follow(plot.node);
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
      redraw();
    });
  }
  document.querySelectorAll("button[data-group]").forEach((button) => toggle(button, (on) => {
    const group = Number(button.dataset.group);
    on ? state.hidden.delete(group) : state.hidden.add(group);
    steps.hide(state.hidden);
  }));
  document.querySelectorAll("button[data-scale]").forEach((button) => toggle(button, (on) => (state.log[button.dataset.scale] = on)));
  const reset = document.getElementById("reset");
  reset.addEventListener("click", () => zoom(null));
  document.getElementById("closer").addEventListener("click", () => zoom(steps.around(state.range || [0, 1.015 * data.last])));
  toggle(document.getElementById("seeds"), (on) => (state.seeds = on));
  const halves = document.getElementById("halves");
  if (halves) toggle(halves, (on) => (state.halves = on));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  wide.addEventListener("change", redraw);

  // Only what is on screen or near it is drawn, one panel at a time: the page answers while it fills, and a click
  // costs a few panels however many there are.
  const watcher = new IntersectionObserver((entries) => {
    entries.forEach((entry) => (plots.find(({ node }) => node === entry.target).near = entry.isIntersecting));
    fill();
  }, { rootMargin: "500px 0px" });
  plots.forEach(({ node }) => watcher.observe(node));
  addEventListener("beforeprint", () => { plots.forEach((plot) => (plot.near = true)); fill(); });
})();
